#include "modeling/key_matching.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace pretrained {
namespace {

// How the model's names turn into those of the checkpoint.
class PrefixRule {
 public:
  PrefixRule(const std::vector<NamedShape>& model,
             const absl::flat_hash_map<std::string, const NamedShape*>& stored,
             absl::string_view base_model_prefix) {
    if (base_model_prefix.empty()) return;
    prefix_ = absl::StrCat(base_model_prefix, ".");
    const bool checkpoint_has = absl::c_any_of(stored, [&](const auto& entry) {
      return absl::StartsWith(entry.first, prefix_);
    });
    const bool model_has = absl::c_any_of(model, [&](const NamedShape& wanted) {
      return absl::StartsWith(wanted.name, prefix_);
    });
    add_ = checkpoint_has && !model_has;
    remove_ = !checkpoint_has && model_has;
  }

  std::string StoredName(absl::string_view model_name) const {
    if (add_) return absl::StrCat(prefix_, model_name);
    if (remove_) absl::ConsumePrefix(&model_name, prefix_);
    return std::string(model_name);
  }

 private:
  std::string prefix_;
  bool add_ = false;
  bool remove_ = false;
};

}  // namespace

std::string ModernKeyName(absl::string_view key) {
  const size_t dot = key.rfind('.');
  const size_t begin = dot == absl::string_view::npos ? 0 : dot + 1;
  const absl::string_view last = key.substr(begin);
  if (last == "gamma") return absl::StrCat(key.substr(0, begin), "weight");
  if (last == "beta") return absl::StrCat(key.substr(0, begin), "bias");
  return std::string(key);
}

KeyMatches MatchKeys(const std::vector<NamedShape>& model,
                     const std::vector<NamedShape>& checkpoint,
                     const KeyMatchingOptions& options) {
  absl::flat_hash_map<std::string, const NamedShape*> stored;
  for (const NamedShape& tensor : checkpoint) {
    // Where a file has both spellings, today's wins.
    const std::string name = ModernKeyName(tensor.name);
    auto [entry, inserted] = stored.try_emplace(name, &tensor);
    if (!inserted && tensor.name == name) entry->second = &tensor;
  }
  const PrefixRule rule(model, stored, options.base_model_prefix);

  KeyMatches matches;
  absl::flat_hash_set<std::string> known;
  for (const NamedShape& wanted : model) {
    const std::string stored_name = rule.StoredName(wanted.name);
    known.insert(stored_name);
    auto found = stored.find(stored_name);
    if (found == stored.end()) {
      matches.missing.push_back(stored_name);
      matches.without_value.push_back(wanted.name);
    } else if (found->second->shape != wanted.shape) {
      matches.mismatched.push_back(
          {found->second->name, found->second->shape, wanted.shape});
      matches.without_value.push_back(wanted.name);
    } else {
      matches.matched.push_back({wanted.name, found->second->name});
    }
  }
  for (const std::string& buffer : options.ignored_buffers) {
    known.insert(rule.StoredName(buffer));
  }
  for (const auto& [name, unused] : stored) {
    if (!known.contains(name)) matches.unexpected.push_back(name);
  }
  absl::c_sort(matches.missing);
  absl::c_sort(matches.unexpected);
  return matches;
}

}  // namespace pretrained
