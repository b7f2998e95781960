#include "modeling/model_layout.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

// Written while the program starts, read ever after.
struct Registry {
  absl::Mutex mutex;
  std::map<std::string, const LayoutClass*> classes ABSL_GUARDED_BY(mutex);
};

Registry& TheRegistry() {
  static Registry* const registry = new Registry;
  return *registry;
}

std::string ListKnown() {
  const std::vector<std::string> known = KnownLayouts();
  if (known.empty()) {
    return "no family is linked: depend on one, such as //modeling/bert";
  }
  return absl::StrCat("known here: ", absl::StrJoin(known, ", "));
}

}  // namespace

bool RegisterLayout(const LayoutClass* layout_class) {
  Registry& registry = TheRegistry();
  absl::MutexLock lock(&registry.mutex);
  registry.classes[layout_class->class_name] = layout_class;
  return true;
}

std::vector<std::string> KnownLayouts() {
  Registry& registry = TheRegistry();
  absl::MutexLock lock(&registry.mutex);
  std::vector<std::string> names;
  for (const auto& [name, unused] : registry.classes) names.push_back(name);
  return names;
}

absl::StatusOr<const LayoutClass*> FindLayout(absl::string_view class_name) {
  {
    Registry& registry = TheRegistry();
    absl::MutexLock lock(&registry.mutex);
    auto found = registry.classes.find(std::string(class_name));
    if (found != registry.classes.end()) return found->second;
  }
  return absl::NotFoundError(absl::StrCat("there is no model class '",
                                          class_name, "'; ", ListKnown()));
}

absl::StatusOr<const LayoutClass*> FindLayoutFor(const PretrainedConfig& config,
                                                 absl::string_view class_name) {
  if (!class_name.empty()) return FindLayout(class_name);
  const std::vector<std::string> architectures = config.architectures();
  for (const std::string& architecture : architectures) {
    if (auto found = FindLayout(architecture); found.ok()) return found;
  }
  if (architectures.empty()) {
    return absl::NotFoundError(absl::StrCat(
        config.file_name(),
        ": names no architectures, so the class must be given; ", ListKnown()));
  }
  return absl::NotFoundError(absl::StrCat(
      config.file_name(), ": its architectures (",
      absl::StrJoin(architectures, ", "), "; model_type '", config.model_type(),
      "') are not among the classes here; give one of "
      "them as the class if the weights fit; ",
      ListKnown()));
}

absl::StatusOr<const ConfigClass*> FindConfigClass(
    absl::string_view model_type) {
  std::set<std::string> known;
  {
    Registry& registry = TheRegistry();
    absl::MutexLock lock(&registry.mutex);
    for (const auto& [unused, layout_class] : registry.classes) {
      if (layout_class->config_class->model_type == model_type) {
        return layout_class->config_class;
      }
      known.insert(layout_class->config_class->model_type);
    }
  }
  return absl::NotFoundError(
      absl::StrCat("model_type '", model_type,
                   "' is not known here; known: ", absl::StrJoin(known, ", ")));
}

}  // namespace pretrained
