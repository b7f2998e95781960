#ifndef PRETRAINED_MODELING_AUTO_MODEL_H_
#define PRETRAINED_MODELING_AUTO_MODEL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/from_pretrained.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

// The registry of model classes. A family registers its classes when it is
// linked (//modeling/bert); //modeling:all_families links every one.

// Makes a class known. `model_class` must live for ever. True, so that it can
// initialise a static.
bool RegisterModel(const ModelClass* model_class);

// Says that AutoModel makes `class_name` for configs of `model_type`.
bool RegisterAutoModel(absl::string_view model_type,
                       absl::string_view class_name);

// kNotFound, listing the classes that are linked, if there is none.
absl::StatusOr<const ModelClass*> FindModel(absl::string_view class_name);

// The class for a config: `class_name` if it is given, else the first of the
// config's `architectures` that is known.
absl::StatusOr<const ModelClass*> FindModelFor(const PretrainedConfig& config,
                                               absl::string_view class_name);

// Makes the base model, without a head, that a checkpoint's config asks for.
//
//   auto model = AutoModel::FromPretrained("all-MiniLM-L6-v2");  // BertModel
//
// kNotFound, naming the file and what is linked, for an unknown `model_type`.
// Matches: transformers 4.34 models/auto `AutoModel`.
class AutoModel {
 public:
  static absl::StatusOr<std::shared_ptr<PretrainedModel>> FromPretrained(
      absl::string_view folder, const FromPretrainedOptions& options = {});
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_AUTO_MODEL_H_
