#ifndef PRETRAINED_MODELING_AUTO_MODEL_H_
#define PRETRAINED_MODELING_AUTO_MODEL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/from_pretrained.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

// Models whose class a config decides. Families make themselves known when they
// are linked (//modeling/bert, or //modeling:all_families).
//
//   auto config = AutoConfig::FromPretrained("gpt2");
//   auto model = AutoModelForCausalLM::FromPretrained("gpt2");
//   auto new_model = AutoModelForMaskedLM::FromConfig(*config, {.seed = 1});
//
// A class of your own, in a package of your own, does as the families do (in
// examples/consumer one does): its layout, its model, and what makes it:
//
//   const bool kRegistered =
//       RegisterLayout(&MyLayoutClass()) && RegisterModel(&MyModel::Class()) &&
//       RegisterForAutoClass(AutoTask::kBase, "my-type", "MyModel");

// What an Auto class makes.
enum class AutoTask {
  kBase,
  kPreTraining,
  kMaskedLM,
  kCausalLM,
  kSeq2SeqLM,
  kSequenceClassification,
  kTokenClassification,
  kQuestionAnswering,
  kMultipleChoice,
  kNextSentencePrediction,
};

// "AutoModelForMaskedLM".
absl::string_view AutoClassName(AutoTask task);

// Makes a class known; a family calls this when it is linked, and after it made
// its layout known. `model_class` must live for ever. True, so that it can
// initialise a static.
bool RegisterModel(const ModelClass* model_class);

// Says that the Auto class of `task` makes `class_name` for configs of
// `model_type`. Where several are said, the config's `architectures` choose
// among them; where they do not, the first in alphabetical order is made. True,
// so that it can initialise a static.
// Matches: the tables of transformers 4.34 models/auto/modeling_auto.py.
bool RegisterForAutoClass(AutoTask task, absl::string_view model_type,
                          absl::string_view class_name);

// kNotFound, listing the classes that are linked, if there is none.
absl::StatusOr<const ModelClass*> FindModel(absl::string_view class_name);

// The class that `class_name` or, when that is empty, the config's
// `architectures` name, as FindLayoutFor() has it.
absl::StatusOr<const ModelClass*> FindModelFor(const PretrainedConfig& config,
                                               absl::string_view class_name);

// The class that the Auto class of `task` makes for `config`. kNotFound, naming
// the config's model_type and those there are, if there is none.
absl::StatusOr<const ModelClass*> FindAutoModel(AutoTask task,
                                                const PretrainedConfig& config);

// The config of any family that is linked, chosen by its `model_type`.
// Matches: transformers 4.34 `AutoConfig`.
class AutoConfig {
 public:
  // Of a folder with config.json, a config file, or a name that
  // `options.resolver` knows; `options.kwargs` override attributes.
  // kNotFound for a model_type that is not known here, listing those that are.
  static absl::StatusOr<PretrainedConfig> FromPretrained(
      absl::string_view name_or_path,
      const FromPretrainedOptions& options = {});
};

namespace auto_internal {

absl::StatusOr<std::shared_ptr<PretrainedModel>> FromPretrained(
    AutoTask task, absl::string_view name_or_path,
    const FromPretrainedOptions& options);
absl::StatusOr<std::shared_ptr<PretrainedModel>> FromConfig(
    AutoTask task, const PretrainedConfig& config,
    const FromConfigOptions& options);

}  // namespace auto_internal

// Makes the class that suits `kTask` and the config's model_type.
// Matches: transformers 4.34 models/auto/auto_factory.py `_BaseAutoModelClass`.
template <AutoTask kTask>
class AutoModelFor {
 public:
  // As LoadPretrained(), and kNotFound if no class suits.
  static absl::StatusOr<std::shared_ptr<PretrainedModel>> FromPretrained(
      absl::string_view name_or_path,
      const FromPretrainedOptions& options = {}) {
    return auto_internal::FromPretrained(kTask, name_or_path, options);
  }
  // As ModelFromConfig(), and kNotFound if no class suits.
  static absl::StatusOr<std::shared_ptr<PretrainedModel>> FromConfig(
      const PretrainedConfig& config, const FromConfigOptions& options = {}) {
    return auto_internal::FromConfig(kTask, config, options);
  }
};

using AutoModel = AutoModelFor<AutoTask::kBase>;
using AutoModelForPreTraining = AutoModelFor<AutoTask::kPreTraining>;
using AutoModelForMaskedLM = AutoModelFor<AutoTask::kMaskedLM>;
using AutoModelForCausalLM = AutoModelFor<AutoTask::kCausalLM>;
using AutoModelForSeq2SeqLM = AutoModelFor<AutoTask::kSeq2SeqLM>;
using AutoModelForSequenceClassification =
    AutoModelFor<AutoTask::kSequenceClassification>;
using AutoModelForTokenClassification =
    AutoModelFor<AutoTask::kTokenClassification>;
using AutoModelForQuestionAnswering =
    AutoModelFor<AutoTask::kQuestionAnswering>;
using AutoModelForMultipleChoice = AutoModelFor<AutoTask::kMultipleChoice>;
using AutoModelForNextSentencePrediction =
    AutoModelFor<AutoTask::kNextSentencePrediction>;

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_AUTO_MODEL_H_
