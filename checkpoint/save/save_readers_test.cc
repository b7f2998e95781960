// Readers of a folder that is being saved into.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/save/save_checkpoint.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::pretrained::checkpoint_testing::MakeTestFolder;
using ::pretrained::checkpoint_testing::ReadBytes;

constexpr int kTensors = 12;
constexpr int kSaves = 150;

// All bytes of all tensors are the number of the save.
absl::Status Save(const std::string& folder, char number) {
  const std::string bytes(64, number);
  std::vector<TensorToWrite> tensors;
  for (int i = 0; i < kTensors; ++i) {
    tensors.push_back(
        {absl::StrCat("t", i), Dtype::kUint8, {64}, bytes.data()});
  }
  // As many shards each time, so that old and new ones have the same names.
  return SaveCheckpoint(folder, tensors, {.max_shard_bytes = 130}).status();
}

// The number of the save that `checkpoint` is of, all of it.
char NumberOf(const Checkpoint& checkpoint) {
  std::string all;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    all += ReadBytes(checkpoint, tensor);
  }
  EXPECT_EQ(all, std::string(64 * kTensors, all[0])) << "a mixture";
  return all[0];
}

TEST(SaveReadersTest, WhoOpensDuringSavesSeesOneOfThemWhole) {
  const std::string folder = MakeTestFolder("read while saved") + "/model";
  ASSERT_THAT(Save(folder, 1), IsOk());
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 2; i <= kSaves && !testing::Test::HasFailure(); ++i) {
      EXPECT_THAT(Save(folder, static_cast<char>(i % 100 + 1)), IsOk());
    }
    done = true;
  });
  int opened = 0;
  while (!done && !testing::Test::HasFailure()) {
    const auto checkpoint = OpenCheckpoint(folder);
    EXPECT_THAT(checkpoint, IsOk());
    if (checkpoint.ok()) NumberOf(**checkpoint);
    ++opened;
  }
  writer.join();
  EXPECT_GT(opened, 0);
  const auto last = OpenCheckpoint(folder);
  ASSERT_THAT(last, IsOk());
  EXPECT_EQ(NumberOf(**last), kSaves % 100 + 1);
}

}  // namespace
}  // namespace pretrained
