#include "checkpoint/torch/zip_directory.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/error_text.h"
#include "checkpoint/torch/little_endian.h"
#include "checkpoint/torch/read_at.h"
#include "checkpoint/torch/zip_end.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// Field offsets are those of APPNOTE.TXT 6.3, section 4.3; the format document
// lists them with an example.
constexpr absl::string_view kLocalSignature = "PK\x03\x04";
constexpr absl::string_view kCentralSignature = "PK\x01\x02";
constexpr int64_t kLocalBytes = 30;
constexpr int64_t kCentralBytes = kZipCentralBytes;

constexpr uint32_t kMax32 = 0xFFFFFFFF;
constexpr uint16_t kExtra64 = 1;  // The extra field with 64-bit values.

constexpr uint16_t kFlagEncrypted = 1 << 0;
constexpr uint16_t kFlagStrongEncryption = 1 << 6;
constexpr uint16_t kFlagMaskedHeaders = 1 << 13;
constexpr uint16_t kFlagsRefused =
    kFlagEncrypted | kFlagStrongEncryption | kFlagMaskedHeaders;

constexpr uint16_t kStored = 0;
constexpr uint16_t kDeflated = 8;
// A deflated bit pair makes at most 258 bytes.
constexpr uint64_t kMaxDeflateRatio = 1032;

// Local headers less than this apart are read together, in pieces of
// kWindowBytes.
constexpr int64_t kNearBytes = int64_t{4} << 10;
constexpr int64_t kWindowBytes = int64_t{64} << 10;

uint16_t Load16(const char* p) { return LoadLittleEndian<uint16_t>(p); }
uint32_t Load32(const char* p) { return LoadLittleEndian<uint32_t>(p); }
uint64_t Load64(const char* p) { return LoadLittleEndian<uint64_t>(p); }

absl::string_view Signature(const char* p) { return absl::string_view(p, 4); }

// A record, and what only the reading of the directory needs.
struct Entry {
  ZipRecord record;
  uint16_t method = 0;
  uint16_t flags = 0;
  int64_t header_begin = 0;  // Of the local header.
};

// Reads one archive; its members fail with the whole message.
class DirectoryReader {
 public:
  DirectoryReader(ReadAt read, int64_t file_size, absl::string_view file_name)
      : read_(read), file_size_(file_size), file_name_(file_name) {}

  absl::StatusOr<std::vector<char>> ReadDirectory(
      const ZipDirectoryPlace& place);
  absl::StatusOr<std::vector<Entry>> ParseEntries(
      const ZipDirectoryPlace& place, const std::vector<char>& text);
  absl::Status ReadLocalHeaders(const ZipDirectoryPlace& place,
                                std::vector<Entry>& entries);

 private:
  absl::Status Contradiction(absl::string_view what) const {
    return BadZip(file_name_, what);
  }
  absl::Status Contradiction(const ZipRecord& record,
                             absl::string_view what) const {
    return Contradiction(
        absl::StrCat("record ", QuotedName(record.name), ": ", what));
  }
  absl::Status NotRead(absl::string_view what) const {
    return UnreadZip(file_name_, what);
  }

  absl::StatusOr<Entry> ParseEntry(const char* header, int64_t at,
                                   absl::string_view extra) const;
  absl::Status CheckEntry(const Entry& entry) const;
  absl::Status ReadLocalHeader(Entry& entry, int64_t previous_header);
  absl::StatusOr<const char*> Window(int64_t begin, int64_t bytes,
                                     int64_t wanted);

  ReadAt read_;
  const int64_t file_size_;
  const absl::string_view file_name_;
  std::vector<char> window_;  // Bytes of the file from window_begin_ on.
  int64_t window_begin_ = 0;
};

// --- The directory ---

absl::StatusOr<std::vector<char>> DirectoryReader::ReadDirectory(
    const ZipDirectoryPlace& place) {
  std::vector<char> text(place.end - place.begin);
  absl::Status status = read_(place.begin, absl::MakeSpan(text));
  if (!status.ok()) return status;
  return text;
}

absl::StatusOr<std::vector<Entry>> DirectoryReader::ParseEntries(
    const ZipDirectoryPlace& place, const std::vector<char>& text) {
  std::vector<Entry> entries;
  entries.reserve(place.count);
  int64_t at = 0;
  const int64_t size = static_cast<int64_t>(text.size());
  for (int64_t i = 0; i < place.count; ++i) {
    const char* const header = text.data() + at;
    if (size - at < kCentralBytes || Signature(header) != kCentralSignature) {
      return Contradiction(absl::StrCat("byte ", place.begin + at, ": record ",
                                        i, " of the directory's ", place.count,
                                        " is not here"));
    }
    const int64_t name_bytes = Load16(header + 28);
    const int64_t extra_bytes = Load16(header + 30);
    const int64_t bytes =
        kCentralBytes + name_bytes + extra_bytes + Load16(header + 32);
    if (bytes > size - at) {
      return Contradiction(absl::StrCat("byte ", place.begin + at, ": record ",
                                        i, " reaches beyond the directory"));
    }
    absl::StatusOr<Entry> entry = ParseEntry(
        header, place.begin + at,
        absl::string_view(header + kCentralBytes + name_bytes, extra_bytes));
    if (!entry.ok()) return entry.status();
    entries.push_back(*entry);
    at += bytes;
  }
  if (at != size) {
    return Contradiction(absl::StrCat(
        "byte ", place.begin + at, ": the directory's ", place.count,
        " records end here, but it goes on for ", size - at, " bytes"));
  }
  return entries;
}

