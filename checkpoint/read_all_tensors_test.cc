#include "checkpoint/read_all_tensors.h"

#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::pretrained::checkpoint_testing::ReadBytes;
using ::pretrained::checkpoint_testing::SafetensorsFileWith;
using ::pretrained::checkpoint_testing::TestTensor;
using ::pretrained::checkpoint_testing::WriteTestFile;

// Sizes around those of a piece (1 MiB), none and a few bytes.
std::string WriteCheckpoint(const std::string& name) {
  std::vector<TestTensor> tensors;
  for (const int64_t bytes : {0, 1, 63, 64, 65, (1 << 20) - 1, 1 << 20,
                              (1 << 20) + 1, (20 << 20) + 3}) {
    tensors.push_back({"t" + std::to_string(bytes), "U8", {bytes}, bytes});
  }
  return WriteTestFile(name, SafetensorsFileWith(tensors));
}

TEST(ReadAllTensorsTest, CopiesEveryByteWithAnyNumberOfThreads) {
  auto checkpoint = OpenCheckpoint(WriteCheckpoint("all.safetensors"));
  ASSERT_THAT(checkpoint, IsOk());
  for (const int num_threads : {0, 1, 2, 3, 64}) {
    int64_t last = 0;
    int64_t total = 0;
    auto views = ReadAllTensors(**checkpoint,
                                {.num_threads = num_threads,
                                 .progress = [&](int64_t done, int64_t all) {
                                   EXPECT_GE(done, last);
                                   last = done;
                                   total = all;
                                 }});
    ASSERT_THAT(views, IsOk());
    ASSERT_EQ(views->size(), (*checkpoint)->tensors().size());
    int64_t bytes = 0;
    for (size_t i = 0; i < views->size(); ++i) {
      const TensorInfo& tensor = (*checkpoint)->tensors()[i];
      const TensorView& view = (*views)[i];
      ASSERT_EQ(view.nbytes, tensor.nbytes());
      EXPECT_EQ(reinterpret_cast<uintptr_t>(view.data) % 64, 0);
      EXPECT_EQ(std::string(static_cast<char*>(view.data), view.nbytes),
                ReadBytes(**checkpoint, tensor))
          << tensor.name;
      bytes += view.nbytes;
    }
    EXPECT_EQ(last, bytes);
    EXPECT_EQ(total, bytes);
  }
}

TEST(ReadAllTensorsTest, ViewsOutliveTheCheckpoint) {
  auto checkpoint = OpenCheckpoint(WriteCheckpoint("outlive.safetensors"));
  ASSERT_THAT(checkpoint, IsOk());
  const std::string want =
      ReadBytes(**checkpoint, (*checkpoint)->tensors().back());
  auto views = ReadAllTensors(**checkpoint);
  ASSERT_THAT(views, IsOk());
  const TensorView last = views->back();
  checkpoint->reset();
  views->clear();
  EXPECT_EQ(std::string(static_cast<char*>(last.data), last.nbytes), want);
}

TEST(ReadAllTensorsTest, AFileCutShortMeanwhileIsAnError) {
  const std::string path = WriteCheckpoint("cut.safetensors");
  auto checkpoint = OpenCheckpoint(path);
  ASSERT_THAT(checkpoint, IsOk());
  ASSERT_EQ(truncate(path.c_str(), 9 << 20), 0);
  for (const int num_threads : {1, 4}) {
    EXPECT_THAT(ReadAllTensors(**checkpoint, {.num_threads = num_threads}),
                StatusIs(absl::StatusCode::kDataLoss));
  }
}

}  // namespace
}  // namespace pretrained
