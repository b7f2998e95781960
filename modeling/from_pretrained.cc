#include "modeling/from_pretrained.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "dtypes/dtype.h"
#include "modeling/catch_torch.h"
#include "modeling/device_map_option.h"
#include "modeling/key_matching.h"
#include "modeling/loading_info.h"
#include "modeling/model_layout.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_bridge.h"
#include "modeling/weight_loader.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

// The config, with the config's share of `kwargs` put in; the rest is left in
// `model_kwargs`.
absl::StatusOr<PretrainedConfig> ResolveConfig(
    const ConfigClass& config_class, absl::string_view folder,
    const FromPretrainedOptions& options, Json& model_kwargs) {
  const std::string config_folder =
      options.subfolder.empty() ? std::string(folder)
                                : absl::StrCat(folder, "/", options.subfolder);
  absl::StatusOr<PretrainedConfig> config =
      options.config.has_value()
          ? absl::StatusOr<PretrainedConfig>(
                options.config->WithClass(config_class))
          : PretrainedConfig::FromPretrained(config_folder, config_class);
  if (!config.ok()) return config;
  if (config->IsSet("quantization_config") &&
      !config->Get("quantization_config").is_null()) {
    return absl::UnimplementedError(absl::StrCat(
        config->file_name(),
        ": 'quantization_config' asks for quantised modules, which this "
        "version does not have; load a checkpoint that is not quantised"));
  }
  for (const auto& [name, value] : options.kwargs.items()) {
    if (config->IsSet(name) || config->HasDefault(name)) {
      config->Set(name, value);
    } else {
      model_kwargs[name] = value;
    }
  }
  return config;
}

// Weights that another framework saved have other names and layouts.
absl::Status CheckFramework(const Checkpoint& checkpoint) {
  if (checkpoint.format() != "safetensors") return absl::OkStatus();
  for (const auto& [key, value] : checkpoint.metadata()) {
    if (key != "format" || value == "pt") continue;
    return absl::UnimplementedError(absl::StrCat(
        checkpoint.files()[0].path, ": its metadata says format '", value,
        "', but weights in PyTorch's names and layout, 'pt', are expected; "
        "save the model again from PyTorch"));
  }
  return absl::OkStatus();
}

// The dtype of floating weights, as `torch_dtype` asks for it.
absl::StatusOr<Dtype> ResolveDtype(const FromPretrainedOptions& options,
                                   const PretrainedConfig& config,
                                   const Checkpoint& checkpoint) {
  if (options.torch_dtype.empty()) return Dtype::kFloat32;
  absl::StatusOr<std::optional<Dtype>> asked =
      ParseTorchDtype(options.torch_dtype);
  if (!asked.ok()) return asked.status();
  std::string source = "torch_dtype";
  if (!asked->has_value() && config.Get("torch_dtype").is_string()) {
    source = absl::StrCat(config.file_name(), ": 'torch_dtype'");
    asked = ParseTorchDtype(config.Get("torch_dtype").get<std::string>());
    if (!asked.ok()) return asked.status();
  }
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (asked->has_value()) break;
    if (IsFloatingPoint(tensor.dtype)) *asked = tensor.dtype;
  }
  const Dtype dtype = asked->value_or(Dtype::kFloat32);
  if (!IsFloatingPoint(dtype)) {
    return absl::InvalidArgumentError(absl::StrCat(
        source, " is ", DtypeName(dtype),
        ", but a model's weights are floating: float32, float16, .."));
  }
  return dtype;
}

KeyMatches MatchAll(const ModelLayout& layout, const Checkpoint& checkpoint) {
  std::vector<NamedShape> wanted;
  for (StateDictEntry& entry : StateDictOf(layout.tree.root)) {
    wanted.push_back({std::move(entry.name), std::move(entry.spec.shape)});
  }
  std::vector<NamedShape> stored;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    stored.push_back({tensor.name, tensor.shape});
  }
  KeyMatchingOptions options{.base_model_prefix = layout.base_model_prefix};
  ForEachBuffer(
      layout.tree.root,
      [&](const std::string& name, const TensorSpec& spec, const ModuleNode&) {
        if (!spec.persistent) options.ignored_buffers.insert(name);
      });
  return MatchKeys(wanted, stored, options);
}

std::string ShowShape(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// An error when the keys say that this is not the model's checkpoint.
absl::Status CheckMatches(const ModelLayout& layout,
                          const Checkpoint& checkpoint,
                          const KeyMatches& matches,
                          bool ignore_mismatched_sizes) {
  const std::string file = checkpoint.files()[0].path;
  // A file without any tensor contradicts nothing: all weights are drawn, with
  // the warning that says so.
  if (matches.matched.empty() && matches.mismatched.empty() &&
      !checkpoint.tensors().empty() && !matches.missing.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        file, ": none of its ", checkpoint.tensors().size(),
        " tensors belongs to ", layout.class_name, ", which expects '",
        matches.missing[0], "', .. (prefix '", layout.base_model_prefix,
        ".' allowed); it holds '", checkpoint.tensors()[0].name,
        "', ..; check that config and weights are of one model"));
  }
  if (matches.mismatched.empty() || ignore_mismatched_sizes) {
    return absl::OkStatus();
  }
  std::string list;
  for (const MismatchedKey& key : matches.mismatched) {
    absl::StrAppend(
        &list, "\n  tensor '", key.name, "': ", ShowShape(key.checkpoint_shape),
        " in the checkpoint, ", ShowShape(key.model_shape), " in the model");
  }
  return absl::InvalidArgumentError(absl::StrCat(
      file, ": ", matches.mismatched.size(),
      " tensors have another shape than ", layout.class_name,
      " with this config:", list,
      "\n  correct the config, or set ignore_mismatched_sizes to draw these "
      "anew"));
}

