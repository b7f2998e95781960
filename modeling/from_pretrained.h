#ifndef PRETRAINED_MODELING_FROM_PRETRAINED_H_
#define PRETRAINED_MODELING_FROM_PRETRAINED_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/loading_info.h"
#include "modeling/model_layout.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// The arguments of from_pretrained, under their documented names.
struct FromPretrainedOptions {
  // "auto" (the config's, else that of the first floating weight), or a dtype
  // such as "float16"; float32 when empty.
  std::string torch_dtype;
  // Replaces the folder's config.json.
  std::optional<PretrainedConfig> config;
  // What transformers takes as further keyword arguments: config attributes
  // ({"output_attentions": true}), and arguments of the model's constructor
  // ({"add_pooling_layer": false}).
  nlohmann::ordered_json kwargs = nlohmann::ordered_json::object();
  // "fp16" reads model.fp16.safetensors, or pytorch_model.fp16.bin.
  std::string variant;
  // Weights of another shape are drawn anew instead of being an error.
  bool ignore_mismatched_sizes = false;
  // True takes safetensors files only, false none of them. Without a value they
  // come first, but pytorch_model.bin will do.
  std::optional<bool> use_safetensors;
  // Where in the folder config and weights are; empty: in itself.
  std::string subfolder;
  // "", "auto", "cpu", "balanced", ..: without an accelerator all of them place
  // the model on the CPU; or a JSON object {module name: device}.
  std::string device_map;
  // Views weights in place where their dtype allows; false copies them all.
  bool use_mmap = true;
  // Told, as weights arrive, how many of how many stored bytes are in place.
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress;
  // Filled when not null, also when loading fails after keys were matched.
  LoadingInfo* output_loading_info = nullptr;
};

// One class of models: its layout, and how to build it from that.
struct ModelClass {
  const LayoutClass* layout = nullptr;
  std::function<std::shared_ptr<PretrainedModel>(const PretrainedConfig& config,
                                                 ModelLayout layout,
                                                 const ModuleOptions& options)>
      create;
};

// Loads the model of class `model_class` from a local folder: config.json and
// weights, in one file or in shards, become a model in eval mode, on the CPU.
//
// Weights whose stored dtype is the wanted one are mapped, copy-on-write; the
// others are read and converted. What the checkpoint lacks is drawn as the
// family initialises it, with a warning.
//
//   kNotFound            no such folder, no config.json, no weights
//   kInvalidArgument     an option or config that makes no model, or tensors of
//                        another shape (each is listed)
//   kDataLoss            the weights file is damaged
//   kFailedPrecondition  not one stored tensor belongs to this class
//   kUnimplemented       what this version does not do, saying so
// Memory: private memory stays near zero for mapped weights, and at the model's
//     size plus one tensor for converted ones.
// Matches: transformers 4.34 modeling_utils.py `from_pretrained`.
absl::StatusOr<std::shared_ptr<PretrainedModel>> LoadPretrained(
    const ModelClass& model_class, absl::string_view folder,
    const FromPretrainedOptions& options = {});

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_FROM_PRETRAINED_H_
