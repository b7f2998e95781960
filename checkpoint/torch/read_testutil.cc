#include "checkpoint/torch/read_testutil.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libdeflate.h"

namespace pretrained {
namespace checkpoint_testing {
namespace {

// `value` in `bytes` bytes, lowest first.
std::string Int(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) {
    text.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
  }
  return text;
}

std::string Deflated(const std::string& content) {
  libdeflate_compressor* const compressor = libdeflate_alloc_compressor(6);
  std::string out(content.size() + 100, '\0');
  out.resize(libdeflate_deflate_compress(
      compressor, content.data(), content.size(), out.data(), out.size()));
  libdeflate_free_compressor(compressor);
  return out;
}

// One record's part of the file, and its record of the directory.
void AppendRecord(const TestRecord& record, std::string& file,
                  std::string& directory) {
  const std::string stored =
      record.deflate ? Deflated(record.content) : record.content;
  const uint32_t crc =
      libdeflate_crc32(0, record.content.data(), record.content.size());
  const int method = (record.deflate ? 8 : 0) + record.method_change;
  const std::string& local_name =
      record.local_name.empty() ? record.name : record.local_name;
  const int64_t offset = static_cast<int64_t>(file.size());
  const std::string pad = record.pad == 0
                              ? ""
                              : absl::StrCat("FB", Int(record.pad, 2),
                                             std::string(record.pad, 'Z'));
  absl::StrAppend(&file, "PK\x03\x04", Int(20, 2), Int(record.flags, 2),
                  Int(method, 2), Int(0, 4), Int(crc, 4), Int(stored.size(), 4),
                  Int(record.content.size(), 4), Int(local_name.size(), 2),
                  Int(pad.size(), 2), local_name, pad, stored);

  const uint64_t size = record.content.size() + record.size_change;
  const uint64_t stored_size = stored.size() + record.stored_change;
  const uint64_t begin = offset + record.offset_change;
  const std::string extra =
      record.zip64 ? absl::StrCat(Int(1, 2), Int(24, 2), Int(size, 8),
                                  Int(stored_size, 8), Int(begin, 8))
                   : "";
  const auto narrow = [&](uint64_t value) {
    return Int(record.zip64 ? 0xFFFFFFFF : value, 4);
  };
  absl::StrAppend(&directory, "PK\x01\x02", Int(20, 2), Int(20, 2),
                  Int(record.flags, 2), Int(method, 2), Int(0, 4),
                  Int(crc + record.crc_change, 4), narrow(stored_size),
                  narrow(size));
  absl::StrAppend(&directory, Int(record.name.size(), 2), Int(extra.size(), 2),
                  Int(0, 2), Int(0, 2), Int(0, 2), Int(0, 4), narrow(begin),
                  record.name, extra);
}

std::string Global(absl::string_view module, absl::string_view name) {
  return absl::StrCat("c", module, "\n", name, "\n");
}
std::string Text(absl::string_view text) {
  return absl::StrCat("X", Int(text.size(), 4), text);
}
// LONG1 of eight bytes.
std::string Number(int64_t value) {
  return absl::StrCat("\x8a\x08", Int(static_cast<uint64_t>(value), 8));
}
std::string Numbers(const std::vector<int64_t>& values) {
  std::string text = "(";
  for (const int64_t value : values) text += Number(value);
  return text + "t";
}

}  // namespace

absl::Status MemoryFile::operator()(int64_t offset,
                                    absl::Span<char> destination) const {
  if (offset < 0 || offset > static_cast<int64_t>(bytes.size()) ||
      destination.size() > bytes.size() - offset) {
    std::fprintf(stderr, "read of %zu bytes at %lld of %zu\n",
                 destination.size(), static_cast<long long>(offset),
                 bytes.size());
    std::abort();
  }
  if (!destination.empty()) {
    std::memcpy(destination.data(), bytes.data() + offset, destination.size());
  }
  return absl::OkStatus();
}

std::string ZipFile(const std::vector<TestRecord>& records,
                    const TestArchive& archive) {
  std::string file;
  std::string directory;
  for (const TestRecord& record : records) {
    AppendRecord(record, file, directory);
  }
  const uint64_t begin = file.size() + archive.begin_change;
  const uint64_t size = directory.size() + archive.size_change;
  const uint64_t count = records.size() + archive.count_change;
  file += directory;
  if (archive.zip64) {
    const uint64_t at = file.size();
    absl::StrAppend(&file, "PK\x06\x06", Int(44, 8), Int(45, 2), Int(45, 2),
                    Int(0, 4), Int(0, 4), Int(count, 8), Int(count, 8));
    absl::StrAppend(&file, Int(size, 8), Int(begin, 8), "PK\x06\x07", Int(0, 4),
                    Int(at, 8), Int(1, 4));
  }
  const uint64_t all = archive.zip64 ? ~uint64_t{0} : 0;
  absl::StrAppend(&file, "PK\x05\x06", Int(0, 2), Int(0, 2),
                  Int(count | all, 2), Int(count | all, 2), Int(size | all, 4),
                  Int(begin | all, 4), Int(archive.comment.size(), 2),
                  archive.comment);
  return file;
}

std::string StateDictPickle(const std::vector<TestView>& views, bool legacy) {
  std::string pickle = "\x80\x02}(";
  for (const TestView& view : views) {
    absl::StrAppend(&pickle, Text(view.name),
                    Global("torch._utils", "_rebuild_tensor_v2"), "((",
                    Text("storage"), Global("torch", view.storage_class),
                    Text(view.key), Text("cpu"), Number(view.storage_count),
                    legacy ? "N" : "", "tQ");
    absl::StrAppend(&pickle, Number(view.offset), Numbers(view.shape),
                    Numbers(view.strides), "\x89",
                    Global("collections", "OrderedDict"), ")RtR");
  }
  return pickle + "u.";
}

std::string TorchZipFile(
    const std::vector<TestView>& views,
    const std::vector<std::pair<std::string, std::string>>& storages,
    const TestTorchZip& options) {
  std::vector<TestRecord> records;
  const auto add = [&](absl::string_view name, std::string content) {
    TestRecord record;
    record.name = absl::StrCat(options.folder, name);
    record.content = std::move(content);
    record.deflate = options.deflate;
    records.push_back(std::move(record));
  };
  add("data.pkl", StateDictPickle(views));
  if (!options.byteorder.empty()) add("byteorder", options.byteorder);
  for (const auto& storage : storages) {
    add(absl::StrCat("data/", storage.first), storage.second);
  }
  if (!options.version.empty()) add("version", options.version);
  return ZipFile(records, options.archive);
}

std::string TorchLegacyFile(const std::vector<TestView>& views,
                            const std::vector<TestLegacyStorage>& storages) {
  std::string file(
      "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
      "\x80\x02M\xe9\x03.\x80\x02}.");
  file += StateDictPickle(views, /*legacy=*/true);
  file += "\x80\x02](";
  for (const TestLegacyStorage& storage : storages) file += Text(storage.key);
  file += "e.";
  for (const TestLegacyStorage& storage : storages) {
    absl::StrAppend(&file, Int(static_cast<uint64_t>(storage.count), 8),
                    storage.bytes);
  }
  return file;
}

}  // namespace checkpoint_testing
}  // namespace pretrained
