#include "modeling/auto_model.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "modeling/from_pretrained.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_model.h"

namespace pretrained {
namespace {

// Written while the program starts, read ever after.
struct Registry {
  absl::Mutex mutex;
  std::map<std::string, const ModelClass*> classes ABSL_GUARDED_BY(mutex);
  std::map<std::string, std::string> auto_models ABSL_GUARDED_BY(mutex);
};

Registry& TheRegistry() {
  static Registry* const registry = new Registry;
  return *registry;
}

// The class that AutoModel makes for `model_type`.
absl::StatusOr<std::string> AutoClassName(const PretrainedConfig& config) {
  Registry& registry = TheRegistry();
  absl::MutexLock lock(&registry.mutex);
  auto found = registry.auto_models.find(config.model_type());
  if (found != registry.auto_models.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [model_type, unused] : registry.auto_models) {
    known.push_back(model_type);
  }
  return absl::NotFoundError(absl::StrCat(
      config.file_name(), ": model_type '", config.model_type(),
      "' is not among the families linked here (", absl::StrJoin(known, ", "),
      "); link the family's target, or load with a class of your own"));
}

}  // namespace

bool RegisterModel(const ModelClass* model_class) {
  Registry& registry = TheRegistry();
  absl::MutexLock lock(&registry.mutex);
  registry.classes[model_class->layout->class_name] = model_class;
  return true;
}

bool RegisterAutoModel(absl::string_view model_type,
                       absl::string_view class_name) {
  Registry& registry = TheRegistry();
  absl::MutexLock lock(&registry.mutex);
  registry.auto_models[std::string(model_type)] = std::string(class_name);
  return true;
}

absl::StatusOr<const ModelClass*> FindModel(absl::string_view class_name) {
  Registry& registry = TheRegistry();
  {
    absl::MutexLock lock(&registry.mutex);
    auto found = registry.classes.find(std::string(class_name));
    if (found != registry.classes.end()) return found->second;
  }
  absl::StatusOr<const LayoutClass*> layout = FindLayout(class_name);
  if (!layout.ok()) return layout.status();
  return absl::NotFoundError(absl::StrCat(
      "model class '", class_name,
      "' is linked as a layout only; link its model's target to run it"));
}

absl::StatusOr<const ModelClass*> FindModelFor(const PretrainedConfig& config,
                                               absl::string_view class_name) {
  absl::StatusOr<const LayoutClass*> layout = FindLayoutFor(config, class_name);
  if (!layout.ok()) return layout.status();
  return FindModel((*layout)->class_name);
}

absl::StatusOr<std::shared_ptr<PretrainedModel>> AutoModel::FromPretrained(
    absl::string_view folder, const FromPretrainedOptions& options) {
  // Without a family at first, for the model_type; LoadPretrained() adds the
  // family's defaults to what was read here.
  FromPretrainedOptions with_config = options;
  if (!with_config.config.has_value()) {
    absl::StatusOr<PretrainedConfig> stored =
        PretrainedConfig::FromPretrained(folder);
    if (!stored.ok()) return stored.status();
    with_config.config = *std::move(stored);
  }
  absl::StatusOr<std::string> class_name = AutoClassName(*with_config.config);
  if (!class_name.ok()) return class_name.status();
  absl::StatusOr<const ModelClass*> model_class = FindModel(*class_name);
  if (!model_class.ok()) return model_class.status();
  return LoadPretrained(**model_class, folder, with_config);
}

}  // namespace pretrained
