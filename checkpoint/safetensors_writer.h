#ifndef PRETRAINED_CHECKPOINT_SAFETENSORS_WRITER_H_
#define PRETRAINED_CHECKPOINT_SAFETENSORS_WRITER_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "checkpoint/tensor_to_write.h"

namespace pretrained {

// Entries of `__metadata__`, in the order they are written.
using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

// Writes one safetensors file.
//
//   absl::Status s = WriteSafetensors(
//       "model.safetensors",
//       {{"w", Dtype::kFloat32, {2, 3}, values.data()}}, {{"format", "pt"}});
//
// The bytes go to a new file beside `path`, are synced, and take its name in
// one step: what was there before is whole until then, also after a crash.
//
//   kInvalidArgument  two tensors of one name, a name that is not UTF-8 or is
//                     "__metadata__", a dtype that safetensors does not have,
//                     a negative or overflowing shape, an alias
//   kInternal         a tensor's source gave too few bytes, or too many
//   kPermissionDenied, kNotFound, kResourceExhausted  the file cannot be made
// Cost: as much memory as the header; tensors stream through.
// Layout: docs/safetensors_format.md. Tensors are ordered as the Rust crate
//     orders them: by dtype, widest first, then by name; the header is padded
//     with blanks so that data starts at a multiple of 8 bytes.
absl::Status WriteSafetensors(const std::string& path,
                              absl::Span<const TensorToWrite> tensors,
                              const SafetensorsMetadata& metadata);

// The first part of such a file: length field, JSON and padding. `order`, when
// not null, gets the indices of `tensors` in the order of their bytes.
absl::StatusOr<std::string> SafetensorsHeaderBytes(
    absl::Span<const TensorToWrite> tensors,
    const SafetensorsMetadata& metadata, std::vector<size_t>* order);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAFETENSORS_WRITER_H_
