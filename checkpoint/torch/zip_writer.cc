#include "checkpoint/torch/zip_writer.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/error_text.h"
#include "checkpoint/file_writer.h"
#include "libdeflate.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// Values that mean "see the zip64 field".
constexpr int64_t kMax32 = 0xFFFFFFFF;
constexpr size_t kMax16 = 0xFFFF;

constexpr int64_t kLocalHeaderBytes = 30;
constexpr int64_t kCrcInLocalHeader = 14;

constexpr int kVersionPlain = 20;  // What a reader must know: 2.0,
constexpr int kVersionZip64 = 45;  // or 4.5.
constexpr int kFirstOf1980 = 1 << 5 | 1;

// So many bytes pass through the CRC and into the file at a time, while they
// are in a core's cache.
constexpr size_t kPieceBytes = size_t{1} << 20;

void Put16(std::string& out, uint64_t value) {
  for (int i = 0; i < 2; ++i) out += static_cast<char>(value >> (8 * i));
}
void Put32(std::string& out, uint64_t value) {
  for (int i = 0; i < 4; ++i) out += static_cast<char>(value >> (8 * i));
}
void Put64(std::string& out, uint64_t value) {
  for (int i = 0; i < 8; ++i) out += static_cast<char>(value >> (8 * i));
}

// In 32 bits, or the mark that sends readers to the zip64 field.
void Put32OrMark(std::string& out, int64_t value) {
  Put32(out, std::min(value, kMax32));
}

// What local header and directory have in common: flags to name length.
void PutCommon(std::string& out, const ZipEntry& entry) {
  Put16(out, 0);  // Flags.
  Put16(out, 0);  // Stored.
  Put16(out, 0);  // Midnight.
  Put16(out, kFirstOf1980);
  Put32(out, entry.crc32);
  Put32OrMark(out, entry.nbytes);
  Put32OrMark(out, entry.nbytes);
  Put16(out, entry.name.size());
}

// `values` as a zip64 field; nothing where there are none.
std::string Zip64Field(absl::Span<const int64_t> values) {
  std::string field;
  if (values.empty()) return field;
  Put16(field, 0x0001);
  Put16(field, values.size() * 8);
  for (const int64_t value : values) Put64(field, value);
  return field;
}

std::string DirectoryEntry(const ZipEntry& entry) {
  std::string zip64;
  if (entry.nbytes >= kMax32 && entry.offset >= kMax32) {
    zip64 = Zip64Field({entry.nbytes, entry.nbytes, entry.offset});
  } else if (entry.nbytes >= kMax32) {
    zip64 = Zip64Field({entry.nbytes, entry.nbytes});
  } else if (entry.offset >= kMax32) {
    zip64 = Zip64Field({entry.offset});
  }
  const int version = zip64.empty() ? kVersionPlain : kVersionZip64;
  std::string out = "PK\x01\x02";
  Put16(out, version);  // Made by,
  Put16(out, version);  // needed.
  PutCommon(out, entry);
  Put16(out, zip64.size());
  Put16(out, 0);  // Comment.
  Put16(out, 0);  // Disk.
  Put16(out, 0);  // Internal attributes.
  Put32(out, 0);  // External ones.
  Put32OrMark(out, entry.offset);
  return absl::StrCat(out, entry.name, zip64);
}

// The record and locator that hold what the end record cannot.
std::string Zip64End(size_t count, int64_t offset, int64_t nbytes) {
  std::string out = "PK\x06\x06";
  Put64(out, 44);  // Bytes of this record that follow.
  Put16(out, kVersionZip64);
  Put16(out, kVersionZip64);
  Put32(out, 0);  // This disk,
  Put32(out, 0);  // the directory's.
  Put64(out, count);
  Put64(out, count);
  Put64(out, nbytes);
  Put64(out, offset);
  out += "PK\x06\x07";
  Put32(out, 0);
  Put64(out, offset + nbytes);
  Put32(out, 1);  // Disks.
  return out;
}

}  // namespace

