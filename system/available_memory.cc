#include "system/available_memory.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace pretrained {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

// The content of a small file; empty if there is none.
std::string Content(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The number in a file that holds nothing else; nullopt for "max", which is no
// limit.
std::optional<int64_t> NumberIn(const std::string& path) {
  int64_t number;
  if (!absl::SimpleAtoi(Content(path), &number)) return std::nullopt;
  return number;
}

// The number of a line "NAME: 123 kB" or "NAME 123".
std::optional<int64_t> NumberAfter(absl::string_view text,
                                   absl::string_view name) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t:"), absl::SkipEmpty());
    int64_t number;
    if (words.size() >= 2 && words[0] == name &&
        absl::SimpleAtoi(words[1], &number)) {
      return number;
    }
  }
  return std::nullopt;
}

// What the same things are called in the two versions of control groups.
struct GroupFiles {
  const char* limit;
  const char* usage;
  const char* inactive_file;  // In memory.stat, of the group and those below.
};
constexpr GroupFiles kVersion1 = {
    "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr GroupFiles kVersion2 = {"memory.max", "memory.current",
                                  "inactive_file"};

// What the group at `folder` leaves of its limit.
int64_t LeftInGroup(const std::string& folder, const GroupFiles& files) {
  const auto limit = NumberIn(absl::StrCat(folder, "/", files.limit));
  const auto usage = NumberIn(absl::StrCat(folder, "/", files.usage));
  if (!limit.has_value() || !usage.has_value()) return kNoLimit;
  const int64_t cached =
      NumberAfter(Content(absl::StrCat(folder, "/memory.stat")),
                  files.inactive_file)
          .value_or(0);
  return std::max<int64_t>(*limit - std::max<int64_t>(*usage - cached, 0), 0);
}

// The least that the group `path` and those above it leave, all below `mount`.
// Within a container its own group is the mount point, and the path, as the
// host sees it, is not there.
int64_t LeftInGroups(const std::string& mount, absl::string_view path,
                     const GroupFiles& files) {
  std::string folder = mount;
  int64_t left = LeftInGroup(folder, files);
  for (const absl::string_view name :
       absl::StrSplit(path, '/', absl::SkipEmpty())) {
    absl::StrAppend(&folder, "/", name);
    left = std::min(left, LeftInGroup(folder, files));
  }
  return left;
}

}  // namespace

std::optional<int64_t> AvailableMemory(const std::string& root) {
  int64_t available = kNoLimit;
  const std::string meminfo = Content(absl::StrCat(root, "/proc/meminfo"));
  if (const auto kilobytes = NumberAfter(meminfo, "MemAvailable")) {
    available = *kilobytes * 1024;
  }
  // Lines "0::/path" (version 2) or "4:memory:/path" (version 1).
  const std::string groups = Content(absl::StrCat(root, "/proc/self/cgroup"));
  const std::string mount = absl::StrCat(root, "/sys/fs/cgroup");
  for (const absl::string_view line : absl::StrSplit(groups, '\n')) {
    const std::vector<absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    if (parts[1].empty()) {
      available = std::min(available, LeftInGroups(mount, parts[2], kVersion2));
    } else if (absl::c_linear_search(absl::StrSplit(parts[1], ','), "memory")) {
      available = std::min(
          available,
          LeftInGroups(absl::StrCat(mount, "/memory"), parts[2], kVersion1));
    }
  }
  if (available == kNoLimit) return std::nullopt;
  return available;
}

}  // namespace pretrained
