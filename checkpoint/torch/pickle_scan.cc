#include "checkpoint/torch/pickle_scan.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/error_text.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/pickle/pickle.h"
#include "checkpoint/torch/zip_directory.h"
#include "checkpoint/torch/zip_record.h"

namespace pretrained {
namespace {

using checkpoint_internal::QuotedName;
using checkpoint_internal::ReadZipRecord;
using checkpoint_internal::ZipDirectory;
using checkpoint_internal::ZipRecord;

constexpr absl::string_view kZipHead = "PK\x03\x04";
// The first pickle of the legacy container: a protocol 2 int, its magic number.
constexpr absl::string_view kLegacyHead(
    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
constexpr int kLegacyPickles = 5;  // Magic, version, system, object, keys.

constexpr absl::string_view kPickleExtensions[] = {".pkl", ".pickle", ".bin",
                                                   ".pt",  ".pth",    ".ckpt"};

constexpr int64_t kFirstWindowBytes = int64_t{1} << 20;

bool EndsWithOneOf(absl::string_view name,
                   absl::Span<const absl::string_view> extensions) {
  return std::any_of(
      extensions.begin(), extensions.end(),
      [&](absl::string_view end) { return absl::EndsWith(name, end); });
}

// A pickle of protocol 2 or later says so first.
bool StartsAsPickle(absl::string_view head) {
  return head.size() > 1 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5;
}

void AddGlobals(const PickleScan& scan, ScannedFile& file) {
  for (const PickleScan::Global& global : scan.globals) {
    const bool known = std::any_of(
        file.globals.begin(), file.globals.end(), [&](const auto& other) {
          return other.module == global.module && other.name == global.name;
        });
    if (known) continue;
    file.globals.push_back({global.module, global.name, global.global_class});
  }
}

// The error of a pickle that breaks off, with what it named before: whoever
// loads it in Python runs that first.
absl::Status Damage(const PickleScan& scan) {
  if (scan.globals.empty()) {
    return absl::DataLossError(scan.status.message());
  }
  std::vector<std::string> names;
  for (const PickleScan::Global& global : scan.globals) {
    names.push_back(QuotedName(absl::StrCat(global.module, ".", global.name)));
    if (names.size() == 10) break;
  }
  return absl::DataLossError(absl::StrCat(scan.status.message(),
                                          "; before that it names ",
                                          absl::StrJoin(names, ", ")));
}

// Scans the pickle at byte `offset` of `file`, reading on as long as it is not
// whole.
absl::StatusOr<PickleScan> ScanAt(const MappedFile& file, int64_t offset) {
  const int64_t left = file.size_bytes() - offset;
  std::string bytes;
  for (int64_t window = kFirstWindowBytes;; window *= 2) {
    bytes.resize(std::min({window, left, kMaxPickleBytes}));
    absl::Status status = file.Read(offset, absl::MakeSpan(bytes));
    if (!status.ok()) return status;
    PickleScan scan = ScanPickle(bytes, {.name = file.path()});
    const bool more = static_cast<int64_t>(bytes.size()) < left &&
                      static_cast<int64_t>(bytes.size()) < kMaxPickleBytes;
    if (!absl::IsOutOfRange(scan.status) || !more) return scan;
  }
}

// The pickles of `file` one after the other, `at_least` of them. What follows
// those that must be there counts as far as it reads as pickles.
absl::Status ScanPickleFile(const MappedFile& file, int at_least, int at_most,
                            ScannedFile& scanned) {
  int64_t offset = 0;
  for (int i = 0; i < at_most && (i < at_least || offset < file.size_bytes());
       ++i) {
    const absl::StatusOr<PickleScan> scan = ScanAt(file, offset);
    if (!scan.ok()) return scan.status();
    if (!scan->status.ok()) {
      if (i >= at_least && scan->globals.empty()) break;
      return Damage(*scan);
    }
    AddGlobals(*scan, scanned);
    offset += scan->bytes_consumed;
  }
  return absl::OkStatus();
}

absl::Status ScanZip(const MappedFile& file, ScannedFile& scanned) {
  const auto read = [&](int64_t offset, absl::Span<char> destination) {
    return file.Read(offset, destination);
  };
  const absl::StatusOr<ZipDirectory> zip =
      ZipDirectory::Read(read, file.size_bytes(), file.path());
  if (!zip.ok()) return zip.status();
  scanned.format = "zip";
  for (const ZipRecord& record : zip->records()) {
    if (absl::EndsWith(record.name, "/data.pkl")) scanned.format = "torch";
    if (!EndsWithOneOf(record.name, {".pkl", ".pickle"})) continue;
    const std::string name =
        absl::StrCat(file.path(), ": ", QuotedName(record.name));
    if (record.size > kMaxPickleBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(name, ": ", record.size, " bytes, but a pickle has at ",
                       "most ", kMaxPickleBytes));
    }
    std::string bytes(record.size, '\0');
    absl::Status status =
        ReadZipRecord(read, record, file.path(), absl::MakeSpan(bytes));
    if (!status.ok()) return status;
    const PickleScan scan = ScanPickle(bytes, {.name = name});
    if (!scan.status.ok()) return Damage(scan);
    AddGlobals(scan, scanned);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ScannedFile> ScanPickles(const std::string& path) {
  const absl::StatusOr<std::unique_ptr<MappedFile>> file =
      MappedFile::Open(path);
  if (!file.ok()) return file.status();
  std::string head(std::min<int64_t>((*file)->size_bytes(), kLegacyHead.size()),
                   '\0');
  absl::Status status = (*file)->Read(0, absl::MakeSpan(head));
  if (!status.ok()) return status;

  ScannedFile scanned;
  scanned.path = path;
  if (absl::StartsWith(head, kZipHead)) {
    status = ScanZip(**file, scanned);
  } else if (head == kLegacyHead) {
    scanned.format = "torch_legacy";
    status = ScanPickleFile(**file, kLegacyPickles, kLegacyPickles, scanned);
  } else if (StartsAsPickle(head) || EndsWithOneOf(path, kPickleExtensions)) {
    scanned.format = "pickle";
    constexpr int kMany = 1000;
    status = ScanPickleFile(**file, 1, kMany, scanned);
  }
  if (!status.ok()) return status;
  return scanned;
}

}  // namespace pretrained
