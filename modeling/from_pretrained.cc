#include "modeling/from_pretrained.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "ATen/CPUGeneratorImpl.h"
#include "ATen/core/Generator.h"
#include "ATen/ops/empty.h"
#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "device_map/device.h"
#include "dtypes/dtype.h"
#include "modeling/catch_torch.h"
#include "modeling/device_map_option.h"
#include "modeling/file_resolver.h"
#include "modeling/from_pretrained_options.h"
#include "modeling/generation_config.h"
#include "modeling/key_matching.h"
#include "modeling/key_report.h"
#include "modeling/loading_info.h"
#include "modeling/model_layout.h"
#include "modeling/module.h"
#include "modeling/offload/dispatch.h"
#include "modeling/offload/offloaded_weights.h"
#include "modeling/offload/weight_offloader.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/state_dict.h"
#include "modeling/tensor_bridge.h"
#include "modeling/weight_loader.h"
#include "nlohmann/json.hpp"
#include "torch/cuda.h"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;
using Files = FileRequest::Files;

absl::StatusOr<std::string> Resolve(const std::string& name_or_path,
                                    Files files,
                                    const FromPretrainedOptions& options) {
  const FileResolver& resolver =
      options.resolver != nullptr ? *options.resolver : LocalFileResolver();
  return resolver.Resolve(MakeFileRequest(name_or_path, files, options));
}

std::string InSubfolder(const std::string& folder,
                        const FromPretrainedOptions& options) {
  return options.subfolder.empty()
             ? folder
             : absl::StrCat(folder, "/", options.subfolder);
}

// The folder of `path`, which is a folder, or a file of weights.
std::string FolderOf(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return path;
  const std::string parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent;
}

// The config, with the config's share of `kwargs` put in; the rest is left in
// `model_kwargs`.
absl::StatusOr<PretrainedConfig> ResolveConfig(
    const ConfigClass& config_class, const std::string& name_or_path,
    const FromPretrainedOptions& options, Json& model_kwargs) {
  absl::StatusOr<PretrainedConfig> config =
      ReadModelConfig(config_class, name_or_path, options);
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
  if (!name_or_path.empty()) config->Set("_name_or_path", name_or_path);
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

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenWeights(
    const std::string& name_or_path, const FromPretrainedOptions& options) {
  if (options.state_dict.has_value()) {
    return MakeStateDictCheckpoint(*options.state_dict);
  }
  absl::StatusOr<std::string> path =
      Resolve(name_or_path, Files::kWeights, options);
  if (!path.ok()) return path.status();
  std::error_code error;
  const std::string folder = InSubfolder(FolderOf(*path), options);
  if (std::filesystem::exists(folder + "/adapter_config.json", error)) {
    return absl::UnimplementedError(absl::StrCat(
        folder,
        ": has an adapter_config.json, but this version loads no adapters; "
        "merge the adapter into its base model, and load that, or remove the "
        "file to load the base model alone"));
  }
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
      OpenCheckpoint(*path, {.variant = options.variant,
                             .use_safetensors = options.use_safetensors,
                             .subfolder = options.subfolder,
                             .from_tf = options.from_tf,
                             .from_flax = options.from_flax});
  if (!checkpoint.ok()) return checkpoint;
  absl::Status status = CheckFramework(**checkpoint);
  if (!status.ok()) return status;
  return checkpoint;
}

// The dtype of floating weights as `torch_dtype` asks for it; `checkpoint` may
// be null.
absl::StatusOr<Dtype> ResolveDtype(const std::string& torch_dtype,
                                   const PretrainedConfig& config,
                                   const Checkpoint* checkpoint) {
  if (torch_dtype.empty()) return Dtype::kFloat32;
  absl::StatusOr<std::optional<Dtype>> asked = ParseTorchDtype(torch_dtype);
  if (!asked.ok()) return asked.status();
  std::string source = "torch_dtype";
  if (!asked->has_value() && config.Get("torch_dtype").is_string()) {
    source = absl::StrCat(config.file_name(), ": 'torch_dtype'");
    asked = ParseTorchDtype(config.Get("torch_dtype").get<std::string>());
    if (!asked.ok()) return asked.status();
  }
  if (checkpoint != nullptr && !asked->has_value()) {
    for (const TensorInfo& tensor : checkpoint->tensors()) {
      if (!IsFloatingPoint(tensor.dtype)) continue;
      *asked = tensor.dtype;
      break;
    }
  }
  const Dtype dtype = asked->value_or(Dtype::kFloat32);
  if (!IsFloatingPoint(dtype)) {
    return absl::InvalidArgumentError(absl::StrCat(
        source, " is ", DtypeName(dtype),
        ", but a model's weights are floating: float32, float16, .."));
  }
  return dtype;
}

absl::StatusOr<KeyMatches> MatchAll(const ModelLayout& layout,
                                    const Checkpoint& checkpoint) {
  std::vector<NamedShape> wanted;
  for (StateDictEntry& entry : StateDictOf(layout.tree.root)) {
    wanted.push_back({std::move(entry.name), std::move(entry.spec.shape)});
  }
  std::vector<NamedShape> stored;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    stored.push_back({tensor.name, tensor.shape});
  }
  KeyMatchingOptions options{
      .base_model_prefix = layout.base_model_prefix,
      .tied = layout.tree.tied,
      .ignore_missing = layout.keys_to_ignore_on_load_missing,
      .ignore_unexpected = layout.keys_to_ignore_on_load_unexpected};
  options.reported_keys.assign(checkpoint.index_keys().begin(),
                               checkpoint.index_keys().end());
  ForEachBuffer(
      layout.tree.root,
      [&](const std::string& name, const TensorSpec& spec, const ModuleNode&) {
        if (!spec.persistent) options.ignored_buffers.insert(name);
      });
  return MatchKeys(wanted, stored, options);
}

