#include "checkpoint/torch/zip_end.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/torch/little_endian.h"
#include "checkpoint/torch/read_at.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// Field offsets are those of APPNOTE.TXT 6.3, sections 4.3.14 to 4.3.16.
constexpr absl::string_view kEndSignature = "PK\x05\x06";
constexpr absl::string_view kEnd64Signature = "PK\x06\x06";
constexpr absl::string_view kLocator64Signature = "PK\x06\x07";
constexpr int64_t kEndBytes = 22;
constexpr int64_t kEnd64Bytes = 56;
constexpr int64_t kLocator64Bytes = 20;
constexpr int64_t kMaxCommentBytes = 0xFFFF;

// A field of the end record that is all ones leaves its value to zip64.
constexpr uint16_t kMax16 = 0xFFFF;
constexpr uint32_t kMax32 = 0xFFFFFFFF;

constexpr absl::string_view kSeveralDisks =
    "the archive is spread over several disks";

uint16_t Load16(const char* p) { return LoadLittleEndian<uint16_t>(p); }
uint32_t Load32(const char* p) { return LoadLittleEndian<uint32_t>(p); }
uint64_t Load64(const char* p) { return LoadLittleEndian<uint64_t>(p); }

bool HasSignature(const char* p, absl::string_view signature) {
  return absl::string_view(p, 4) == signature;
}

// The end record, as stored.
struct EndRecord {
  int64_t at = 0;  // Its own place in the file.
  uint16_t disk = 0;
  uint16_t directory_disk = 0;
  uint16_t count_here = 0;
  uint16_t count = 0;
  uint32_t directory_bytes = 0;
  uint32_t directory_begin = 0;
};

// The last end record of the file, whose comment has to reach to the file's
// end: otherwise readers that look for it from behind and readers that look for
// the one that fits would not take the same.
absl::StatusOr<EndRecord> FindEndRecord(ReadAt read, int64_t file_size,
                                        absl::string_view file_name) {
  const int64_t tail_bytes = std::min(file_size, kEndBytes + kMaxCommentBytes);
  const int64_t tail_begin = file_size - tail_bytes;
  std::vector<char> tail(tail_bytes);
  if (absl::Status s = read(tail_begin, absl::MakeSpan(tail)); !s.ok()) {
    return s;
  }
  int64_t at = tail_bytes - kEndBytes;
  while (at >= 0 && !HasSignature(&tail[at], kEndSignature)) --at;
  if (at < 0) {
    return BadZip(file_name,
                  absl::StrCat("its last ", tail_bytes,
                               " bytes hold no end of a central directory, but "
                               "a zip archive has one there"));
  }
  const char* const end = &tail[at];
  if (at + kEndBytes + Load16(end + 20) != tail_bytes) {
    return BadZip(
        file_name,
        absl::StrCat("byte ", tail_begin + at + 20,
                     ": the archive's comment has ", Load16(end + 20),
                     " bytes, but ", tail_bytes - at - kEndBytes, " follow"));
  }
  return EndRecord{tail_begin + at, Load16(end + 4),  Load16(end + 6),
                   Load16(end + 8), Load16(end + 10), Load32(end + 12),
                   Load32(end + 16)};
}

// That a directory of `bytes` bytes at `begin` ends where the records of the
// end begin, at `limit`, and has room for `count` records. Where `bytes` and
// `begin` do not agree, readers that count back from the end see another
// directory than those that go by `begin`.
absl::StatusOr<ZipDirectoryPlace> CheckedPlace(absl::string_view file_name,
                                               uint64_t begin, uint64_t bytes,
                                               uint64_t count, uint64_t limit) {
  if (begin > limit || bytes != limit - begin ||
      count > bytes / kZipCentralBytes) {
    return BadZip(
        file_name,
        absl::StrCat("byte ", limit, ": the directory is said to have ", count,
                     " records in ", bytes, " bytes from byte ", begin,
                     " on, but has to end at byte ", limit));
  }
  return ZipDirectoryPlace{static_cast<int64_t>(begin),
                           static_cast<int64_t>(limit),
                           static_cast<int64_t>(count)};
}

