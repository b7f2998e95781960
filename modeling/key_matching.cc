#include "modeling/key_matching.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "re2/re2.h"

namespace pretrained {
namespace {

using NameSet = absl::flat_hash_set<std::string>;
using StoredByName = absl::flat_hash_map<std::string, const NamedShape*>;

// How the model's names turn into those of the checkpoint.
class PrefixRule {
 public:
  PrefixRule(const std::vector<NamedShape>& model, const NameSet& stored,
             absl::string_view base_model_prefix) {
    if (base_model_prefix.empty()) return;
    prefix_ = absl::StrCat(base_model_prefix, ".");
    const auto has_prefix = [&](absl::string_view name) {
      return absl::StartsWith(name, prefix_);
    };
    const bool checkpoint_has = absl::c_any_of(stored, has_prefix);
    const bool model_has = absl::c_any_of(model, [&](const NamedShape& wanted) {
      return has_prefix(wanted.name);
    });
    add_ = checkpoint_has && !model_has;
    remove_ = !checkpoint_has && model_has;
  }

  std::string StoredName(absl::string_view model_name) const {
    if (add_) return absl::StrCat(prefix_, model_name);
    if (remove_) absl::ConsumePrefix(&model_name, prefix_);
    return std::string(model_name);
  }

  // Whether stored tensors go into the base model within the model only, and
  // this one of the model's is not in there.
  bool LeavesOut(absl::string_view model_name) const {
    return remove_ && !absl::StartsWith(model_name, prefix_);
  }

 private:
  std::string prefix_;
  bool add_ = false;
  bool remove_ = false;
};

// Keys that match one of some regular expressions.
class IgnoredKeys {
 public:
  static absl::StatusOr<IgnoredKeys> Compile(
      const std::vector<std::string>& patterns) {
    IgnoredKeys ignored;
    for (const std::string& pattern : patterns) {
      auto regex = std::make_unique<RE2>(pattern, RE2::Quiet);
      if (!regex->ok()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "'", pattern, "', of keys to ignore, is no regular expression: ",
            regex->error()));
      }
      ignored.patterns_.push_back(std::move(regex));
    }
    return ignored;
  }

  bool Contains(absl::string_view key) const {
    return absl::c_any_of(patterns_, [&](const std::unique_ptr<RE2>& regex) {
      return RE2::PartialMatch(key, *regex);
    });
  }

 private:
  std::vector<std::unique_ptr<RE2>> patterns_;
};

// By the names of today; where a file has both spellings, today's wins.
StoredByName IndexByName(const std::vector<NamedShape>& checkpoint) {
  StoredByName stored;
  for (const NamedShape& tensor : checkpoint) {
    const std::string name = ModernKeyName(tensor.name);
    auto [entry, inserted] = stored.try_emplace(name, &tensor);
    if (!inserted && tensor.name == name) entry->second = &tensor;
  }
  return stored;
}

// Removes from `names` those of which another name of the same tied group is
// not among them.
void RemoveTiedToOthers(const std::vector<std::vector<std::string>>& tied,
                        NameSet& names) {
  for (const std::vector<std::string>& group : tied) {
    const bool all = absl::c_all_of(
        group, [&](const std::string& name) { return names.contains(name); });
    if (all) continue;
    for (const std::string& name : group) names.erase(name);
  }
}

}  // namespace

std::string ModernKeyName(absl::string_view key) {
  const size_t dot = key.rfind('.');
  const size_t begin = dot == absl::string_view::npos ? 0 : dot + 1;
  const absl::string_view last = key.substr(begin);
  if (last == "gamma") return absl::StrCat(key.substr(0, begin), "weight");
  if (last == "beta") return absl::StrCat(key.substr(0, begin), "bias");
  return std::string(key);
}

absl::StatusOr<KeyMatches> MatchKeys(const std::vector<NamedShape>& model,
                                     const std::vector<NamedShape>& checkpoint,
                                     const KeyMatchingOptions& options) {
  absl::StatusOr<IgnoredKeys> ignore_missing =
      IgnoredKeys::Compile(options.ignore_missing);
  if (!ignore_missing.ok()) return ignore_missing.status();
  absl::StatusOr<IgnoredKeys> ignore_unexpected =
      IgnoredKeys::Compile(options.ignore_unexpected);
  if (!ignore_unexpected.ok()) return ignore_unexpected.status();

  const StoredByName stored = IndexByName(checkpoint);
  NameSet reported;
  for (const std::string& key : options.reported_keys) {
    reported.insert(ModernKeyName(key));
  }
  if (options.reported_keys.empty()) {
    for (const auto& [name, unused] : stored) reported.insert(name);
  }
  const PrefixRule rule(model, reported, options.base_model_prefix);

  KeyMatches matches;
  NameSet known;
  NameSet missing;        // The model's names, of what is not reported stored.
  NameSet without_value;  // Likewise, of what gets none of its own.
  for (const NamedShape& wanted : model) {
    const std::string stored_name = rule.StoredName(wanted.name);
    known.insert(stored_name);
    if (!reported.contains(stored_name)) missing.insert(wanted.name);
    auto found = stored.find(stored_name);
    if (found == stored.end()) {
      without_value.insert(wanted.name);
    } else if (rule.LeavesOut(wanted.name)) {
      if (matches.head_without_prefix.empty()) {
        matches.head_without_prefix = found->second->name;
      }
      without_value.insert(wanted.name);
    } else if (found->second->shape != wanted.shape) {
      matches.mismatched.push_back(
          {found->second->name, found->second->shape, wanted.shape});
      without_value.insert(wanted.name);
    } else {
      matches.matched.push_back({wanted.name, found->second->name});
    }
  }
  RemoveTiedToOthers(options.tied, missing);
  RemoveTiedToOthers(options.tied, without_value);
  for (const NamedShape& wanted : model) {
    if (without_value.contains(wanted.name)) {
      matches.without_value.push_back(wanted.name);
    }
    const std::string stored_name = rule.StoredName(wanted.name);
    if (without_value.contains(wanted.name) && !stored.contains(stored_name) &&
        reported.contains(stored_name)) {
      matches.absent_from_shards.push_back(stored_name);
    }
    if (missing.contains(wanted.name) &&
        !ignore_missing->Contains(stored_name)) {
      matches.missing.push_back(stored_name);
    }
  }
  for (const std::string& buffer : options.ignored_buffers) {
    known.insert(rule.StoredName(buffer));
  }
  for (const std::string& name : reported) {
    if (!known.contains(name) && !ignore_unexpected->Contains(name)) {
      matches.unexpected.push_back(name);
    }
  }
  absl::c_sort(matches.missing);
  absl::c_sort(matches.unexpected);
  return matches;
}

}  // namespace pretrained
