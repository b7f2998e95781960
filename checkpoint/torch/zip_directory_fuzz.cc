// Any bytes at all: ZipDirectory either refuses them with one of the codes it
// documents, or what it lists is as safe to use as it promises.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/torch/read_testutil.h"
#include "checkpoint/torch/zip_directory.h"
#include "checkpoint/torch/zip_record.h"

namespace {

using pretrained::checkpoint_internal::CheckZipRecord;
using pretrained::checkpoint_internal::ReadZipRecord;
using pretrained::checkpoint_internal::ZipDirectory;
using pretrained::checkpoint_internal::ZipRecord;
using pretrained::checkpoint_testing::MemoryFile;

// Larger records are not inflated here.
constexpr int64_t kMaxInflated = 1 << 20;

void CheckRecord(const ZipDirectory& zip, const ZipRecord& record,
                 absl::string_view file) {
  CHECK(!record.name.empty());
  CHECK_EQ(zip.Find(record.name), &record);
  CHECK_GE(record.begin, 0);
  CHECK_LE(record.begin, record.end);
  CHECK_LE(record.end, static_cast<int64_t>(file.size()));
  const int64_t stored = record.end - record.begin;
  CHECK(record.deflated ? record.size <= 1032 * stored : record.size == stored);
  if (record.size > kMaxInflated) return;
  std::string content(record.size, '\0');
  const absl::Status read = ReadZipRecord(MemoryFile{file}, record, "fuzz.bin",
                                          absl::MakeSpan(content));
  CHECK(read.ok() || (record.deflated && absl::IsDataLoss(read))) << read;
  const absl::Status checked =
      CheckZipRecord(MemoryFile{file}, record, "fuzz.bin");
  CHECK(checked.ok() || absl::IsDataLoss(checked)) << checked;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view file(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<ZipDirectory> zip = ZipDirectory::Read(
      MemoryFile{file}, static_cast<int64_t>(size), "fuzz.bin");
  if (!zip.ok()) {
    CHECK(absl::IsDataLoss(zip.status()) || absl::IsUnimplemented(zip.status()))
        << zip.status();
    CHECK(zip.status().message().find("fuzz.bin: ") == 0) << zip.status();
    return 0;
  }
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (const ZipRecord& record : zip->records()) {
    CheckRecord(*zip, record, file);
    ranges.push_back({record.begin, record.end});
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    CHECK_LE(ranges[i - 1].second, ranges[i].first);
  }
  return 0;
}
