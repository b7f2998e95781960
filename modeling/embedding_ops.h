#ifndef PRETRAINED_MODELING_EMBEDDING_OPS_H_
#define PRETRAINED_MODELING_EMBEDDING_OPS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/module.h"

namespace pretrained {

// Vocabularies that grow and shrink: what PretrainedModel's methods are made
// of, for any Module.

// The number of rows that resizing `current_rows` to `num_tokens` (nullopt
// keeps the number) gives: that, rounded up to a multiple of
// `pad_to_multiple_of`. kInvalidArgument for no rows, or a multiple below one.
absl::StatusOr<int64_t> ResizedRows(int64_t current_rows,
                                    std::optional<int64_t> num_tokens,
                                    std::optional<int64_t> pad_to_multiple_of);

// Fills `rows`, which a matrix gets behind those that it had, or columns of one
// that lies the other way round: [rows, size] or [size, rows].
//   name  the matrix's full name
using DrawRows = absl::FunctionRef<void(
    const Module& owner, absl::string_view name, const at::Tensor& rows)>;

// A new tensor with `length` entries along `dim`: those of `tensor`, as far as
// both go, bit for bit, and further ones that `draw` fills. Device and dtype
// stay. LibTorch's exceptions pass through.
// Cost: each entry is written once.
at::Tensor WithLength(const at::Tensor& tensor, int64_t dim, int64_t length,
                      absl::FunctionRef<void(const at::Tensor&)> draw);

// Where a model has a row for each token; paths of modules below it.
struct TokenModules {
  std::string input;   // Embeds tokens: weight [tokens, size].
  std::string output;  // Makes scores of them; empty for none.
};

// What must be put in place for a vocabulary of `rows` tokens, by full name: a
// matrix, and the output's matrix and bias, unless the matrix is the input's
// own tensor (ReplaceTensors() has that follow). A Linear's weight has a row
// for each token, a Conv1D's (transposed) a column. New biases are 0. Nothing
// in `model` is changed; empty where all is as wanted.
// kNotFound for a path that is not there.
// Matches: transformers 4.34 modeling_utils.py `_get_resized_embeddings` and
//     `_get_resized_lm_head`.
absl::StatusOr<absl::flat_hash_map<std::string, at::Tensor>> ResizedTensors(
    Module& model, const TokenModules& modules, int64_t rows, DrawRows draw);

// The module of that path below `model`; null if there is none.
Module* FindModule(Module& model, absl::string_view path);

// kInvalidArgument, with both shapes, unless `tensor` can stand in the place of
// `old`, called `name`: of the same shape, and floating.
absl::Status CheckReplacement(absl::string_view name, const at::Tensor& old,
                              const at::Tensor& tensor);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_EMBEDDING_OPS_H_
