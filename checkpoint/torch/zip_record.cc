#include "checkpoint/torch/zip_record.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/error_text.h"
#include "checkpoint/torch/read_at.h"
#include "checkpoint/torch/zip_directory.h"
#include "libdeflate.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

constexpr int64_t kCheckedAtOnce = int64_t{1} << 20;

struct FreeDecompressor {
  void operator()(libdeflate_decompressor* p) const {
    libdeflate_free_decompressor(p);
  }
};

absl::Status NoMemory(absl::string_view file_name, const ZipRecord& record,
                      int64_t bytes) {
  return absl::ResourceExhaustedError(
      absl::StrCat(file_name, ": record ", QuotedName(record.name),
                   ": not enough memory for ", bytes, " bytes"));
}

std::unique_ptr<char[]> Allocate(int64_t bytes) {
  return std::unique_ptr<char[]>(new (std::nothrow) char[bytes]);
}

absl::Status Inflate(absl::string_view deflated, const ZipRecord& record,
                     absl::string_view file_name,
                     absl::Span<char> destination) {
  const std::unique_ptr<libdeflate_decompressor, FreeDecompressor> inflater(
      libdeflate_alloc_decompressor());
  if (inflater == nullptr) return NoMemory(file_name, record, 0);
  // Without a place for the size, only the exact one is a success. The library
  // may not be given a null pointer, which an empty span has.
  char nothing = 0;
  char* const out = destination.empty() ? &nothing : destination.data();
  const libdeflate_result result = libdeflate_deflate_decompress(
      inflater.get(), deflated.data(), deflated.size(), out, destination.size(),
      /*actual_out_nbytes_ret=*/nullptr);
  if (result == LIBDEFLATE_SUCCESS) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(file_name, ": record ", QuotedName(record.name), ": bytes [",
                   record.begin, ", ", record.end,
                   result == LIBDEFLATE_BAD_DATA
                       ? ") are no deflated data"
                       : absl::StrCat(") do not inflate to ", record.size,
                                      " bytes, as the directory says"),
                   "; the file is damaged: download or save it again"));
}

}  // namespace

absl::Status ReadZipRecord(ReadAt read, const ZipRecord& record,
                           absl::string_view file_name,
                           absl::Span<char> destination) {
  if (destination.size() != static_cast<uint64_t>(record.size)) {
    return absl::InvalidArgumentError(absl::StrCat(
        file_name, ": record ", QuotedName(record.name),
        ": the destination has ", destination.size(), " bytes, but needs ",
        record.size, "; pass exactly as many"));
  }
  if (!record.deflated) return read(record.begin, destination);
  const int64_t bytes = record.end - record.begin;
  const std::unique_ptr<char[]> deflated = Allocate(bytes);
  if (deflated == nullptr) return NoMemory(file_name, record, bytes);
  absl::Status status =
      read(record.begin, absl::MakeSpan(deflated.get(), bytes));
  if (!status.ok()) return status;
  return Inflate(absl::string_view(deflated.get(), bytes), record, file_name,
                 destination);
}

absl::Status CheckZipRecord(ReadAt read, const ZipRecord& record,
                            absl::string_view file_name) {
  const int64_t at_once =
      record.deflated ? record.size : std::min(record.size, kCheckedAtOnce);
  const std::unique_ptr<char[]> buffer = Allocate(at_once);
  if (buffer == nullptr) return NoMemory(file_name, record, at_once);
  uint32_t crc = 0;
  if (record.deflated) {
    const absl::Span<char> all(buffer.get(), at_once);
    absl::Status status = ReadZipRecord(read, record, file_name, all);
    if (!status.ok()) return status;
    crc = libdeflate_crc32(crc, all.data(), all.size());
  } else {
    for (int64_t at = record.begin; at < record.end; at += at_once) {
      const absl::Span<char> part(buffer.get(),
                                  std::min(at_once, record.end - at));
      if (absl::Status status = read(at, part); !status.ok()) return status;
      crc = libdeflate_crc32(crc, part.data(), part.size());
    }
  }
  if (crc == record.crc32) return absl::OkStatus();
  return absl::DataLossError(absl::StrFormat(
      "%s: record %s: its bytes have the CRC-32 %08x, but the directory says "
      "%08x; the file is damaged: download or save it again",
      file_name, QuotedName(record.name), crc, record.crc32));
}

}  // namespace checkpoint_internal
}  // namespace pretrained