// Replaces the fields that are all ones by those of the zip64 extra field,
// which has a value for each of them and for no other, in this order. False if
// `extra` lacks one.
bool ApplyExtra64(absl::string_view extra, uint64_t& size, uint64_t& stored,
                  uint64_t& header_begin) {
  const bool wanted =
      size == kMax32 || stored == kMax32 || header_begin == kMax32;
  bool found = false;
  while (extra.size() >= 4) {
    const uint16_t id = Load16(extra.data());
    const size_t bytes = Load16(extra.data() + 2);
    if (bytes > extra.size() - 4) return !wanted;
    absl::string_view value = extra.substr(4, bytes);
    extra.remove_prefix(4 + bytes);
    if (id != kExtra64) continue;
    if (found) return false;  // Readers would differ on which one counts.
    found = true;
    for (uint64_t* field : {&size, &stored, &header_begin}) {
      if (*field != kMax32) continue;
      if (value.size() < 8) return false;
      *field = Load64(value.data());
      value.remove_prefix(8);
    }
  }
  return found || !wanted;
}

// The record whose central header of kCentralBytes is at byte `at` of the file.
absl::StatusOr<Entry> DirectoryReader::ParseEntry(
    const char* header, int64_t at, absl::string_view extra) const {
  Entry entry;
  entry.record.name =
      absl::string_view(header + kCentralBytes, Load16(header + 28));
  entry.flags = Load16(header + 8);
  entry.method = Load16(header + 10);
  entry.record.crc32 = Load32(header + 16);
  entry.record.deflated = entry.method == kDeflated;
  uint64_t stored = Load32(header + 20);
  uint64_t size = Load32(header + 24);
  uint64_t header_begin = Load32(header + 42);
  const uint16_t disk = Load16(header + 34);
  if (disk != 0) return NotRead("the archive is spread over several disks");
  if (!ApplyExtra64(extra, size, stored, header_begin)) {
    return Contradiction(entry.record,
                         absl::StrCat("byte ", at,
                                      ": its zip64 field lacks a size that is "
                                      "left to it, or comes twice"));
  }
  if (header_begin > static_cast<uint64_t>(file_size_) ||
      stored > static_cast<uint64_t>(file_size_)) {
    return Contradiction(
        entry.record,
        absl::StrCat("its ", stored, " bytes at byte ", header_begin,
                     " do not lie within the file's ", file_size_));
  }
  entry.header_begin = static_cast<int64_t>(header_begin);
  // begin comes from the local header; until then this carries the length.
  entry.record.end = static_cast<int64_t>(stored);
  const uint64_t most =
      entry.record.deflated ? stored * kMaxDeflateRatio : stored;
  if (size > most || (entry.method == kStored && size != stored)) {
    return Contradiction(
        entry.record,
        absl::StrCat("it is said to hold ", size, " bytes, but ", stored,
                     " stored ones ",
                     entry.method == kDeflated ? "inflate to at most " : "are ",
                     most));
  }
  entry.record.size = static_cast<int64_t>(size);
  absl::Status status = CheckEntry(entry);
  if (!status.ok()) return status;
  return entry;
}

absl::Status DirectoryReader::CheckEntry(const Entry& entry) const {
  const std::string subject =
      absl::StrCat("record ", QuotedName(entry.record.name), ": it is ");
  if ((entry.flags & kFlagsRefused) != 0) {
    return NotRead(absl::StrCat(subject, "encrypted"));
  }
  if (entry.method != kStored && entry.method != kDeflated) {
    return NotRead(
        absl::StrCat(subject, "compressed by method ", entry.method));
  }
  if (entry.record.name.empty() ||
      entry.record.name.find('\0') != absl::string_view::npos) {
    return Contradiction(entry.record, "its name is empty or holds a NUL byte");
  }
  return absl::OkStatus();
}

// --- The local headers ---

