#ifndef PRETRAINED_MODELING_TOKEN_EMBEDDINGS_H_
#define PRETRAINED_MODELING_TOKEN_EMBEDDINGS_H_

#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/module.h"

namespace pretrained {

// The number of rows that resizing `current_rows` to `num_tokens` gives:
// `num_tokens` (the present number when negative) rounded up to a multiple of
// `pad_to_multiple_of`. kInvalidArgument for no rows, or a multiple below one.
absl::StatusOr<int64_t> ResizedRows(int64_t current_rows, int64_t num_tokens,
                                    std::optional<int64_t> pad_to_multiple_of);

// Gives the embedding matrix `weight_name` (a full name below `model`,
// [rows, size]) that many rows: as many as both have are copied, further ones
// keep what `initialize` drew. Returns the new number of rows.
// Matches: transformers 4.34 modeling_utils.py `_get_resized_embeddings`.
absl::StatusOr<int64_t> ResizeEmbeddingRows(
    Module& model, absl::string_view weight_name, int64_t num_tokens,
    std::optional<int64_t> pad_to_multiple_of,
    absl::FunctionRef<void(const Module& owner, const at::Tensor& tensor)>
        initialize);

// Gives the module `path` below `model`, which makes scores of every token,
// `rows` rows: further ones of its weight are what `initialize` draws, of its
// bias, where it has one, 0. What is tied stays tied.
absl::Status ResizeOutputRows(
    Module& model, absl::string_view path, int64_t rows,
    absl::FunctionRef<void(const Module& owner, const at::Tensor& tensor)>
        initialize);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_TOKEN_EMBEDDINGS_H_
