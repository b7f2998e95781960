#ifndef PRETRAINED_CHECKPOINT_TORCH_TORCH_TENSOR_RECORD_H_
#define PRETRAINED_CHECKPOINT_TORCH_TORCH_TENSOR_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "checkpoint/pickle/pickle_value.h"
#include "checkpoint/torch/torch_objects.h"

namespace pretrained {
namespace checkpoint_internal {

// True if `value` is what torch's functions that rebuild a tensor are called
// for, also of kinds that are not read here.
bool IsTensorRecord(PickleValue value);

// Turns such records into tensors, and collects the storages they view.
//
//   TorchTensorReader reader("pytorch_model.bin", &objects);
//   absl::Status read = reader.Read(record, "wte.weight");
//   absl::Status fits = reader.CheckStorages();
//
// Every number of a tensor is checked as it is read, but for the end of its
// storage: a later mention of the storage may declare it larger.
class TorchTensorReader {
 public:
  // Both outlive the reader.
  TorchTensorReader(absl::string_view file_name, TorchObjects* objects)
      : file_name_(file_name), objects_(objects) {}

  // Adds the tensor that `value` rebuilds to the objects, as `name`.
  absl::Status Read(PickleValue value, std::string name);

  // That every tensor read so far ends within its storage.
  absl::Status CheckStorages() const;

 private:
  struct Call;
  struct StorageView;

  absl::Status Error(absl::StatusCode code, absl::string_view name,
                     absl::string_view what) const;
  absl::Status Damaged(absl::string_view name, absl::string_view what) const;
  absl::Status Unwrap(absl::string_view name, Call* call) const;
  absl::Status ReadView(absl::string_view name, PickleValue value,
                        StorageView* view) const;
  absl::Status ReadElements(absl::string_view name, PickleValue type,
                            StorageView* view) const;
  absl::Status ReadLegacyView(absl::string_view name, PickleValue metadata,
                              StorageView* view) const;
  absl::Status ReadInts(absl::string_view name, absl::string_view what,
                        PickleValue value, std::vector<int64_t>* out) const;
  absl::Status ReadDtype(const Call& call, const StorageView& view,
                         TorchTensor* tensor) const;
  absl::Status CheckExtent(const StorageView& view, TorchTensor* tensor,
                           int64_t* end) const;
  int StorageIndex(const StorageView& view);

  const absl::string_view file_name_;
  TorchObjects* const objects_;
  // Beside objects_->tensors: the first element behind each tensor, or behind
  // the view of its storage that it was given; 0 of those without elements.
  std::vector<int64_t> ends_;
  absl::flat_hash_map<std::string, int> storage_by_key_;
};

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_TORCH_TENSOR_RECORD_H_
