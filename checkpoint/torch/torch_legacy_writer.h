#ifndef PRETRAINED_CHECKPOINT_TORCH_TORCH_LEGACY_WRITER_H_
#define PRETRAINED_CHECKPOINT_TORCH_TORCH_LEGACY_WRITER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "checkpoint/tensor_to_write.h"

namespace pretrained {

// Writes a state dict as torch.save did before PyTorch 1.6: pickles, then raw
// storages.
//
//   absl::Status s = WriteTorchLegacy(
//       "pytorch_model.bin", {{"w", Dtype::kFloat32, {2, 3}, values.data()}});
//
// Safety, aliases, errors, cost: as WriteTorchZip() of torch_zip_writer.h.
// Read by torch.load(), with weights_only too: of any version since 0.4, but
// for
//     the dtypes that are younger, see WriteTorchZip().
// Matches: torch 2.1 `torch.save(.., _use_new_zipfile_serialization=False)` of
//     an OrderedDict of contiguous tensors, byte for byte but for the storage
//     keys: addresses there, 0, 1, 2, .. here.
// Differs: storages of float8, uint16, uint32 and uint64 are of the class
//     ByteStorage; torch.save() names UntypedStorage, and torch.load() then
//     fails on what it wrote.
absl::Status WriteTorchLegacy(const std::string& path,
                              absl::Span<const TensorToWrite> tensors);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_TORCH_LEGACY_WRITER_H_