std::optional<at::Generator> MakeGenerator(std::optional<uint64_t> seed) {
  if (!seed.has_value()) return std::nullopt;
  return at::detail::createCPUGenerator(*seed);
}

// The model on the meta device, in `dtype` but for what the family keeps in
// float32.
absl::StatusOr<std::shared_ptr<PretrainedModel>> MakeOnMeta(
    const ModelClass& model_class, const PretrainedConfig& config,
    ModelLayout layout, Dtype dtype) {
  std::vector<std::string> kept;
  if (dtype == Dtype::kFloat16) kept = layout.keep_in_fp32_modules;
  std::shared_ptr<PretrainedModel> model =
      model_class.create(config, std::move(layout),
                         {.device = at::kMeta, .dtype = ToScalarType(dtype)});
  model->PostInit();
  absl::flat_hash_map<std::string, at::Tensor> in_fp32;
  for (const Module::NamedSlot& slot : model->TensorSlots()) {
    const bool keep = absl::c_any_of(kept, [&](const std::string& part) {
      return absl::StrContains(slot.name, part);
    });
    if (!keep || slot.is_buffer || !slot.tensor.is_floating_point()) continue;
    in_fp32[slot.name] =
        at::empty(slot.tensor.sizes(), slot.tensor.options().dtype(at::kFloat));
  }
  absl::Status status = model->ReplaceTensors(in_fp32);
  if (!status.ok()) return status;
  if (model->layout().can_generate) {
    absl::StatusOr<GenerationConfig> generation_config =
        GenerationConfig::FromModelConfig(model->config());
    if (!generation_config.ok()) return generation_config.status();
    model->set_generation_config(*std::move(generation_config));
  }
  return model;
}

