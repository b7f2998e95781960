#include "modeling/save_pretrained.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/byte_size.h"
#include "checkpoint/save/save_checkpoint.h"
#include "checkpoint/tensor_to_write.h"
#include "checkpoint/tied_aliases.h"
#include "dtypes/dtype.h"
#include "modeling/catch_torch.h"
#include "modeling/generation_config.h"
#include "modeling/pretrained_config.h"
#include "modeling/state_dict.h"
#include "modeling/tensor_bridge.h"

namespace pretrained {
namespace {

// Without the keys that are not to be saved and, for safetensors, the aliases.
absl::StatusOr<StateDict> WhatToStore(const ModelToSave& model,
                                      const SavePretrainedOptions& options) {
  StateDict stored =
      options.state_dict.has_value() ? *options.state_dict : model.state_dict;
  const absl::flat_hash_set<std::string> ignored(
      model.keys_to_ignore_on_save.begin(), model.keys_to_ignore_on_save.end());
  std::erase_if(
      stored, [&](const auto& entry) { return ignored.contains(entry.first); });
  for (const auto& [name, tensor] : stored) {
    if (tensor.defined() && !tensor.is_meta()) continue;
    if (tensor.defined() && model.offloaded.contains(name)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("tensor '", name, "' has no values to save: it is ",
                     tensor.defined() ? "on the meta device" : "undefined",
                     "; load or initialise the model first"));
  }
  if (!options.safe_serialization) return stored;
  const std::vector<int> first = FirstAliases(stored);
  std::vector<absl::string_view> names;
  for (const auto& [name, unused] : stored) names.push_back(name);
  absl::StatusOr<std::vector<bool>> left_out =
      AliasesToLeaveOut(names, first, model.tied_weights_keys);
  if (!left_out.ok()) return left_out.status();
  StateDict once;
  for (size_t i = 0; i < stored.size(); ++i) {
    if (!(*left_out)[i]) once.push_back(std::move(stored[i]));
  }
  return once;
}

// Hands a tensor's elements over in pieces, so that one that is not dense, or
// not on the CPU, is copied only when its turn comes.
std::function<absl::Status(TensorSink)> Producer(const at::Tensor& tensor) {
  return [tensor](TensorSink sink) {
    return CatchTorch("saving a tensor", [&]() -> absl::Status {
      const at::Tensor dense = tensor.detach().cpu().contiguous();
      return sink(absl::string_view(
          static_cast<const char*>(dense.const_data_ptr()), dense.nbytes()));
    });
  };
}

// Reads the offloaded weight `name`; `described` is its place on meta.
absl::StatusOr<at::Tensor> ReadOffloaded(
    const std::string& name, const at::Tensor& described,
    const std::function<absl::StatusOr<at::Tensor>()>& read) {
  absl::StatusOr<at::Tensor> tensor = read();
  if (!tensor.ok() || (tensor->sizes() == described.sizes() &&
                       tensor->scalar_type() == described.scalar_type())) {
    return tensor;
  }
  return absl::DataLossError(
      absl::StrCat("tensor '", name,
                   "': the offloaded weight has another shape or dtype than "
                   "the model's"));
}

absl::StatusOr<std::vector<TensorToWrite>> TensorsToWrite(
    const StateDict& stored, const ModelToSave& model) {
  const std::vector<int> first = FirstAliases(stored);
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : stored) {
    absl::StatusOr<Dtype> dtype = ToDtype(tensor.scalar_type());
    if (!dtype.ok()) {
      return absl::Status(
          dtype.status().code(),
          absl::StrCat("tensor '", name, "': ", dtype.status().message()));
    }
    const int index = static_cast<int>(tensors.size());
    TensorToWrite& written = tensors.emplace_back();
    written.name = name;
    written.dtype = *dtype;
    written.shape = tensor.sizes().vec();
    if (first[index] != index) {
      written.alias_of = first[index];
    } else if (tensor.is_meta()) {
      written.produce = [name, tensor, read = model.offloaded.at(name)](
                            TensorSink sink) -> absl::Status {
        absl::StatusOr<at::Tensor> values = ReadOffloaded(name, tensor, read);
        if (!values.ok()) return values.status();
        return Producer(*values)(sink);
      };
    } else if (tensor.is_cpu() && tensor.is_contiguous()) {
      written.data = tensor.const_data_ptr();
      if (written.data == nullptr) written.produce = Producer(tensor);
    } else {
      written.produce = Producer(tensor);
    }
  }
  return tensors;
}

// config.json and generation_config.json, by name.
std::vector<std::pair<std::string, std::string>> ConfigFiles(
    const ModelToSave& model) {
  PretrainedConfig config = model.config;
  config.Set("torch_dtype", model.torch_dtype);
  config.Set("architectures",
             nlohmann::ordered_json::array({model.class_name}));
  std::vector<std::pair<std::string, std::string>> files = {
      {"config.json", config.ToJsonString()}};
  if (model.generation_config.has_value()) {
    absl::Status status = model.generation_config->CheckSavable();
    if (status.ok()) {
      files.emplace_back("generation_config.json",
                         model.generation_config->ToJsonString());
    } else {
      ABSL_LOG(WARNING) << "generation_config.json is not saved: "
                        << status.message();
    }
  }
  return files;
}

absl::Status PushToHub(const std::string& folder, const SavedCheckpoint& saved,
                       const SavePretrainedOptions& options) {
  std::string repo_id = options.repo_id;
  if (repo_id.empty()) {
    // The "." leaves no name after a last "/", whether `folder` has one or not.
    repo_id = (std::filesystem::absolute(folder) / ".")
                  .lexically_normal()
                  .parent_path()
                  .filename()
                  .string();
  }
  return options.uploader->Upload({.folder = folder,
                                   .files = saved.files,
                                   .repo_id = std::move(repo_id),
                                   .commit_message = options.commit_message,
                                   .token = options.token});
}

}  // namespace

