#include "modeling/offload/weight_offloader.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/offload/offload_folder.h"
#include "checkpoint/offload/offload_writer.h"
#include "checkpoint/tensor_source.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"
#include "modeling/offload/checkpoint_weights.h"
#include "modeling/offload/offloaded_weights.h"
#include "modeling/tensor_bridge.h"

namespace pretrained {

bool WeightOffloader::IsUsableInPlace(const TensorInfo& stored,
                                      Dtype dtype) const {
  return stored.in_place && stored.dtype == dtype &&
         checkpoint_->format() != "state_dict";
}

void WeightOffloader::AddStored(std::vector<std::string> names,
                                const TensorInfo& stored, Dtype dtype) {
  if (!IsUsableInPlace(stored, dtype)) {
    if (first_to_write_.empty()) first_to_write_ = names[0];
    to_write_.push_back({std::move(names), &stored, dtype});
    return;
  }
  for (std::string& name : names) {
    weights_.push_back({std::move(name), checkpoint_, &stored});
  }
}

absl::Status WeightOffloader::CheckFolder() const {
  if (first_to_write_.empty() || !folder_.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "device_map offloads weights to the disk, and '", first_to_write_,
      "' cannot stay in the checkpoint, where it is of another dtype, not "
      "stored as it is used, or missing; provide an offload_folder for such "
      "weights, or load the dtype that is stored"));
}

absl::Status WeightOffloader::BeginWriting() {
  if (writer_.has_value()) return absl::OkStatus();
  absl::Status status = CheckFolder();
  if (!status.ok()) return status;
  absl::StatusOr<OffloadWriter> writer = OffloadWriter::Begin(folder_);
  if (!writer.ok()) return writer.status();
  writer_.emplace(*std::move(writer));
  return absl::OkStatus();
}

absl::Status WeightOffloader::AddDrawn(std::vector<std::string> names,
                                       const at::Tensor& tensor) {
  ExpectDrawn(names[0]);
  absl::Status status = BeginWriting();
  if (!status.ok()) return status;
  absl::StatusOr<Dtype> dtype = ToDtype(tensor.scalar_type());
  if (!dtype.ok()) return dtype.status();
  const at::Tensor dense = tensor.contiguous();
  status = writer_->Add({.name = names[0],
                         .dtype = *dtype,
                         .shape = dense.sizes().vec(),
                         .data = dense.const_data_ptr()});
  if (!status.ok()) return status;
  to_write_.push_back({std::move(names), nullptr, *dtype});
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const OffloadedWeights>>
WeightOffloader::Finish() {
  std::stable_sort(to_write_.begin(), to_write_.end(),
                   [](const ToWrite& a, const ToWrite& b) {
                     if (a.stored == nullptr || b.stored == nullptr) {
                       return b.stored != nullptr && a.stored == nullptr;
                     }
                     return std::pair(a.stored->file, a.stored->begin) <
                            std::pair(b.stored->file, b.stored->begin);
                   });
  for (const ToWrite& weight : to_write_) {
    if (weight.stored == nullptr) continue;
    absl::Status status = BeginWriting();
    if (!status.ok()) return status;
    TensorToWrite tensor =
        TensorFromCheckpoint(*checkpoint_, *weight.stored, weight.dtype);
    tensor.name = weight.names[0];
    status = writer_->Add(tensor);
    if (!status.ok()) return status;
  }
  if (writer_.has_value()) {
    absl::Status status = checkpoint_->CheckFilesUnchanged();
    if (status.ok()) status = writer_->Commit();
    if (!status.ok()) return status;
    absl::StatusOr<std::shared_ptr<const OffloadFolder>> folder =
        OffloadFolder::OpenEntries(folder_, writer_->entries());
    if (!folder.ok()) return folder.status();
    for (const ToWrite& weight : to_write_) {
      absl::StatusOr<const TensorInfo*> tensor =
          (*folder)->Find(weight.names[0]);
      if (!tensor.ok()) return tensor.status();
      for (const std::string& name : weight.names) {
        weights_.push_back({name, *folder, *tensor});
      }
    }
  }
  if (weights_.empty()) return nullptr;
  return MakeCheckpointWeights(std::move(weights_));
}

}  // namespace pretrained
