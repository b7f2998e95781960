#include "modeling/model_layout.h"

#include <map>
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
#include "absl/strings/strip.h"
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

absl::Status TieWordEmbeddings(const PretrainedConfig& config,
                               absl::string_view input,
                               absl::string_view output, ModelLayout& layout) {
  absl::StatusOr<bool> tie = config.GetBool("tie_word_embeddings");
  if (!tie.ok()) return tie.status();
  absl::StatusOr<bool> torchscript = config.GetBool("torchscript");
  if (!torchscript.ok()) return torchscript.status();
  if (!*tie) {
    layout.untied_weights.emplace_back(output);
    return absl::OkStatus();
  }
  if (*torchscript) {
    layout.cloned_weights.emplace_back(input, output);
    return absl::OkStatus();
  }
  // What is tied already (T5's embeddings) gains a member.
  for (std::vector<std::string>& group : layout.tree.tied) {
    if (group[0] == input) {
      group.emplace_back(output);
      return absl::OkStatus();
    }
  }
  layout.tree.tied.push_back({std::string(input), std::string(output)});
  return absl::OkStatus();
}

ModelLayout SubmodelLayout(const ModelLayout& layout,
                           absl::string_view child_name) {
  ModelLayout child = layout;
  child.tree.root = layout.tree.root.child(child_name);
  child.tree.root.name.clear();
  child.class_name = child.tree.root.class_name;
  child.tree.tied.clear();
  child.cloned_weights.clear();
  child.untied_weights.clear();
  const std::string prefix = absl::StrCat(child_name, ".");
  for (const std::vector<std::string>& group : layout.tree.tied) {
    std::vector<std::string> inside;
    for (absl::string_view name : group) {
      if (absl::ConsumePrefix(&name, prefix)) inside.emplace_back(name);
    }
    if (inside.size() > 1) child.tree.tied.push_back(std::move(inside));
  }
  return child;
}

absl::Status RefuseModelArguments(absl::string_view class_name,
                                  const nlohmann::ordered_json& model_kwargs) {
  if (model_kwargs.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      class_name, " has no argument ", model_kwargs.items().begin().key(), "=",
      model_kwargs.items().begin().value().dump(
          -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace),
      "; it takes config attributes only"));
}

}  // namespace pretrained
