#include "checkpoint/save/save_record.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "checkpoint/error_text.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

constexpr absl::string_view kFirstLine = "pretrained save 1";
constexpr absl::string_view kLastLine = "end";
constexpr absl::string_view kInsidePrefix = ".pretrained-saving.";
constexpr absl::string_view kBesideSuffix = ".saving";
constexpr size_t kRandomDigits = 16;
constexpr size_t kMaxNameBytes = 255;

// A folder's name that is longer stands shortened in its staging folder's.
constexpr size_t kMaxFolderNameBytes = 200;

bool IsHex(absl::string_view text) {
  return text.size() == kRandomDigits &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
         });
}

std::string HexText(uint64_t number) {
  return absl::StrCat(absl::Hex(number, absl::kZeroPad16));
}

// FNV-1a: the same in every process.
uint64_t StableHash(absl::string_view text) {
  uint64_t hash = 14695981039346656037u;
  for (const unsigned char c : text) hash = (hash ^ c) * 1099511628211u;
  return hash;
}

std::string BesidePrefix(absl::string_view folder_name) {
  if (folder_name.size() <= kMaxFolderNameBytes) {
    return absl::StrCat(".", folder_name, ".");
  }
  return absl::StrCat(".", folder_name.substr(0, kMaxFolderNameBytes), "~",
                      HexText(StableHash(folder_name)), ".");
}

absl::Status BadLine(absl::string_view file_name, size_t line,
                     absl::string_view what) {
  return absl::DataLossError(absl::StrCat(
      file_name, ": line ", line, ": ", what,
      ", but the list that an interrupted save left is expected; check the "
      "checkpoint's files, then delete this one or save again elsewhere"));
}

// One line after the first and before the last.
class RecordLines {
 public:
  explicit RecordLines(SaveRecord& record) : record_(record) {}

  // Says what is wrong; empty when nothing is.
  std::string Add(absl::string_view line) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    if (parts.first == "kept") return AddKept(parts.second);
    std::string name;
    if (!absl::CUnescape(parts.second, &name)) return "a broken escape";
    if (parts.first == "staging") {
      if (!record_.staging.empty()) return "a second staging folder";
      if (!IsInsideStagingName(name)) {
        return absl::StrCat("the staging folder ", QuotedName(name));
      }
      record_.staging = name;
      return "";
    }
    if (parts.first == "folder") {
      return absl::SimpleAtoi(name, &record_.folder_inode) ? "" : "no number";
    }
    const bool is_new = parts.first == "new";
    if (!is_new && parts.first != "remove") {
      return absl::StrCat("the entry ", QuotedName(parts.first));
    }
    if (absl::Status status = CheckPlainName(name); !status.ok()) {
      return absl::StrCat("the name ", QuotedName(name));
    }
    if (!seen_.insert(name).second) {
      return absl::StrCat(QuotedName(name), " a second time");
    }
    (is_new ? record_.new_names : record_.removed_names).push_back(name);
    return "";
  }

 private:
  std::string AddKept(absl::string_view rest) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(rest, absl::MaxSplits(' ', 1));
    uint64_t inode = 0;
    std::string path;
    if (!absl::SimpleAtoi(parts.first, &inode) ||
        !absl::CUnescape(parts.second, &path)) {
      return "a broken entry";
    }
    record_.kept[path] = inode;
    return "";
  }

  SaveRecord& record_;
  absl::flat_hash_set<std::string> seen_;
};

}  // namespace

std::string SaveRecord::Serialize() const {
  std::string text = absl::StrCat(kFirstLine, "\n");
  if (!staging.empty()) absl::StrAppend(&text, "staging ", staging, "\n");
  if (folder_inode != 0) absl::StrAppend(&text, "folder ", folder_inode, "\n");
  for (const std::string& name : new_names) {
    absl::StrAppend(&text, "new ", absl::CEscape(name), "\n");
  }
  for (const std::string& name : removed_names) {
    absl::StrAppend(&text, "remove ", absl::CEscape(name), "\n");
  }
  for (const auto& [path, inode] : kept) {
    absl::StrAppend(&text, "kept ", inode, " ", absl::CEscape(path), "\n");
  }
  absl::StrAppend(&text, kLastLine, "\n");
  return text;
}

absl::StatusOr<SaveRecord> SaveRecord::Parse(absl::string_view text,
                                             absl::string_view file_name) {
  SaveRecord record;
  RecordLines lines(record);
  size_t number = 0;
  bool ended = false;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (ended) {
      if (line.empty() && number > 1 && text.back() == '\n') continue;
      return BadLine(file_name, number, "more after the end");
    }
    if (number == 1) {
      if (line != kFirstLine) return BadLine(file_name, 1, "another text");
      continue;
    }
    if (line == kLastLine) {
      ended = true;
      continue;
    }
    if (const std::string what = lines.Add(line); !what.empty()) {
      return BadLine(file_name, number, what);
    }
  }
  if (!ended || text.back() != '\n') {
    return BadLine(file_name, number, "the text stops");
  }
  return record;
}

absl::Status CheckPlainName(absl::string_view name) {
  if (!name.empty() && name != "." && name != ".." &&
      name.size() <= kMaxNameBytes &&
      name.find('/') == absl::string_view::npos &&
      name.find('\0') == absl::string_view::npos && name != kJournalName &&
      !IsInsideStagingName(name)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(QuotedName(name),
                   " cannot be the name of a file in a saved folder; pass "
                   "one such as 'config.json'"));
}

std::string InsideStagingName(uint64_t random) {
  return absl::StrCat(kInsidePrefix, HexText(random));
}

bool IsInsideStagingName(absl::string_view name) {
  return absl::ConsumePrefix(&name, kInsidePrefix) && IsHex(name);
}

std::string BesideStagingName(absl::string_view folder_name, uint64_t random) {
  return absl::StrCat(BesidePrefix(folder_name), HexText(random),
                      kBesideSuffix);
}

bool IsBesideStagingName(absl::string_view name,
                         absl::string_view folder_name) {
  return absl::ConsumePrefix(&name, BesidePrefix(folder_name)) &&
         absl::ConsumeSuffix(&name, kBesideSuffix) && IsHex(name);
}

}  // namespace checkpoint_internal
}  // namespace pretrained