absl::Status DirectoryReader::ReadLocalHeaders(const ZipDirectoryPlace& place,
                                               std::vector<Entry>& entries) {
  std::vector<uint32_t> order(entries.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return entries[a].header_begin < entries[b].header_begin;
  });
  int64_t covered = 0;  // Through the data of the record before.
  int64_t previous_header = -kWindowBytes;
  for (const uint32_t i : order) {
    Entry& entry = entries[i];
    if (entry.header_begin < covered) {
      return Contradiction(
          entry.record,
          absl::StrCat("it begins at byte ", entry.header_begin,
                       ", but another record reaches to byte ", covered));
    }
    if (entry.header_begin + kLocalBytes > place.begin) {
      return Contradiction(
          entry.record,
          absl::StrCat("it begins at byte ", entry.header_begin,
                       ", but the directory is at byte ", place.begin));
    }
    absl::Status status = ReadLocalHeader(entry, previous_header);
    if (!status.ok()) return status;
    if (entry.record.end > place.begin) {
      return Contradiction(
          entry.record,
          absl::StrCat("bytes [", entry.record.begin, ", ", entry.record.end,
                       ") reach into the directory at byte ", place.begin));
    }
    covered = entry.record.end;
    previous_header = entry.header_begin;
  }
  return absl::OkStatus();
}

// Checks the local header of `entry`, which lies before the directory, and
// completes its record.
absl::Status DirectoryReader::ReadLocalHeader(Entry& entry,
                                              int64_t previous_header) {
  ZipRecord& record = entry.record;
  const int64_t name_bytes = static_cast<int64_t>(record.name.size());
  const int64_t need =
      std::min(kLocalBytes + name_bytes, file_size_ - entry.header_begin);
  const bool near = entry.header_begin - previous_header < kNearBytes;
  const absl::StatusOr<const char*> header =
      Window(entry.header_begin, need, near ? kWindowBytes : need);
  if (!header.ok()) return header.status();
  if (Signature(*header) != kLocalSignature) {
    return Contradiction(record, absl::StrCat("byte ", entry.header_begin,
                                              ": there is no record here"));
  }
  if (need != kLocalBytes + name_bytes || Load16(*header + 26) != name_bytes ||
      absl::string_view(*header + kLocalBytes, name_bytes) != record.name) {
    return Contradiction(
        record,
        absl::StrCat("byte ", entry.header_begin,
                     ": its own header has another name, but the directory's "
                     "must be the same"));
  }
  if ((Load16(*header + 6) & kFlagsRefused) != 0 ||
      Load16(*header + 8) != entry.method) {
    return Contradiction(
        record, absl::StrCat("byte ", entry.header_begin,
                             ": its own header has another compression or "
                             "encryption than the directory"));
  }
  record.begin =
      entry.header_begin + kLocalBytes + name_bytes + Load16(*header + 28);
  record.end += record.begin;
  return absl::OkStatus();
}

// `bytes` bytes of the file from `begin` on, which are in it. Where they have
// to be read, reads as many as `wanted` if there are.
absl::StatusOr<const char*> DirectoryReader::Window(int64_t begin,
                                                    int64_t bytes,
                                                    int64_t wanted) {
  if (begin < window_begin_ ||
      begin + bytes > window_begin_ + static_cast<int64_t>(window_.size())) {
    window_.resize(std::min(std::max(bytes, wanted), file_size_ - begin));
    window_begin_ = begin;
    absl::Status status = read_(begin, absl::MakeSpan(window_));
    if (!status.ok()) return status;
  }
  return window_.data() + (begin - window_begin_);
}

}  // namespace

absl::StatusOr<ZipDirectory> ZipDirectory::Read(ReadAt read, int64_t file_size,
                                                absl::string_view file_name) {
  DirectoryReader reader(read, file_size, file_name);
  const absl::StatusOr<ZipDirectoryPlace> place =
      FindZipDirectory(read, file_size, file_name);
  if (!place.ok()) return place.status();
  absl::StatusOr<std::vector<char>> text = reader.ReadDirectory(*place);
  if (!text.ok()) return text.status();
  absl::StatusOr<std::vector<Entry>> entries =
      reader.ParseEntries(*place, *text);
  if (!entries.ok()) return entries.status();
  absl::Status status = reader.ReadLocalHeaders(*place, *entries);
  if (!status.ok()) return status;

  ZipDirectory directory;
  directory.text_ = *std::move(text);  // Does not move the characters.
  directory.records_.reserve(entries->size());
  directory.record_by_name_.reserve(entries->size());
  for (const Entry& entry : *entries) {
    const auto [it, is_new] = directory.record_by_name_.try_emplace(
        entry.record.name, static_cast<uint32_t>(directory.records_.size()));
    if (!is_new) {
      return absl::DataLossError(absl::StrCat(
          file_name, ": record ", QuotedName(entry.record.name),
          ": the archive has two of this name, but readers differ on which "
          "one counts; save the checkpoint again"));
    }
    directory.records_.push_back(entry.record);
  }
  return directory;
}

const ZipRecord* ZipDirectory::Find(absl::string_view name) const {
  const auto it = record_by_name_.find(name);
  return it == record_by_name_.end() ? nullptr : &records_[it->second];
}

}  // namespace checkpoint_internal
}  // namespace pretrained