absl::StatusOr<SavedCheckpoint> SaveModel(
    const ModelToSave& model, const std::string& folder,
    const SavePretrainedOptions& options) {
  if (options.push_to_hub && options.uploader == nullptr) {
    return absl::FailedPreconditionError(
        "push_to_hub: there is no uploader; pass one in "
        "SavePretrainedOptions::uploader, or save without and upload the "
        "folder");
  }
  absl::StatusOr<int64_t> max_shard_bytes =
      ParseByteSize(options.max_shard_size);
  if (!max_shard_bytes.ok()) {
    return absl::Status(
        max_shard_bytes.status().code(),
        absl::StrCat("max_shard_size: ", max_shard_bytes.status().message()));
  }
  absl::StatusOr<StateDict> stored = WhatToStore(model, options);
  if (!stored.ok()) return stored.status();
  absl::StatusOr<std::vector<TensorToWrite>> tensors =
      TensorsToWrite(*stored, model);
  if (!tensors.ok()) return tensors.status();
  SaveCheckpointOptions save{
      .format = options.safe_serialization ? "safetensors" : "torch",
      .max_shard_bytes = *max_shard_bytes,
      .variant = options.variant,
      .remove_stale = options.is_main_process,
      .progress = options.progress};
  if (options.is_main_process) save.other_files = ConfigFiles(model);
  if (options.save_function && !options.safe_serialization) {
    const absl::flat_hash_map<std::string, at::Tensor> by_name(stored->begin(),
                                                               stored->end());
    save.write_file = [by_name, &options, &model](
                          const std::string& path,
                          absl::Span<const TensorToWrite> shard) {
      StateDict tensors_of_shard;
      for (const TensorToWrite& tensor : shard) {
        at::Tensor values = by_name.at(tensor.name);
        if (values.is_meta()) {
          absl::StatusOr<at::Tensor> read = ReadOffloaded(
              tensor.name, values, model.offloaded.at(tensor.name));
          if (!read.ok()) return read.status();
          values = *std::move(read);
        }
        tensors_of_shard.emplace_back(tensor.name, std::move(values));
      }
      return options.save_function(tensors_of_shard, path);
    };
  }
  absl::StatusOr<SavedCheckpoint> saved =
      SaveCheckpoint(folder, *std::move(tensors), save);
  if (!saved.ok() || !options.push_to_hub) return saved;
  absl::Status status = PushToHub(folder, *saved, options);
  if (!status.ok()) return status;
  return saved;
}

}  // namespace pretrained
