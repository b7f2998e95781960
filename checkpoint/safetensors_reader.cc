#include "checkpoint/safetensors_reader.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/safetensors_header.h"

namespace pretrained {
namespace {

using checkpoint_internal::HeaderPlace;
using checkpoint_internal::kHeaderPadding;
using checkpoint_internal::ParseSafetensorsHeader;
using checkpoint_internal::SafetensorsHeader;

// A file starts with the length of its header, unsigned and little-endian.
constexpr int64_t kLengthBytes = 8;

// As in the Rust crate: no header needs more, and a wrong length mostly asks
// for more.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;

// What tells apart a file that is not safetensors at all is within these.
constexpr int64_t kSniffedBytes = 64;

uint64_t LoadLittleEndian64(const char* bytes) {
  uint64_t value = 0;
  for (int i = kLengthBytes - 1; i >= 0; --i) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

// For a file whose first bytes make no sense as a length: what it is instead,
// with what to do, if that shows.
absl::string_view WhatElse(absl::string_view head) {
  struct Kind {
    absl::string_view prefix;
    absl::string_view what;
  };
  static constexpr Kind kKinds[] = {
      {"version https://git-lfs",
       "it is a Git LFS pointer, which stands for a file that was not "
       "downloaded: run `git lfs pull` in its folder"},
      {"PK\x03\x04",
       "it is a zip archive, as torch.save writes: convert it to safetensors "
       "with save_pretrained(.., safe_serialization=True)"},
      {"\x80\x02",
       "it is a pickle, as torch.save once wrote: convert it to safetensors "
       "with save_pretrained(.., safe_serialization=True)"},
      {"\x89HDF\r\n", "it is an HDF5 file: convert it to safetensors"},
      {"<",
       "it looks like a web page saved in place of a file: download it "
       "again"},
      {"{",
       "it looks like JSON, not like weights: pass the file that holds "
       "the weights"},
  };
  for (const Kind& kind : kKinds) {
    if (absl::StartsWith(head, kind.prefix)) return kind.what;
  }
  return "this is not a safetensors file, or it is damaged: download it again";
}

// The length of the header of a file of `file_size` bytes that starts with
// `head` (all of it, or at least kSniffedBytes), once it is known to lie
// within the file.
absl::StatusOr<int64_t> HeaderLength(absl::string_view head, int64_t file_size,
                                     absl::string_view file_name) {
  if (file_size < kLengthBytes) {
    return absl::DataLossError(
        absl::StrCat(file_name, ": has ", file_size,
                     " bytes, but a safetensors file starts "
                     "with ",
                     kLengthBytes,
                     " that give the length of its header; the file "
                     "is cut short: download or save it again"));
  }
  const uint64_t length = LoadLittleEndian64(head.data());
  if (length > kMaxHeaderBytes) {
    return absl::DataLossError(absl::StrCat(
        file_name, ": its first 8 bytes give a header of ", length,
        " bytes, but one has at most ", kMaxHeaderBytes, "; ", WhatElse(head)));
  }
  const int64_t available = file_size - kLengthBytes;
  if (static_cast<int64_t>(length) > available) {
    return absl::DataLossError(absl::StrCat(
        file_name, ": its first 8 bytes give a header of ", length,
        " bytes, but only ", available, " follow; the file is cut short, or ",
        "is not a safetensors file: download it again"));
  }
  return static_cast<int64_t>(length);
}

}  // namespace

absl::StatusOr<SafetensorsReader> SafetensorsReader::Open(
    const std::string& path) {
  const absl::StatusOr<std::unique_ptr<MappedFile>> file =
      MappedFile::Open(path);
  if (!file.ok()) return file.status();
  return ReadFrom(**file);
}

absl::StatusOr<SafetensorsReader> SafetensorsReader::ReadFrom(
    const MappedFile& file) {
  char start[kSniffedBytes];
  const absl::Span<char> head(start,
                              std::min(kSniffedBytes, file.size_bytes()));
  if (absl::Status s = file.Read(0, head); !s.ok()) return s;
  const absl::StatusOr<int64_t> length =
      HeaderLength(absl::string_view(head.data(), head.size()),
                   file.size_bytes(), file.path());
  if (!length.ok()) return length.status();

  const std::unique_ptr<char[]> json(
      new (std::nothrow) char[*length + kHeaderPadding]);
  if (json == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat(file.path(), ": not enough memory for its header, ",
                     *length, " bytes"));
  }
  std::memset(json.get() + *length, ' ', kHeaderPadding);
  const absl::Span<char> header(json.get(), *length);
  if (absl::Status s = file.Read(kLengthBytes, header); !s.ok()) return s;
  return ParseHeader(absl::string_view(header.data(), header.size()),
                     /*padded=*/true, file.size_bytes(), file.path());
}

absl::StatusOr<SafetensorsReader> SafetensorsReader::Parse(
    absl::string_view head, int64_t file_size, absl::string_view file_name) {
  const int64_t head_size = static_cast<int64_t>(head.size());
  if (file_size < 0 || head_size < std::min(file_size, kLengthBytes)) {
    return absl::InvalidArgumentError(absl::StrCat(
        file_name, ": ", head_size, " bytes were passed of a file of ",
        file_size, "; pass at least its header"));
  }
  const absl::StatusOr<int64_t> length =
      HeaderLength(head, file_size, file_name);
  if (!length.ok()) return length.status();
  if (head_size - kLengthBytes < *length) {
    return absl::InvalidArgumentError(
        absl::StrCat(file_name, ": ", head_size,
                     " bytes were passed, but its header goes "
                     "on to byte ",
                     kLengthBytes + *length, "; pass at least the header"));
  }
  return ParseHeader(head.substr(kLengthBytes, *length), /*padded=*/false,
                     file_size, file_name);
}

absl::StatusOr<SafetensorsReader> SafetensorsReader::ParseHeader(
    absl::string_view json, bool padded, int64_t file_size,
    absl::string_view file_name) {
  HeaderPlace place;
  place.file_name = file_name;
  place.data_begin = kLengthBytes + static_cast<int64_t>(json.size());
  place.data_bytes = file_size - place.data_begin;
  place.padded = padded;
  absl::StatusOr<SafetensorsHeader> header =
      ParseSafetensorsHeader(json, place);
  if (!header.ok()) return header.status();

  SafetensorsReader reader;
  reader.file_name_ = std::string(file_name);
  reader.data_begin_ = place.data_begin;
  reader.table_ = std::move(header->table);
  reader.metadata_ = std::move(header->metadata);
  return reader;
}

}  // namespace pretrained
