#include "modeling/tensor_file.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_writer.h"
#include "modeling/catch_torch.h"
#include "modeling/model_output.h"
#include "modeling/tensor_bridge.h"

namespace pretrained {

absl::StatusOr<NamedTensors> ReadTensorFile(const std::string& path) {
  absl::StatusOr<std::unique_ptr<Checkpoint>> file = OpenCheckpoint(path);
  if (!file.ok()) return file.status();
  NamedTensors tensors;
  for (const TensorInfo& info : (*file)->tensors()) {
    absl::StatusOr<at::Tensor> tensor =
        ReadTensor(**file, info, {.dtype = info.dtype});
    if (!tensor.ok()) return tensor.status();
    tensors.emplace(info.name, *std::move(tensor));
  }
  return tensors;
}

absl::Status WriteTensorFile(
    const std::string& path,
    const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  return CatchTorch(absl::StrCat("writing ", path), [&]() -> absl::Status {
    std::vector<at::Tensor> dense;  // Keeps the bytes until they are written.
    std::vector<TensorToWrite> entries;
    for (const auto& [name, tensor] : tensors) {
      dense.push_back(tensor.detach().to(at::kCPU).contiguous());
      absl::StatusOr<Dtype> dtype = ToDtype(tensor.scalar_type());
      if (!dtype.ok()) return dtype.status();
      entries.push_back({.name = name,
                         .dtype = *dtype,
                         .shape = dense.back().sizes().vec(),
                         .data = dense.back().const_data_ptr()});
    }
    return WriteSafetensors(path, entries, {{"format", "pt"}});
  });
}

}  // namespace pretrained
