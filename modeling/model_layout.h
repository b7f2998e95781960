#ifndef PRETRAINED_MODELING_MODEL_LAYOUT_H_
#define PRETRAINED_MODELING_MODEL_LAYOUT_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
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
  bool is_parallelizable = false;             // As 4.34's `parallelize()` does.
  std::vector<std::string> no_split_modules;  // Class names.

  // Regular expressions (RE2), each of which is searched for in a key; as the
  // class attributes `_tied_weights_keys`, `_keys_to_ignore_on_load_missing`
  // and so on.
  std::vector<std::string> tied_weights_keys;
  std::vector<std::string> keys_to_ignore_on_load_missing;
  std::vector<std::string> keys_to_ignore_on_load_unexpected;
  std::vector<std::string> keys_to_ignore_on_save;  // Whole names.

  // A parameter whose name has one of these in it stays float32 when the model
  // is loaded as float16. As in `_keep_in_fp32_modules`.
  std::vector<std::string> keep_in_fp32_modules;

  // The module tree; `tree.tied` lists what the config ties.
  ModuleTree tree;
  // {source, copy}: parameters that start as copies, since the config asks for
  // a model that TorchScript can trace (`torchscript`), which knows no ties.
  std::vector<std::pair<std::string, std::string>> cloned_weights;
  // Parameters that the config keeps apart from the one they could be tied to
  // (`tie_word_embeddings` is false), even if a checkpoint stores them as one.
  std::vector<std::string> untied_weights;
};

// Ties parameter `output` (full name) to `input`, or not, or makes it a copy,
// as the config's `tie_word_embeddings` and `torchscript` say.
// Matches: transformers 4.34 modeling_utils.py `_tie_or_clone_weights`.
absl::Status TieWordEmbeddings(const PretrainedConfig& config,
                               absl::string_view input,
                               absl::string_view output, ModelLayout& layout);

// The layout of the model that `layout` holds as its child `child_name`: a head
// model's base. Facts of the class are kept, names of ties shortened.
ModelLayout SubmodelLayout(const ModelLayout& layout,
                           absl::string_view child_name);

// kInvalidArgument unless `model_kwargs` is empty: for a class whose
// constructor takes nothing but the config.
absl::Status RefuseModelArguments(absl::string_view class_name,
                                  const nlohmann::ordered_json& model_kwargs);

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

// For a class whose constructor takes nothing but the config: `build` gets the
// family's checked config too.
template <typename Config>
LayoutClass MakeLayoutClass(
    std::string class_name, const ConfigClass& config_class,
    absl::StatusOr<ModelLayout> (*build)(const PretrainedConfig& config,
                                         const Config& checked)) {
  LayoutClass result{.class_name = class_name, .config_class = &config_class};
  result.build = [class_name = std::move(class_name), build](
                     const PretrainedConfig& config,
                     const nlohmann::ordered_json& model_kwargs)
      -> absl::StatusOr<ModelLayout> {
    absl::Status status = RefuseModelArguments(class_name, model_kwargs);
    if (!status.ok()) return status;
    absl::StatusOr<Config> checked = Config::From(config);
    if (!checked.ok()) return checked.status();
    return build(config, *checked);
  };
  return result;
}

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