// How the model generates, where its folder says so.
absl::Status ReadGenerationConfig(const std::string& name_or_path,
                                  const FromPretrainedOptions& options,
                                  PretrainedModel& model) {
  if (!model.layout().can_generate || name_or_path.empty()) {
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> path =
      Resolve(name_or_path, Files::kConfig, options);
  if (!path.ok()) return path.status();
  absl::StatusOr<GenerationConfig> config =
      GenerationConfig::FromPretrained(InSubfolder(FolderOf(*path), options));
  if (absl::IsNotFound(config.status())) return absl::OkStatus();
  if (!config.ok()) return config.status();
  model.set_generation_config(*std::move(config));
  return absl::OkStatus();
}

// GPUs that this build can use.
std::vector<Device> GpusOfThisBuild() {
  std::vector<Device> gpus;
  const int count = static_cast<int>(torch::cuda::device_count());
  for (int i = 0; i < count; ++i) gpus.push_back(Device::Gpu(i));
  return gpus;
}

// Where the model's tensors go; nothing is read before this is settled.
absl::StatusOr<Placement> Place(const ModelLayout& layout, Dtype dtype,
                                const FromPretrainedOptions& options) {
  absl::StatusOr<Placement> placement =
      PlaceModel(layout, {.device_map = options.device_map,
                          .max_memory = options.max_memory,
                          .dtype = dtype,
                          .gpus = GpusOfThisBuild()});
  if (!placement.ok()) return placement;
  if (!layout.cloned_weights.empty() &&
      (placement->uses(Device::Kind::kDisk) ||
       placement->uses(Device::Kind::kMeta))) {
    return absl::UnimplementedError(
        "device_map: the config's 'torchscript' makes copies of tied weights, "
        "which are not offloaded; leave it out");
  }
  return placement;
}

// Weights into the model that stands on the meta device.
absl::Status FillModel(std::shared_ptr<const Checkpoint> checkpoint,
                       const KeyMatches& matches, const Placement& placement,
                       const FromPretrainedOptions& options,
                       PretrainedModel& model, LoadingInfo& info) {
  // Tensors of the caller's are the model's only where he agrees to it.
  const bool may_share = !options.state_dict.has_value() ||
                         options.low_cpu_mem_usage.value_or(false);
  WeightOffloader offloader(checkpoint, options.offload_folder);
  const WeightLoaderOptions loading = {
      .use_mmap = options.use_mmap && may_share,
      .loader = {.sharing = options.sharing,
                 .num_threads = options.read_threads,
                 .memory_bytes = options.read_memory_bytes,
                 .is_cancelled = options.is_cancelled},
      .untied_weights = model.layout().untied_weights,
      .progress = options.progress,
      .placement = &placement,
      .offloader = &offloader};
  absl::Status status =
      LoadMatchedWeights(*checkpoint, matches, loading, model, info);
  if (status.ok()) {
    status = InitializeMissingWeights(matches, model,
                                      MakeGenerator(options.seed), loading);
  }
  if (status.ok()) status = checkpoint->CheckFilesUnchanged();
  if (!status.ok()) return status;
  absl::StatusOr<std::shared_ptr<const OffloadedWeights>> offloaded =
      offloader.Finish();
  if (!offloaded.ok()) return offloaded.status();
  model.TieWeights();
  model.ForEachModule([](const std::string&, Module& module) {
    module.ComputeBuffers(at::kCPU);
  });
  model.eval();
  model.set_hf_device_map(placement.device_map);
  const bool is_spread =
      placement.uses(Device::Kind::kDisk) || placement.uses(Device::Kind::kGpu);
  if (!is_spread) return absl::OkStatus();
  return DispatchModel(model, placement.device_map, *std::move(offloaded));
}

absl::StatusOr<std::shared_ptr<PretrainedModel>> Load(
    const ModelClass& model_class, const std::string& name_or_path,
    const FromPretrainedOptions& options, LoadingInfo& info) {
  const absl::Time start = absl::Now();
  absl::Status status = CheckFromPretrainedOptions(options);
  if (!status.ok()) return status;
  Json model_kwargs = Json::object();
  absl::StatusOr<PretrainedConfig> config = ResolveConfig(
      *model_class.layout->config_class, name_or_path, options, model_kwargs);
  if (!config.ok()) return config.status();
  absl::StatusOr<ModelLayout> layout =
      model_class.layout->build(*config, model_kwargs);
  if (!layout.ok()) return layout.status();
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
      OpenWeights(name_or_path, options);
  if (!checkpoint.ok()) return checkpoint.status();
  absl::StatusOr<Dtype> dtype =
      ResolveDtype(options.torch_dtype, *config, checkpoint->get());
  if (!dtype.ok()) return dtype.status();
  absl::StatusOr<Placement> placement = Place(*layout, *dtype, options);
  if (!placement.ok()) return placement.status();

  absl::StatusOr<KeyMatches> matches = MatchAll(*layout, **checkpoint);
  if (!matches.ok()) return matches.status();
  info.missing_keys = matches->missing;
  info.unexpected_keys = matches->unexpected;
  info.mismatched_keys = matches->mismatched;
  info.dtype = std::string(DtypeName(*dtype));
  for (const CheckpointFile& file : (*checkpoint)->files()) {
    info.files.push_back(file.path);
  }
  status = CheckKeyMatches(*layout, **checkpoint, *matches,
                           options.ignore_mismatched_sizes);
  if (!status.ok()) return status;
  auto model = MakeOnMeta(model_class, *config, *layout, *dtype);
  if (!model.ok()) return model;
  status = ReadGenerationConfig(name_or_path, options, **model);
  if (status.ok()) {
    status = FillModel(*std::move(checkpoint), *matches, *placement, options,
                       **model, info);
  }
  if (!status.ok()) return status;
  info.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  WarnAboutKeys(*layout, info);
  return model;
}

absl::StatusOr<std::shared_ptr<PretrainedModel>> Make(
    const ModelClass& model_class, PretrainedConfig config,
    const FromConfigOptions& options) {
  Json model_kwargs = Json::object();
  FromPretrainedOptions with_config;
  with_config.config = std::move(config);
  with_config.kwargs = options.kwargs;
  absl::StatusOr<PretrainedConfig> resolved = ResolveConfig(
      *model_class.layout->config_class, "", with_config, model_kwargs);
  if (!resolved.ok()) return resolved.status();
  absl::StatusOr<ModelLayout> layout =
      model_class.layout->build(*resolved, model_kwargs);
  if (!layout.ok()) return layout.status();
  absl::StatusOr<Dtype> dtype =
      ResolveDtype(options.torch_dtype, *resolved, /*checkpoint=*/nullptr);
  if (!dtype.ok()) return dtype.status();
  auto model = MakeOnMeta(model_class, *resolved, *std::move(layout), *dtype);
  if (!model.ok()) return model;
  absl::Status status = (*model)->InitWeights(options.seed);
  if (!status.ok()) return status;
  (*model)->eval();
  return model;
}

}  // namespace

