#ifndef PRETRAINED_MODELING_MODEL_LAYOUT_H_
#define PRETRAINED_MODELING_MODEL_LAYOUT_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// What a model of one class and config is made of, without LibTorch: its module
// tree in float32, and the facts of its class.
struct ModelLayout {
  std::string class_name;         // "BertModel"
  std::string base_model_prefix;  // "bert"
  std::string main_input_name = "input_ids";
  bool can_generate = false;
  std::vector<std::string> no_split_modules;   // Class names.
  std::vector<std::string> tied_weights_keys;  // As in `_tied_weights_keys`.
  ModuleTree tree;
};

// How to make the layout of one class of model.
struct LayoutClass {
  std::string class_name;  // "BertModel"
  const ConfigClass* config_class = nullptr;
  // `model_kwargs` are arguments of the model's constructor beside the config
  // ({"add_pooling_layer": false}). kInvalidArgument for a config or an
  // argument that makes no model.
  std::function<absl::StatusOr<ModelLayout>(
      const PretrainedConfig& config,
      const nlohmann::ordered_json& model_kwargs)>
      build;
};

// Makes a class known; a family calls this when it is linked. `layout_class`
// must live for ever. True, so that it can initialise a static.
bool RegisterLayout(const LayoutClass* layout_class);

// kNotFound, listing the classes that are linked, if there is none.
absl::StatusOr<const LayoutClass*> FindLayout(absl::string_view class_name);

// The class for a config: `class_name` if it is given, else the first of the
// config's `architectures` that is known. kNotFound saying what was looked for.
absl::StatusOr<const LayoutClass*> FindLayoutFor(const PretrainedConfig& config,
                                                 absl::string_view class_name);

// The config class of a `model_type`; kNotFound, listing those that are linked.
absl::StatusOr<const ConfigClass*> FindConfigClass(
    absl::string_view model_type);

// Every linked class, by name.
std::vector<std::string> KnownLayouts();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_MODEL_LAYOUT_H_
