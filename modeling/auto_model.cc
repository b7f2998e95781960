#include "modeling/auto_model.h"

#include <map>
#include <memory>
#include <set>
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
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"

namespace pretrained {
namespace {

// Written while the program starts, read ever after.
struct Registry {
  absl::Mutex mutex;
  std::map<std::string, const ModelClass*> classes ABSL_GUARDED_BY(mutex);
  // By (task, model_type).
  std::map<std::pair<AutoTask, std::string>, std::set<std::string>> auto_classes
      ABSL_GUARDED_BY(mutex);
};

Registry& TheRegistry() {
  static Registry* const registry = new Registry;
  return *registry;
}

// An error about `config`: no class of `task` has its model_type, but `known`
// have others.
absl::Status NoClassFor(AutoTask task, const PretrainedConfig& config,
                        const std::vector<std::string>& known) {
  const std::string what = absl::StrCat(
      config.file_name(), ": no class is linked that ", AutoClassName(task),
      " makes for model_type '", config.model_type(), "'");
  if (!config.Get("auto_map").is_null()) {
    return absl::NotFoundError(absl::StrCat(
        what,
        "; its 'auto_map' names Python code in the checkpoint, which is "
        "not run: ",
        HowToRegisterAClass()));
  }
  return absl::NotFoundError(absl::StrCat(
      what, "; known: ", known.empty() ? "none" : absl::StrJoin(known, ", "),
      "; link the family's target, or ", HowToRegisterAClass()));
}

// The class name for (task, model_type of config).
absl::StatusOr<std::string> ChooseClass(AutoTask task,
                                        const PretrainedConfig& config) {
  Registry& registry = TheRegistry();
  absl::MutexLock lock(&registry.mutex);
  auto found = registry.auto_classes.find({task, config.model_type()});
  if (found == registry.auto_classes.end()) {
    std::vector<std::string> known;
    for (const auto& [key, names] : registry.auto_classes) {
      if (key.first != task) continue;
      known.push_back(
          absl::StrCat(key.second, " (", absl::StrJoin(names, ", "), ")"));
    }
    return NoClassFor(task, config, known);
  }
  for (const std::string& architecture : config.architectures()) {
    if (found->second.contains(architecture)) return architecture;
  }
  return *found->second.begin();
}

// The model's config, without the defaults of a family, which is what it
// decides.
absl::StatusOr<PretrainedConfig> ReadPlainConfig(
    absl::string_view name_or_path, const FromPretrainedOptions& options) {
  return ReadModelConfig(ConfigClass(), std::string(name_or_path), options);
}

}  // namespace

absl::string_view AutoClassName(AutoTask task) {
  switch (task) {
    case AutoTask::kBase:
      return "AutoModel";
    case AutoTask::kPreTraining:
      return "AutoModelForPreTraining";
    case AutoTask::kMaskedLM:
      return "AutoModelForMaskedLM";
    case AutoTask::kCausalLM:
      return "AutoModelForCausalLM";
    case AutoTask::kSeq2SeqLM:
      return "AutoModelForSeq2SeqLM";
    case AutoTask::kSequenceClassification:
      return "AutoModelForSequenceClassification";
    case AutoTask::kTokenClassification:
      return "AutoModelForTokenClassification";
    case AutoTask::kQuestionAnswering:
      return "AutoModelForQuestionAnswering";
    case AutoTask::kMultipleChoice:
      return "AutoModelForMultipleChoice";
    case AutoTask::kNextSentencePrediction:
      return "AutoModelForNextSentencePrediction";
  }
  return "AutoModel";
}

bool RegisterModel(const ModelClass* model_class) {
  Registry& registry = TheRegistry();
  absl::MutexLock lock(&registry.mutex);
  registry.classes[model_class->layout->class_name] = model_class;
  return true;
}

bool RegisterForAutoClass(AutoTask task, absl::string_view model_type,
                          absl::string_view class_name) {
  Registry& registry = TheRegistry();
  absl::MutexLock lock(&registry.mutex);
  registry.auto_classes[{task, std::string(model_type)}].emplace(class_name);
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

absl::StatusOr<const ModelClass*> FindAutoModel(
    AutoTask task, const PretrainedConfig& config) {
  absl::StatusOr<std::string> class_name = ChooseClass(task, config);
  if (!class_name.ok()) return class_name.status();
  return FindModel(*class_name);
}

absl::StatusOr<PretrainedConfig> AutoConfig::FromPretrained(
    absl::string_view name_or_path, const FromPretrainedOptions& options) {
  absl::StatusOr<PretrainedConfig> plain =
      ReadPlainConfig(name_or_path, options);
  if (!plain.ok()) return plain;
  absl::StatusOr<const ConfigClass*> config_class =
      FindConfigClass(plain->model_type());
  if (!config_class.ok()) {
    return absl::Status(config_class.status().code(),
                        absl::StrCat(plain->file_name(), ": ",
                                     config_class.status().message()));
  }
  PretrainedConfig config = plain->WithClass(**config_class);
  for (const auto& [name, value] : options.kwargs.items()) {
    config.Set(name, value);
  }
  config.Set("_name_or_path", std::string(name_or_path));
  return config;
}

namespace auto_internal {

absl::StatusOr<std::shared_ptr<PretrainedModel>> FromPretrained(
    AutoTask task, absl::string_view name_or_path,
    const FromPretrainedOptions& options) {
  absl::Status status = CheckFromPretrainedOptions(options);
  if (!status.ok()) return status;
  // LoadPretrained() adds the family's defaults to what is read here.
  absl::StatusOr<PretrainedConfig> config =
      ReadPlainConfig(name_or_path, options);
  if (!config.ok()) return config.status();
  absl::StatusOr<const ModelClass*> model_class = FindAutoModel(task, *config);
  if (!model_class.ok()) return model_class.status();
  FromPretrainedOptions with_config = options;
  with_config.config = *std::move(config);
  return LoadPretrained(**model_class, name_or_path, with_config);
}

absl::StatusOr<std::shared_ptr<PretrainedModel>> FromConfig(
    AutoTask task, const PretrainedConfig& config,
    const FromConfigOptions& options) {
  absl::StatusOr<const ModelClass*> model_class = FindAutoModel(task, config);
  if (!model_class.ok()) return model_class.status();
  return ModelFromConfig(**model_class, config, options);
}

}  // namespace auto_internal
}  // namespace pretrained
