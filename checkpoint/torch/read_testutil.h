#ifndef PRETRAINED_CHECKPOINT_TORCH_READ_TESTUTIL_H_
#define PRETRAINED_CHECKPOINT_TORCH_READ_TESTUTIL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace pretrained {
namespace checkpoint_testing {

// A file in memory, to be passed where a ReadAt is wanted. A read that does not
// lie within it aborts: parsers promise not to ask for such bytes.
struct MemoryFile {
  absl::string_view bytes;

  absl::Status operator()(int64_t offset, absl::Span<char> destination) const;
};

// A record of an archive to be made.
struct TestRecord {
  std::string name;
  std::string content = {};
  bool deflate = false;

  // What the directory says instead of what is so; the local header's name.
  std::string local_name = {};  // Empty: as the directory's.
  uint16_t flags = 0;
  uint16_t method_change = 0;  // Added to the method of both headers.
  int64_t size_change = 0;     // Added to the directory's inflated size,
  int64_t stored_change = 0;   // its stored size,
  int64_t offset_change = 0;   // the place of the local header
  uint32_t crc_change = 0;     // and the CRC-32.
  int pad = 0;                 // Bytes of an extra field of the local header.
  bool zip64 = false;          // Leaves sizes and place to a zip64 field.
};

struct TestArchive {
  bool zip64 = false;  // Writes a zip64 end and its locator.
  std::string comment = {};
  int64_t count_change = 0;  // Added to what the end says: records,
  int64_t size_change = 0;   // bytes of the directory
  int64_t begin_change = 0;  // and its place.
};

// A zip archive of `records`, byte by byte.
std::string ZipFile(const std::vector<TestRecord>& records,
                    const TestArchive& archive = {});

// A pickle of protocol 2, {name: tensor, ..}, with `n` float tensors of the
// given shape and strides, each the whole of a storage of its own: "0", "1", ..
struct TestView {
  std::string name;
  std::string storage_class;  // "FloatStorage".
  std::string key;
  int64_t storage_count;
  int64_t offset;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
};
std::string StateDictPickle(const std::vector<TestView>& views,
                            bool legacy = false);

// An archive of torch.save with these views; `storages` are pairs of key and
// bytes. `byteorder` may be empty: no such record.
struct TestTorchZip {
  std::string folder = "archive/";
  std::string byteorder = "little";
  std::string version = "3\n";
  bool deflate = false;
  TestArchive archive = {};
};
std::string TorchZipFile(
    const std::vector<TestView>& views,
    const std::vector<std::pair<std::string, std::string>>& storages,
    const TestTorchZip& options = {});

// The same in the legacy container; `counts` are the elements of each storage.
struct TestLegacyStorage {
  std::string key;
  int64_t count;
  std::string bytes;
};
std::string TorchLegacyFile(const std::vector<TestView>& views,
                            const std::vector<TestLegacyStorage>& storages);

}  // namespace checkpoint_testing
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_READ_TESTUTIL_H_
