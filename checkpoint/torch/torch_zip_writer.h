#ifndef PRETRAINED_CHECKPOINT_TORCH_TORCH_ZIP_WRITER_H_
#define PRETRAINED_CHECKPOINT_TORCH_TORCH_ZIP_WRITER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "checkpoint/tensor_to_write.h"

namespace pretrained {

// Writes a state dict as torch.save does since PyTorch 1.6: a zip archive.
//
//   absl::Status s = WriteTorchZip(
//       "pytorch_model.bin", {{"w", Dtype::kFloat32, {2, 3}, values.data()}});
//
// The bytes go to a new file beside `path`, are synced, and take its name in
// one step: what was there before is whole until then, also after a crash.
// Every tensor is dense; one with an `alias_of` shares the storage of the one
// it names, which is stored once. The same tensors make the same bytes.
//
//   kInvalidArgument  two tensors of one name, a name that is not UTF-8, a
//                     negative or overflowing shape, an alias of no earlier
//                     tensor with the same dtype and number of elements
//   kInternal         a tensor's source gave too few bytes, or too many
//   kPermissionDenied, kNotFound, kResourceExhausted  the file cannot be made
// Cost: as much memory as the pickle; tensors stream through.
// Read by torch.load(), with weights_only and with mmap too: of any version
//     since 1.6, but for the dtypes that are younger. float8_e4m3fn and
//     float8_e5m2 are read by 2.5.1; uint16, uint32 and uint64 by 2.7.1, and by
//     2.5.1 only without weights_only; 2.1.0 reads none of the five.
// Matches: torch 2.1 `torch.save` of an OrderedDict of contiguous tensors; the
//     same records in the same order, at the same alignment.
// Differs: no record has a data descriptor, dates are valid, and zip64 is used
//     only where it must be.
absl::Status WriteTorchZip(const std::string& path,
                           absl::Span<const TensorToWrite> tensors);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_TORCH_ZIP_WRITER_H_