// The place by the zip64 records in front of `end`; nullopt where there are
// none.
absl::StatusOr<std::optional<ZipDirectoryPlace>> FindPlace64(
    ReadAt read, const EndRecord& end, absl::string_view file_name) {
  if (end.at < kLocator64Bytes) return std::nullopt;
  char locator[kLocator64Bytes];
  const int64_t locator_at = end.at - kLocator64Bytes;
  absl::Status status = read(locator_at, absl::MakeSpan(locator));
  if (!status.ok()) return status;
  if (!HasSignature(locator, kLocator64Signature)) return std::nullopt;

  const uint64_t at = Load64(locator + 8);
  if (locator_at < kEnd64Bytes ||
      at > static_cast<uint64_t>(locator_at - kEnd64Bytes)) {
    return BadZip(file_name,
                  absl::StrCat("byte ", locator_at + 8,
                               ": the zip64 end of the directory is said to be "
                               "at byte ",
                               at, ", but its locator is at ", locator_at));
  }
  char end64[kEnd64Bytes];
  status = read(static_cast<int64_t>(at), absl::MakeSpan(end64));
  if (!status.ok()) return status;
  // Its size leaves out the signature and itself.
  if (!HasSignature(end64, kEnd64Signature) ||
      Load64(end64 + 4) != static_cast<uint64_t>(locator_at) - at - 12) {
    return BadZip(file_name,
                  absl::StrCat("byte ", at,
                               ": this is no zip64 end of the directory that "
                               "reaches to its locator at byte ",
                               locator_at));
  }
  if (Load32(locator + 4) != 0 || Load32(locator + 16) > 1 ||
      Load32(end64 + 16) != 0 || Load32(end64 + 20) != 0 ||
      Load64(end64 + 24) != Load64(end64 + 32)) {
    return UnreadZip(file_name, kSeveralDisks);
  }
  absl::StatusOr<ZipDirectoryPlace> place =
      CheckedPlace(file_name, Load64(end64 + 48), Load64(end64 + 40),
                   Load64(end64 + 32), at);
  if (!place.ok()) return place.status();
  return *place;
}

}  // namespace

absl::Status BadZip(absl::string_view file_name, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(
      file_name, ": ", what,
      "; the file is cut short or damaged: download or save it again"));
}

absl::Status UnreadZip(absl::string_view file_name, absl::string_view what) {
  return absl::UnimplementedError(
      absl::StrCat(file_name, ": ", what,
                   ", which torch.save never does; save the checkpoint again"));
}

absl::StatusOr<ZipDirectoryPlace> FindZipDirectory(
    ReadAt read, int64_t file_size, absl::string_view file_name) {
  const absl::StatusOr<EndRecord> end =
      FindEndRecord(read, file_size, file_name);
  if (!end.ok()) return end.status();
  const absl::StatusOr<std::optional<ZipDirectoryPlace>> place64 =
      FindPlace64(read, *end, file_name);
  if (!place64.ok()) return place64.status();
  const bool wide = place64->has_value();
  if ((end->disk != 0 && !(wide && end->disk == kMax16)) ||
      (end->directory_disk != 0 && !(wide && end->directory_disk == kMax16)) ||
      end->count_here != end->count) {
    return UnreadZip(file_name, kSeveralDisks);
  }
  if (!wide) {
    return CheckedPlace(file_name, end->directory_begin, end->directory_bytes,
                        end->count, end->at);
  }
  // Old readers see only the 16- and 32-bit fields: no other directory in them.
  const ZipDirectoryPlace& place = **place64;
  if ((end->count != kMax16 && end->count != place.count) ||
      (end->directory_begin != kMax32 && end->directory_begin != place.begin) ||
      (end->directory_bytes != kMax32 &&
       end->directory_bytes != place.end - place.begin)) {
    return BadZip(file_name,
                  absl::StrCat("byte ", end->at,
                               ": the end of the directory says something else "
                               "than its zip64 form"));
  }
  return place;
}

}  // namespace checkpoint_internal
}  // namespace pretrained
