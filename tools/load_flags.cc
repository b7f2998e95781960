#include "tools/load_flags.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/byte_size.h"
#include "checkpoint/loading/engine_choice.h"
#include "dtypes/dtype.h"
#include "modeling/auto_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/loading_info.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "nlohmann/json.hpp"
#include "tools/progress_bar.h"
#include "tools/source.h"

namespace pretrained {
namespace {

// What CLI11 wants of a check: the complaint, or nothing.
std::string UsageError(const absl::Status& status) {
  return std::string(status.message());
}

std::string IsJsonObject(const std::string& text) {
  return nlohmann::ordered_json::parse(text.begin(), text.end(), nullptr, false)
                 .is_object()
             ? ""
             : absl::StrCat(text,
                            " is not a JSON object such as {\"cpu\": \"8GB\"}");
}

// The limits of a JSON object, each as text.
std::map<std::string, std::string> LimitsOf(const std::string& text) {
  std::map<std::string, std::string> limits;
  if (text.empty()) return limits;
  const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  for (const auto& [device, limit] : json.items()) {
    limits[device] =
        limit.is_string() ? limit.get<std::string>() : limit.dump();
  }
  return limits;
}

}  // namespace

void LoadFlags::Configure(CLI::App& app) {
  app.add_option("SRC", source_, "Folder with config.json and weights")
      ->required();
  app.add_option("--class", class_name_,
                 "Model class; the config's architectures decide without");
  app.add_option("--dtype", dtype_,
                 absl::StrCat("Of the weights: auto, float32, float16, "
                              "bfloat16, float64; ",
                              dtype_.empty() ? "float32" : dtype_, " without"))
      ->check([](const std::string& text) {
        return UsageError(ParseTorchDtype(text).status());
      });
  CLI::Option* device_map =
      app.add_option("--device_map", device_map_,
                     "Where modules go: auto, balanced, balanced_low_0, "
                     "sequential; cpu, disk; or JSON {module: device}");
  app.add_option("--max_memory", max_memory_,
                 "JSON {device: bytes or \"10GB\"}; needs --device_map")
      ->needs(device_map)
      ->check(IsJsonObject);
  app.add_option("--offload_folder", offload_folder_,
                 "Folder for weights that fit nowhere else; needs "
                 "--device_map")
      ->needs(device_map);
  app.add_flag("--ignore_mismatched_sizes", ignore_mismatched_sizes_,
               "Draws weights anew whose stored shape is another one");
  app.add_flag_function(
      "--use_safetensors", [this](int64_t set) { use_safetensors_ = set > 0; },
      "Reads safetensors only; =false reads none of them");
  app.add_option("--sharing", sharing_,
                 "Whose memory weights live in that keep their dtype: auto, "
                 "shared (by all processes that load them), private")
      ->check(CLI::IsMember({"auto", "shared", "private"}));
  app.add_option("--read_threads", read_threads_,
                 "Reads in flight; as many as suit without")
      ->check(CLI::Range(0, 1024));
  app.add_option("--read_memory", read_memory_,
                 "Private memory for weights before they are mapped instead, "
                 "such as 8GB; what the machine leaves without")
      ->check([](const std::string& text) {
        return UsageError(ParseByteSize(text).status());
      });
  app.add_option("--variant", variant_,
                 "Reads the files of a variant: fp16 for "
                 "model.fp16.safetensors");
  app.add_option("--subfolder", subfolder_,
                 "Where in SRC config and weights are");
  app.add_option("--revision", revision_,
                 "Of a Hub id; a local folder has no revisions");
}

absl::StatusOr<std::shared_ptr<PretrainedModel>> LoadFlags::Load(
    LoadingInfo* info) {
  absl::Status status = CheckSource(source_);
  if (!status.ok()) return status;
  absl::StatusOr<PretrainedConfig> config = ReadSourceConfig(
      subfolder_.empty() ? source_ : absl::StrCat(source_, "/", subfolder_),
      class_name_);
  if (!config.ok()) return config.status();
  absl::StatusOr<const ModelClass*> model_class =
      FindModelFor(*config, class_name_);
  if (!model_class.ok()) return model_class.status();
  ProgressBar bar("loading weights");
  return LoadPretrained(
      **model_class, source_,
      {.torch_dtype = dtype_,
       .config = *config,
       .variant = variant_,
       .ignore_mismatched_sizes = ignore_mismatched_sizes_,
       .use_safetensors = use_safetensors_,
       .subfolder = subfolder_,
       .device_map = device_map_,
       .max_memory = LimitsOf(max_memory_),
       .offload_folder = offload_folder_,
       .sharing = sharing_ == "shared"    ? Sharing::kShared
                  : sharing_ == "private" ? Sharing::kPrivate
                                          : Sharing::kAuto,
       .read_threads = read_threads_,
       .read_memory_bytes = ParseByteSize(read_memory_).value_or(0),
       .progress = [&bar](int64_t done,
                          int64_t total) { bar.Update(done, total); },
       .output_loading_info = info});
}

}  // namespace pretrained
