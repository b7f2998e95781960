#ifndef PRETRAINED_CHECKPOINT_TORCH_TORCH_PICKLE_WRITER_H_
#define PRETRAINED_CHECKPOINT_TORCH_TORCH_PICKLE_WRITER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace checkpoint_internal {

// What a state dict's pickle goes into: the legacy file's persistent ids end
// with one more item.
enum class TorchContainer { kZip, kLegacy };

// A state dict's pickle, and the storages that it refers to.
struct TorchPickle {
  std::string bytes;

  // Storage "0", "1", ..: the index of the tensor that brings its bytes.
  std::vector<size_t> storages;
};

// The pickle (protocol 2) of a collections.OrderedDict of `tensors` by name, in
// their order.
//
//   absl::StatusOr<TorchPickle> pickle =
//       MakeTorchPickle(tensors, TorchContainer::kZip);
//   pickle->bytes       // goes into data.pkl
//   pickle->storages[0] // whose bytes go into data/0
//
// Each tensor is dense and the whole of its storage, but for an alias, which
// refers to the storage of the tensor it names.
//   kInvalidArgument  two tensors of one name, a name that is not UTF-8, a
//                     negative or overflowing shape, an alias of no earlier
//                     tensor with the same dtype and number of elements
// Cost: one pass; memory in proportion to the pickle.
// Matches: torch 2.1 `torch.save`, byte for byte but for the storage keys of
//     the legacy file, which are addresses there; for dtypes without a storage
//     class (float8, uint16, uint32, uint64) torch 2.7.
// Differs: of those dtypes the legacy file's storages are ByteStorage, for
//     torch.load() cannot read the UntypedStorage that torch.save() puts there.
absl::StatusOr<TorchPickle> MakeTorchPickle(
    absl::Span<const TensorToWrite> tensors, TorchContainer container);

// Whether torch has a storage class for `dtype`. Storages of the others are
// pickled as bytes, and their lengths counted so.
bool HasTypedStorage(Dtype dtype);

// The pickle of the list of keys of `count` storages: ["0", "1", ..].
std::string MakeStorageKeysPickle(size_t count);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_TORCH_PICKLE_WRITER_H_
