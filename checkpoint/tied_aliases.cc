#include "checkpoint/tied_aliases.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "re2/re2.h"

namespace pretrained {
namespace {

absl::StatusOr<std::vector<std::unique_ptr<RE2>>> Compile(
    const std::vector<std::string>& patterns) {
  std::vector<std::unique_ptr<RE2>> compiled;
  for (const std::string& pattern : patterns) {
    compiled.push_back(std::make_unique<RE2>(pattern, RE2::Quiet));
    if (!compiled.back()->ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tied weights key '", pattern,
          "' is no regular expression: ", compiled.back()->error()));
    }
  }
  return compiled;
}

// The indices of the names of each tensor that has several, in their order.
std::vector<std::vector<size_t>> GroupsOf(absl::Span<const int> first) {
  std::map<int, std::vector<size_t>> groups;
  for (size_t i = 0; i < first.size(); ++i) {
    groups[first[i] < 0 ? static_cast<int>(i) : first[i]].push_back(i);
  }
  std::vector<std::vector<size_t>> several;
  for (auto& [unused, group] : groups) {
    if (group.size() > 1) several.push_back(std::move(group));
  }
  return several;
}

}  // namespace

absl::StatusOr<std::vector<bool>> AliasesToLeaveOut(
    absl::Span<const absl::string_view> names, absl::Span<const int> first,
    const std::vector<std::string>& tied_weights_keys) {
  absl::StatusOr<std::vector<std::unique_ptr<RE2>>> tied =
      Compile(tied_weights_keys);
  if (!tied.ok()) return tied.status();
  std::vector<bool> left_out(names.size(), false);
  for (const std::vector<size_t>& group : GroupsOf(first)) {
    std::vector<size_t> by_name = group;
    std::sort(by_name.begin(), by_name.end(),
              [&](size_t a, size_t b) { return names[a] < names[b]; });
    size_t left = group.size();
    for (size_t i : by_name) {
      const bool matches =
          std::any_of(tied->begin(), tied->end(), [&](const auto& pattern) {
            return RE2::PartialMatch(names[i], *pattern);
          });
      if (matches && left > 1) {
        left_out[i] = true;
        --left;
      }
    }
    for (auto i = group.rbegin(); i != group.rend() && left > 1; ++i) {
      if (left_out[*i]) continue;
      left_out[*i] = true;
      --left;
    }
  }
  return left_out;
}

}  // namespace pretrained