absl::StatusOr<PretrainedConfig> ReadModelConfig(
    const ConfigClass& config_class, const std::string& name_or_path,
    const FromPretrainedOptions& options) {
  if (const auto* config = std::get_if<PretrainedConfig>(&options.config)) {
    return config->WithClass(config_class);
  }
  const auto* named = std::get_if<std::string>(&options.config);
  if (named == nullptr && name_or_path.empty()) {
    return absl::InvalidArgumentError(
        "neither a model's name nor a config is given; pass one of them");
  }
  absl::StatusOr<std::string> path = Resolve(
      named != nullptr ? *named : name_or_path, Files::kConfig, options);
  if (!path.ok()) return path.status();
  return PretrainedConfig::FromPretrained(
      named != nullptr ? *path : InSubfolder(FolderOf(*path), options),
      config_class);
}

absl::StatusOr<std::shared_ptr<PretrainedModel>> LoadPretrained(
    const ModelClass& model_class, absl::string_view name_or_path,
    const FromPretrainedOptions& options) {
  LoadingInfo info;
  // Weights made under somebody's inference mode could never be trained.
  auto model = CatchTorch(
      absl::StrCat("loading ", model_class.layout->class_name, " from ",
                   name_or_path),
      [&]() -> absl::StatusOr<std::shared_ptr<PretrainedModel>> {
        c10::InferenceMode normal_mode(false);
        return Load(model_class, std::string(name_or_path), options, info);
      });
  if (!model.ok()) info.error_msgs = {std::string(model.status().message())};
  if (options.output_loading_info != nullptr) {
    *options.output_loading_info = std::move(info);
  }
  return model;
}

absl::StatusOr<std::shared_ptr<PretrainedModel>> ModelFromConfig(
    const ModelClass& model_class, const PretrainedConfig& config,
    const FromConfigOptions& options) {
  return CatchTorch(absl::StrCat("making ", model_class.layout->class_name),
                    [&]() -> absl::StatusOr<std::shared_ptr<PretrainedModel>> {
                      c10::InferenceMode normal_mode(false);
                      return Make(model_class, config, options);
                    });
}

}  // namespace pretrained
