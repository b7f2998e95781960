#ifndef PRETRAINED_MODELING_FROM_PRETRAINED_H_
#define PRETRAINED_MODELING_FROM_PRETRAINED_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/from_pretrained_options.h"
#include "modeling/loading_info.h"
#include "modeling/model_layout.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// One class of models: its layout, and how to build it from that.
struct ModelClass {
  const LayoutClass* layout = nullptr;
  std::function<std::shared_ptr<PretrainedModel>(const PretrainedConfig& config,
                                                 ModelLayout layout,
                                                 const ModuleOptions& options)>
      create;
};

// Of a model whose constructor takes (PretrainedConfig, the family's checked
// config, ModelLayout, ModuleOptions).
template <typename Model, typename Config>
ModelClass MakeModelClass(const LayoutClass& layout) {
  return {
      .layout = &layout,
      .create =
          [](const PretrainedConfig& config, ModelLayout layout,
             const ModuleOptions& options) -> std::shared_ptr<PretrainedModel> {
        // The layout was built from this config, so it is a good one.
        return std::make_shared<Model>(config, *Config::From(config),
                                       std::move(layout), options);
      }};
}

// Loads the model of class `model_class`: config.json and weights become a
// model in eval mode, on the CPU. `name_or_path` is a folder, a file of weights
// (whose folder has the config, unless `options.config` is given), or a name
// that `options.resolver` knows; with `options.state_dict` and `options.config`
// it may be empty.
//
// Weights whose stored dtype is the wanted one are mapped, copy-on-write; the
// others are read and converted. What the checkpoint lacks is drawn as the
// family initialises it, with a warning.
//
//   kNotFound            no such folder, no config.json, no weights
//   kInvalidArgument     an option or config that makes no model, or tensors of
//                        another shape (each is listed)
//   kDataLoss            the weights file is damaged
//   kFailedPrecondition  the stored tensors do not belong to this class (see
//                        CheckKeyMatches())
//   kUnimplemented       what this version does not do, saying so
// Memory: private memory stays near zero for mapped weights, and at the model's
//     size plus one tensor for converted ones.
// Matches: transformers 4.34 modeling_utils.py `from_pretrained`.
// Differs: `kwargs` may override attributes of a config that is given as an
//     object, too; what has another shape, and is drawn anew, is drawn as the
//     family does, where 4.34 leaves what torch's constructors drew.
absl::StatusOr<std::shared_ptr<PretrainedModel>> LoadPretrained(
    const ModelClass& model_class, absl::string_view name_or_path,
    const FromPretrainedOptions& options = {});

// The config that the model `name_or_path` is to be loaded with: that of
// `options`, or where `options` says it is, or the model's own. `kwargs` are
// not put in. Errors as LoadPretrained().
absl::StatusOr<PretrainedConfig> ReadModelConfig(
    const ConfigClass& config_class, const std::string& name_or_path,
    const FromPretrainedOptions& options);

// Arguments of FromConfig().
struct FromConfigOptions {
  // A floating dtype; float32 when empty ("auto" is the config's).
  std::string torch_dtype;
  // Makes the weights repeatable; without one they come from LibTorch's default
  // generator (torch::manual_seed()).
  std::optional<uint64_t> seed;
  // As in FromPretrainedOptions.
  nlohmann::ordered_json kwargs = nlohmann::ordered_json::object();
};

// A model with new weights, in eval mode, on the CPU.
// Matches: transformers 4.34 modeling_utils.py `_from_config`, which leaves it
//     in training mode.
absl::StatusOr<std::shared_ptr<PretrainedModel>> ModelFromConfig(
    const ModelClass& model_class, const PretrainedConfig& config,
    const FromConfigOptions& options = {});

// Gives a model class `Self`, which has a static Class(), the ways to make one:
//
//   class BertModel : public PretrainedModel, public Loadable<BertModel> { ..
//   };
template <typename Self>
class Loadable {
 public:
  // See LoadPretrained().
  static absl::StatusOr<std::shared_ptr<Self>> FromPretrained(
      absl::string_view name_or_path,
      const FromPretrainedOptions& options = {}) {
    return Cast(LoadPretrained(Self::Class(), name_or_path, options));
  }
  // See ModelFromConfig().
  static absl::StatusOr<std::shared_ptr<Self>> FromConfig(
      const PretrainedConfig& config, const FromConfigOptions& options = {}) {
    return Cast(ModelFromConfig(Self::Class(), config, options));
  }

 private:
  static absl::StatusOr<std::shared_ptr<Self>> Cast(
      absl::StatusOr<std::shared_ptr<PretrainedModel>> model) {
    if (!model.ok()) return model.status();
    return std::static_pointer_cast<Self>(*std::move(model));
  }
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_FROM_PRETRAINED_H_
