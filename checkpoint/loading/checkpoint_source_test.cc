#include "checkpoint/loading/checkpoint_source.h"

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/loading/file_source.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::SafetensorsFileWith;
using checkpoint_testing::WriteTestFile;
using ::testing::HasSubstr;

constexpr int64_t kBytes = 20000;

std::string Stored(const std::string& name) {
  return WriteTestFile(name,
                       SafetensorsFileWith({{"a", "U8", {kBytes}, kBytes}}));
}

std::unique_ptr<Checkpoint> Open(const std::string& path) {
  auto checkpoint = OpenCheckpoint(path);
  EXPECT_THAT(checkpoint, IsOk());
  return *std::move(checkpoint);
}

TEST(CheckpointSourceTest, ReadsTheFileThatIsOpenWhateverItsPathNames) {
  const std::string path = Stored("moved.safetensors");
  const std::string bytes = ReadTestFile(path);
  const auto checkpoint = Open(path);
  EXPECT_TRUE(ReadsRanges(*checkpoint, checkpoint->tensors()[0]));
  const auto source = SourceOfFile(*checkpoint, 0);
  std::filesystem::rename(path, path + ".moved");
  WriteTestFile("moved.safetensors", std::string(bytes.size(), 'x'));
  std::string got(bytes.size(), '?');
  ASSERT_THAT(ReadRange(*source, 0, bytes.size(), got.data()), IsOk());
  EXPECT_EQ(got, bytes);
  EXPECT_EQ(source->path(), path);
}

TEST(CheckpointSourceTest, AFileCutShortIsDataLoss) {
  const std::string path = Stored("short.safetensors");
  const auto checkpoint = Open(path);
  const auto source = SourceOfFile(*checkpoint, 0);
  ASSERT_EQ(truncate(path.c_str(), 5000), 0);
  std::string got(kBytes, '?');
  EXPECT_THAT(ReadRange(*source, 100, kBytes, got.data()),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)));
}

TEST(CheckpointSourceTest, NoOtherFileIsReadDirectInItsPlace) {
  const std::string path = Stored("replaced.safetensors");
  const auto checkpoint = Open(path);
  const TensorInfo& tensor = checkpoint->tensors()[0];
  const auto direct = DirectSourceOfFile(*checkpoint, tensor);
  if (absl::IsUnimplemented(direct.status())) {
    GTEST_SKIP() << "no direct reads here";
  }
  ASSERT_THAT(direct, IsOk());
  EXPECT_EQ((*direct)->alignment(), kDirectAlignment);
  std::string other = ReadTestFile(path);
  other.back() ^= 1;
  std::filesystem::rename(path, path + ".moved");
  WriteTestFile("replaced.safetensors", other);
  EXPECT_THAT(DirectSourceOfFile(*checkpoint, tensor),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("another file has taken its place")));
  std::filesystem::remove(path);
  EXPECT_THAT(
      DirectSourceOfFile(*checkpoint, tensor),
      StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("no longer there")));
}

}  // namespace
}  // namespace pretrained
