#include "checkpoint/loading/available_memory.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace pretrained {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

// The content of a small file; empty if there is none.
std::string Content(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

// The number at the start of a file; nullopt for "max", or none.
std::optional<int64_t> NumberIn(const std::string& path) {
  int64_t number;
  if (!absl::SimpleAtoi(Content(path), &number)) return std::nullopt;
  return number;
}

// The number of a line "NAME: 123 kB" or "NAME 123".
std::optional<int64_t> NumberAfter(absl::string_view content,
                                   absl::string_view name) {
  for (absl::string_view line : absl::StrSplit(content, '\n')) {
    if (!absl::ConsumePrefix(&line, name)) continue;
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    int64_t number;
    if (!words.empty() && absl::SimpleAtoi(words[0], &number)) return number;
  }
  return std::nullopt;
}

// What a control group at `folder` leaves of its limit. The page cache that it
// holds can be given back, so it counts as free.
int64_t LeftIn(const std::string& folder, absl::string_view limit_file,
               absl::string_view usage_file) {
  const auto limit = NumberIn(absl::StrCat(folder, "/", limit_file));
  const auto usage = NumberIn(absl::StrCat(folder, "/", usage_file));
  if (!limit.has_value() || !usage.has_value()) return kNoLimit;
  const std::string stat = Content(absl::StrCat(folder, "/memory.stat"));
  const int64_t cache = NumberAfter(stat, "inactive_file ").value_or(0);
  return std::max<int64_t>(*limit - *usage + cache, 0);
}

// The least that the group `path` and those above it leave, all below `mount`.
int64_t LeftInGroups(const std::string& mount, absl::string_view path,
                     absl::string_view limit_file,
                     absl::string_view usage_file) {
  int64_t left = LeftIn(mount, limit_file, usage_file);
  std::string folder = mount;
  for (absl::string_view name : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    absl::StrAppend(&folder, "/", name);
    left = std::min(left, LeftIn(folder, limit_file, usage_file));
  }
  return left;
}

}  // namespace

int64_t AvailableMemory(const std::string& root) {
  int64_t available = kNoLimit;
  const std::string meminfo = Content(absl::StrCat(root, "/proc/meminfo"));
  if (const auto kb = NumberAfter(meminfo, "MemAvailable:")) {
    available = *kb * 1024;
  }
  // Lines "0::/path" (version 2) or "4:memory:/path" (version 1).
  const std::string groups = Content(absl::StrCat(root, "/proc/self/cgroup"));
  const std::string mount = absl::StrCat(root, "/sys/fs/cgroup");
  for (absl::string_view line : absl::StrSplit(groups, '\n')) {
    const std::vector<absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    if (parts[1].empty()) {
      available = std::min(
          available,
          LeftInGroups(mount, parts[2], "memory.max", "memory.current"));
    } else if (parts[1] == "memory") {
      available =
          std::min(available, LeftInGroups(absl::StrCat(mount, "/memory"),
                                           parts[2], "memory.limit_in_bytes",
                                           "memory.usage_in_bytes"));
    }
  }
  return available;
}

}  // namespace pretrained
