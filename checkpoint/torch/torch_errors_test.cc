// Broken and hostile files, each read as the table says or refused with its
// reason; and what opening them allocates. This test replaces operator new, and
// so is a program of its own. testdata/README.md tells where the files are
// from.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/allocation_counter.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/torch/torch_checkpoint.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "openssl/sha.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::ReadBytes;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::ViewedBytes;
using ::nlohmann::json;
using ::testing::HasSubstr;

constexpr absl::string_view kTestdata = "checkpoint/torch/testdata/";

// None of these files has 50 kB; what reading one may cost is far above all of
// them, and far below what their lies ask for.
constexpr int64_t kMostAllocated = int64_t{64} << 20;

json ReadJson(absl::string_view name) {
  const json value = json::parse(ReadTestFile(absl::StrCat(kTestdata, name)),
                                 nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(value.is_discarded()) << name;
  return value;
}

// The first 32 hexadecimal digits of the SHA-256.
std::string Digest(absl::string_view bytes) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), 16));
}

// The tensors of `checkpoint`, {name: {dtype, shape, digest}}.
json TensorsOf(const Checkpoint& checkpoint) {
  json tensors = json::object();
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    const std::string digest = Digest(ReadBytes(checkpoint, tensor));
    EXPECT_EQ(Digest(ViewedBytes(checkpoint, tensor)), digest);
    tensors[tensor.name] = {{"dtype", std::string(DtypeName(tensor.dtype))},
                            {"shape", tensor.shape},
                            {"digest", digest}};
  }
  return tensors;
}

// Opens the file at `path`, and checks what that allocates.
absl::StatusOr<std::unique_ptr<TorchCheckpoint>> OpenCounted(
    const std::string& path, const TorchCheckpointOptions& options = {}) {
  const int64_t before = checkpoint_testing::AllocatedBytes();
  auto checkpoint = TorchCheckpoint::Open({path}, options);
  EXPECT_LT(checkpoint_testing::AllocatedBytes() - before, kMostAllocated)
      << path;
  return checkpoint;
}

// A file in memory with changing content.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("edited", 0)) {}
  ~MemoryFile() { close(fd_); }

  // The path of the file, once `content` is all of it.
  std::string With(absl::string_view content) {
    EXPECT_EQ(ftruncate(fd_, 0), 0);
    EXPECT_EQ(pwrite(fd_, content.data(), content.size(), 0),
              static_cast<ssize_t>(content.size()));
    return absl::StrCat("/proc/self/fd/", fd_);
  }

 private:
  const int fd_;
};

std::string ErrorFile(absl::string_view file) {
  return absl::StrCat(kTestdata, "errors/", file);
}

TEST(TorchErrorsTest, ReadsOrRefusesEachFileAsTheTableSays) {
  const json table = ReadJson("expected.json");
  for (const json& row : table) {
    const std::string file = row["file"];
    SCOPED_TRACE(absl::StrCat(file, ": ", row["what"].get<std::string>()));
    const auto checkpoint = OpenCounted(ErrorFile(file));
    if (row.contains("tensors")) {
      ASSERT_THAT(checkpoint, IsOk());
      EXPECT_EQ(TensorsOf(**checkpoint), row["tensors"]);
      continue;
    }
    const absl::Status status = checkpoint.status();
    EXPECT_EQ(absl::StatusCodeToString(status.code()),
              row["refused"]["code"].get<std::string>())
        << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(file));
    for (const json& part : row["refused"]["message"]) {
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr(part.get<std::string>()));
    }
  }
}

TEST(TorchErrorsTest, HasARowForEachFile) {
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(ErrorFile(""))) {
    files.insert(entry.path().filename().string());
  }
  std::set<std::string> rows;
  for (const json& row : ReadJson("expected.json")) rows.insert(row["file"]);
  EXPECT_EQ(files, rows);
  EXPECT_EQ(rows.size(), 38);
}

// Random bytes changed, random lengths: read when torch.load(weights_only=True)
// reads it, to the same tensors, and refused when it refuses, but for the rows
// that say why not.
TEST(TorchErrorsTest, AgreesWithThePeerOnEditedFiles) {
  const json table = ReadJson("edits.json");
  EXPECT_EQ(table.size(), 200);
  MemoryFile file;
  for (const json& row : table) {
    SCOPED_TRACE(row.dump());
    std::string content =
        ReadTestFile(ErrorFile(row["base"].get<std::string>()));
    for (const json& edit : row["edits"]) {
      content[edit[0].get<size_t>()] = static_cast<char>(edit[1].get<int>());
    }
    content.resize(row["length"].get<size_t>());
    const auto checkpoint = OpenCounted(file.With(content));
    const json got = checkpoint.ok() ? TensorsOf(**checkpoint) : json();
    if (row.contains("differs")) {
      EXPECT_NE(got, row["tensors"]) << checkpoint.status();
      EXPECT_EQ(got.is_null(), row["differs"]["refused"].get<bool>())
          << checkpoint.status();
    } else {
      EXPECT_EQ(got, row["tensors"]) << checkpoint.status();
    }
  }
}

TEST(TorchErrorsTest, RefusesAWrongCrcWhenAsked) {
  TorchCheckpointOptions options;
  options.check_crc = true;
  EXPECT_THAT(OpenCounted(ErrorFile("wrong-crc.bin"), options),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("CRC-32")));
  EXPECT_THAT(OpenCounted(ErrorFile("good.bin"), options), IsOk());
}

// A download can stop anywhere.
TEST(TorchErrorsTest, RefusesEveryPrefixOfAGoodFile) {
  MemoryFile memory;
  for (const char* file : {"good.bin", "good-legacy.bin"}) {
    const std::string content = ReadTestFile(ErrorFile(file));
    for (size_t n = 0; n < content.size(); ++n) {
      const std::string path =
          memory.With(absl::string_view(content).substr(0, n));
      EXPECT_THAT(TorchCheckpoint::Open({path}),
                  StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)))
          << file << " cut at byte " << n;
    }
  }
}

// A good file with one byte changed: refused, or what it lists can be read.
TEST(TorchErrorsTest, SurvivesEverySingleByteChange) {
  MemoryFile memory;
  for (const char* file : {"good.bin", "good-legacy.bin"}) {
    const std::string good = ReadTestFile(ErrorFile(file));
    for (size_t i = 0; i < good.size(); ++i) {
      for (const int change : {1, 0x80, 0xFF}) {
        std::string content = good;
        content[i] = static_cast<char>(content[i] ^ change);
        const auto checkpoint = TorchCheckpoint::Open({memory.With(content)});
        if (!checkpoint.ok()) continue;
        for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
          ASSERT_LE(tensor.nbytes(), 1 << 20);
          EXPECT_EQ(ReadBytes(**checkpoint, tensor),
                    ViewedBytes(**checkpoint, tensor));
        }
      }
    }
  }
}

}  // namespace
}  // namespace pretrained