std::string ZipLocalHeader(const ZipEntry& entry) {
  const std::string zip64 = entry.nbytes >= kMax32
                                ? Zip64Field({entry.nbytes, entry.nbytes})
                                : std::string();
  constexpr int64_t kPaddingHead = 4;
  const int64_t unpadded =
      entry.offset + kLocalHeaderBytes +
      static_cast<int64_t>(entry.name.size() + zip64.size()) + kPaddingHead;
  const int64_t padding =
      (kZipAlignment - unpadded % kZipAlignment) % kZipAlignment;
  std::string out = "PK\x03\x04";
  Put16(out, zip64.empty() ? kVersionPlain : kVersionZip64);
  PutCommon(out, entry);
  Put16(out, zip64.size() + kPaddingHead + padding);
  absl::StrAppend(&out, entry.name, zip64, "FB");
  Put16(out, padding);
  out.append(padding, 'Z');
  return out;
}

std::string ZipDirectoryBytes(absl::Span<const ZipEntry> entries,
                              int64_t offset) {
  std::string out;
  for (const ZipEntry& entry : entries) out += DirectoryEntry(entry);
  const auto nbytes = static_cast<int64_t>(out.size());
  if (entries.size() >= kMax16 || offset >= kMax32 || nbytes >= kMax32) {
    out += Zip64End(entries.size(), offset, nbytes);
  }
  out += "PK\x05\x06";
  Put16(out, 0);  // This disk,
  Put16(out, 0);  // the directory's.
  Put16(out, std::min(entries.size(), kMax16));
  Put16(out, std::min(entries.size(), kMax16));
  Put32OrMark(out, nbytes);
  Put32OrMark(out, offset);
  Put16(out, 0);  // Comment.
  return out;
}

absl::Status ZipWriter::Begin(absl::string_view name, int64_t nbytes) {
  entries_.push_back({.name = std::string(name),
                      .nbytes = nbytes,
                      .offset = file_.size_bytes()});
  left_ = nbytes;
  return file_.Append(ZipLocalHeader(entries_.back()));
}

absl::Status ZipWriter::Append(absl::string_view piece) {
  if (piece.size() > static_cast<uint64_t>(left_)) {
    return absl::InternalError(absl::StrCat(
        "record ", QuotedName(entries_.back().name),
        ": got more bytes than the ", entries_.back().nbytes, " it was to be"));
  }
  left_ -= static_cast<int64_t>(piece.size());
  uint32_t& crc32 = entries_.back().crc32;
  while (!piece.empty()) {
    const absl::string_view head = piece.substr(0, kPieceBytes);
    crc32 = libdeflate_crc32(crc32, head.data(), head.size());
    const absl::Status status = file_.Append(head);
    if (!status.ok()) return status;
    piece.remove_prefix(head.size());
  }
  return absl::OkStatus();
}

absl::Status ZipWriter::End() {
  const ZipEntry& entry = entries_.back();
  if (left_ != 0) {
    return absl::InternalError(
        absl::StrCat("record ", QuotedName(entry.name), ": got ", left_,
                     " bytes fewer than the ", entry.nbytes, " it was to be"));
  }
  std::string crc32;
  Put32(crc32, entry.crc32);
  return file_.WriteAt(entry.offset + kCrcInLocalHeader, crc32);
}

absl::Status ZipWriter::Add(absl::string_view name, absl::string_view bytes) {
  absl::Status status = Begin(name, static_cast<int64_t>(bytes.size()));
  if (status.ok()) status = Append(bytes);
  if (status.ok()) status = End();
  return status;
}

absl::Status ZipWriter::Finish() {
  return file_.Append(ZipDirectoryBytes(entries_, file_.size_bytes()));
}

}  // namespace checkpoint_internal
}  // namespace pretrained