void WarnAboutKeys(const ModelLayout& layout, const LoadingInfo& info) {
  if (!info.unexpected_keys.empty()) {
    ABSL_LOG(WARNING)
        << "weights of the checkpoint that " << layout.class_name
        << " does not use: " << absl::StrJoin(info.unexpected_keys, ", ")
        << "; to be expected when the checkpoint is of a model with "
           "another head, or for another task";
  }
  std::vector<std::string> drawn = info.missing_keys;
  for (const MismatchedKey& key : info.mismatched_keys) {
    drawn.push_back(absl::StrCat(key.name, " ", ShowShape(key.checkpoint_shape),
                                 " instead of ", ShowShape(key.model_shape)));
  }
  if (!drawn.empty()) {
    ABSL_LOG(WARNING)
        << "weights of " << layout.class_name
        << " that are not in the checkpoint, or of another shape, and "
           "were drawn at random: "
        << absl::StrJoin(drawn, ", ")
        << "; train the model before using what depends on them";
  }
}

// Everything after the files were opened and the keys matched.
absl::StatusOr<std::shared_ptr<PretrainedModel>> Build(
    const ModelClass& model_class, const PretrainedConfig& config,
    ModelLayout layout, const Checkpoint& checkpoint, const KeyMatches& matches,
    const WeightLoaderOptions& options, LoadingInfo& info) {
  const ModuleOptions on_meta{.device = at::kMeta,
                              .dtype = ToScalarType(options.dtype)};
  std::shared_ptr<PretrainedModel> model =
      model_class.create(config, std::move(layout), on_meta);
  absl::Status status =
      LoadMatchedWeights(checkpoint, matches, options, *model, info);
  if (status.ok()) status = InitializeMissingWeights(matches, *model);
  if (status.ok()) status = checkpoint.CheckFilesUnchanged();
  if (!status.ok()) return status;
  model->ForEachModule([](const std::string&, Module& module) {
    module.ComputeBuffers(at::kCPU);
  });
  model->eval();
  return model;
}

absl::StatusOr<std::shared_ptr<PretrainedModel>> Load(
    const ModelClass& model_class, absl::string_view folder,
    const FromPretrainedOptions& options, LoadingInfo& info) {
  const absl::Time start = absl::Now();
  absl::StatusOr<DeviceMapEntries> device_map =
      ResolveDeviceMap(options.device_map);
  if (!device_map.ok()) return device_map.status();
  Json model_kwargs = Json::object();
  absl::StatusOr<PretrainedConfig> config = ResolveConfig(
      *model_class.layout->config_class, folder, options, model_kwargs);
  if (!config.ok()) return config.status();
  absl::StatusOr<ModelLayout> layout =
      model_class.layout->build(*config, model_kwargs);
  if (!layout.ok()) return layout.status();
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = OpenCheckpoint(
      std::string(folder), {.variant = options.variant,
                            .use_safetensors = options.use_safetensors,
                            .subfolder = options.subfolder});
  if (!checkpoint.ok()) return checkpoint.status();
  absl::Status status = CheckFramework(**checkpoint);
  if (!status.ok()) return status;
  absl::StatusOr<Dtype> dtype = ResolveDtype(options, *config, **checkpoint);
  if (!dtype.ok()) return dtype.status();

  KeyMatches matches = MatchAll(*layout, **checkpoint);
  info.missing_keys = matches.missing;
  info.unexpected_keys = matches.unexpected;
  info.mismatched_keys = matches.mismatched;
  info.dtype = std::string(DtypeName(*dtype));
  for (const CheckpointFile& file : (*checkpoint)->files()) {
    info.files.push_back(file.path);
  }
  status = CheckMatches(*layout, **checkpoint, matches,
                        options.ignore_mismatched_sizes);
  if (!status.ok()) return status;
  auto model = Build(model_class, *config, *layout, **checkpoint, matches,
                     {.dtype = *dtype,
                      .use_mmap = options.use_mmap,
                      .progress = options.progress},
                     info);
  if (!model.ok()) return model;
  (*model)->set_hf_device_map(*std::move(device_map));
  info.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  WarnAboutKeys(*layout, info);
  return model;
}

}  // namespace

absl::StatusOr<std::shared_ptr<PretrainedModel>> LoadPretrained(
    const ModelClass& model_class, absl::string_view folder,
    const FromPretrainedOptions& options) {
  LoadingInfo info;
  // Weights made under somebody's inference mode could never be trained.
  auto model =
      CatchTorch(absl::StrCat("loading ", model_class.layout->class_name,
                              " from ", folder),
                 [&]() -> absl::StatusOr<std::shared_ptr<PretrainedModel>> {
                   c10::InferenceMode normal_mode(false);
                   return Load(model_class, folder, options, info);
                 });
  if (!model.ok()) info.error_msgs = {std::string(model.status().message())};
  if (options.output_loading_info != nullptr) {
    *options.output_loading_info = std::move(info);
  }
  return model;
}

}  // namespace pretrained
