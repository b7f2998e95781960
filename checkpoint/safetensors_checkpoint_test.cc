#include "checkpoint/safetensors_checkpoint.h"

#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::ManyTensors;
using checkpoint_testing::ReadBytes;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::SafetensorsFile;
using checkpoint_testing::SafetensorsFileWith;
using checkpoint_testing::TestTensor;
using checkpoint_testing::ViewedBytes;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::unique_ptr<SafetensorsCheckpoint> OpenOrDie(
    const std::vector<std::string>& paths,
    const SafetensorsCheckpointOptions& options = {}) {
  absl::StatusOr<std::unique_ptr<SafetensorsCheckpoint>> checkpoint =
      SafetensorsCheckpoint::Open(paths, options);
  EXPECT_THAT(checkpoint, IsOk());
  return *std::move(checkpoint);
}

const TensorInfo& FindOrDie(const Checkpoint& checkpoint,
                            const std::string& name) {
  const absl::StatusOr<const TensorInfo*> tensor = checkpoint.Find(name);
  EXPECT_THAT(tensor, IsOk());
  return **tensor;
}

// Several dtypes, an empty tensor, a scalar, an unaligned one and spaces.
const std::vector<TestTensor>& Tensors() {
  static const auto* const tensors = new std::vector<TestTensor>{
      {"embed tokens.weight", "F32", {30, 20}, 2400},
      {"scalar", "F64", {}, 8},
      {"none", "F32", {0, 7}, 0},
      {"odd", "U8", {3}, 3},
      {"unaligned", "BF16", {5, 4, 3}, 120},
  };
  return *tensors;
}

std::string SliceBytes(const Checkpoint& checkpoint, const TensorInfo& tensor,
                       const std::vector<SliceRange>& slice, int64_t nbytes) {
  std::string bytes(static_cast<size_t>(nbytes), '\0');
  EXPECT_THAT(checkpoint.ReadSlice(tensor, slice, absl::MakeSpan(bytes)),
              IsOk());
  return bytes;
}

TEST(SafetensorsCheckpointTest, ListsItsFileAndTensors) {
  const std::string path =
      WriteTestFile("one.safetensors", SafetensorsFileWith(Tensors()));
  const auto checkpoint = OpenOrDie({path});
  EXPECT_EQ(checkpoint->format(), "safetensors");
  ASSERT_EQ(checkpoint->files().size(), 1);
  EXPECT_EQ(checkpoint->files()[0].path, path);
  EXPECT_EQ(checkpoint->files()[0].size_bytes, ReadTestFile(path).size());
  EXPECT_EQ(checkpoint->tensors().size(), Tensors().size());
  for (const TestTensor& tensor : Tensors()) {
    const TensorInfo& info = FindOrDie(*checkpoint, tensor.name);
    EXPECT_EQ(info.shape, tensor.shape);
    EXPECT_EQ(info.nbytes(), tensor.nbytes);
    EXPECT_EQ(SafetensorsName(info.dtype), tensor.dtype);
  }
}

TEST(SafetensorsCheckpointTest, ViewsReadsAndSlicesTheSameBytes) {
  const std::string file = SafetensorsFileWith(Tensors());
  const std::string path = WriteTestFile("same.safetensors", file);
  for (const bool use_mmap : {true, false}) {
    const auto checkpoint = OpenOrDie({path}, {.use_mmap = use_mmap});
    for (const TensorInfo& tensor : checkpoint->tensors()) {
      const std::string want = file.substr(tensor.begin, tensor.nbytes());
      EXPECT_EQ(ViewedBytes(*checkpoint, tensor), want) << tensor.name;
      EXPECT_EQ(ReadBytes(*checkpoint, tensor), want) << tensor.name;
      EXPECT_EQ(SliceBytes(*checkpoint, tensor, {}, tensor.nbytes()), want)
          << tensor.name;
    }
  }
}

// Element by element against a whole read; {5, 4, 3} takes every path: rows,
// columns, a box, one element, none.
TEST(SafetensorsCheckpointTest, SlicesAsIndexingAWholeReadDoes) {
  const auto checkpoint = OpenOrDie(
      {WriteTestFile("slices.safetensors", SafetensorsFileWith(Tensors()))});
  const TensorInfo& tensor = FindOrDie(*checkpoint, "unaligned");
  const std::string all = ReadBytes(*checkpoint, tensor);
  const std::vector<std::vector<SliceRange>> kSlices = {
      {{1, 3}},
      {{0, 5}, {2, 3}},
      {{0, 5}, {0, 4}, {1, 2}},
      {{1, 4}, {1, 3}, {0, 2}},
      {{4, 5}, {3, 4}, {2, 3}},
      {{2, 2}}};
  for (std::vector<SliceRange> slice : kSlices) {
    const std::vector<SliceRange> given = slice;
    while (slice.size() < 3) slice.push_back({0, tensor.shape[slice.size()]});
    std::string want;
    for (int64_t i = slice[0].start; i < slice[0].stop; ++i) {
      for (int64_t j = slice[1].start; j < slice[1].stop; ++j) {
        for (int64_t k = slice[2].start; k < slice[2].stop; ++k) {
          want += all.substr(2 * ((i * 4 + j) * 3 + k), 2);
        }
      }
    }
    EXPECT_EQ(SliceBytes(*checkpoint, tensor, given, want.size()), want);
  }
}

// Columns of a matrix: near each other, so that one window holds many rows,
// and far apart, so that each is read alone; more than one window of them.
TEST(SafetensorsCheckpointTest, SlicesColumnsOfWideAndNarrowMatrices) {
  for (const int64_t columns : {3, 1000, 9000}) {
    const int64_t rows = 400;
    const auto checkpoint = OpenOrDie({WriteTestFile(
        "columns.safetensors",
        SafetensorsFileWith(
            {{"w", "U16", {2, rows / 2, columns}, 2 * rows * columns}}))});
    const TensorInfo& tensor = FindOrDie(*checkpoint, "w");
    const std::string all = ReadBytes(*checkpoint, tensor);
    std::string want;
    for (int64_t row = 0; row < rows; ++row) {
      want += all.substr(2 * (row * columns + 1), 4);
    }
    EXPECT_EQ(SliceBytes(*checkpoint, tensor, {{0, 2}, {0, rows / 2}, {1, 3}},
                         want.size()),
              want)
        << columns;
  }
}

TEST(SafetensorsCheckpointTest, RefusesDestinationsAndSlicesOfTheWrongSize) {
  const std::string path =
      WriteTestFile("sizes.safetensors", SafetensorsFileWith(Tensors()));
  const auto checkpoint = OpenOrDie({path});
  const TensorInfo& tensor = FindOrDie(*checkpoint, "unaligned");
  std::string bytes(119, '\0');
  EXPECT_THAT(checkpoint->Read(tensor, absl::MakeSpan(bytes)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(path), HasSubstr("'unaligned'"),
                             HasSubstr("119"), HasSubstr("120"))));
  EXPECT_THAT(checkpoint->ReadSlice(tensor, {{0, 1}}, absl::MakeSpan(bytes)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("has 119 bytes, but needs 24")));
  EXPECT_THAT(checkpoint->ReadSlice(tensor, {{0, 6}}, absl::MakeSpan(bytes)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(path), HasSubstr("dimension 0"))));
}

TEST(SafetensorsCheckpointTest, RefusesInfosThatAreNotItsOwn) {
  const auto checkpoint = OpenOrDie(
      {WriteTestFile("own.safetensors", SafetensorsFileWith(Tensors()))});
  TensorInfo tensor = FindOrDie(*checkpoint, "odd");
  std::string bytes(static_cast<size_t>(tensor.nbytes()), '\0');
  const auto expect_refused = [&] {
    EXPECT_THAT(checkpoint->View(tensor),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(checkpoint->Read(tensor, absl::MakeSpan(bytes)),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(checkpoint->ReadSlice(tensor, {}, absl::MakeSpan(bytes)),
                StatusIs(absl::StatusCode::kInvalidArgument));
  };
  tensor.file = 1;
  expect_refused();
  tensor.file = -1;
  expect_refused();
  tensor.file = 0;
  tensor.begin += 1'000'000;
  tensor.end += 1'000'000;
  expect_refused();
}

TEST(SafetensorsCheckpointTest, KeepsViewsAliveWithoutTheCheckpoint) {
  const std::string file = SafetensorsFileWith(Tensors());
  const std::string path = WriteTestFile("alive.safetensors", file);
  for (const bool use_mmap : {true, false}) {
    auto checkpoint = OpenOrDie({path}, {.use_mmap = use_mmap});
    const TensorInfo tensor = FindOrDie(*checkpoint, "unaligned");
    absl::StatusOr<TensorView> view = checkpoint->View(tensor);
    ASSERT_THAT(view, IsOk());
    checkpoint.reset();
    EXPECT_EQ(std::string(static_cast<char*>(view->data), view->nbytes),
              file.substr(tensor.begin, tensor.nbytes()));
  }
}

TEST(SafetensorsCheckpointTest, KeepsWritesThroughAViewFromTheFile) {
  const std::string file = SafetensorsFileWith(Tensors());
  const std::string path = WriteTestFile("writes.safetensors", file);
  for (const bool use_mmap : {true, false}) {
    const auto checkpoint = OpenOrDie({path}, {.use_mmap = use_mmap});
    for (const TensorInfo& tensor : checkpoint->tensors()) {
      const absl::StatusOr<TensorView> view = checkpoint->View(tensor);
      ASSERT_THAT(view, IsOk());
      if (view->nbytes > 0) std::memset(view->data, 0xAB, view->nbytes);
    }
    EXPECT_EQ(ReadTestFile(path), file);
    const TensorInfo& tensor = FindOrDie(*checkpoint, "unaligned");
    EXPECT_EQ(ReadBytes(*checkpoint, tensor),
              file.substr(tensor.begin, tensor.nbytes()));
  }
}

TEST(SafetensorsCheckpointTest, ReportsAFileCutShortAfterItWasOpened) {
  const std::string path =
      WriteTestFile("cut.safetensors", SafetensorsFileWith(Tensors()));
  const auto checkpoint = OpenOrDie({path});
  const auto unmapped = OpenOrDie({path}, {.use_mmap = false});
  EXPECT_THAT(checkpoint->CheckFilesUnchanged(), IsOk());
  ASSERT_EQ(truncate(path.c_str(), checkpoint->files()[0].size_bytes - 1), 0);

  const TensorInfo& tensor = FindOrDie(*checkpoint, "unaligned");
  std::string bytes(120, '\0');
  const auto is_cut =
      StatusIs(absl::StatusCode::kDataLoss,
               AllOf(HasSubstr(path), HasSubstr("cut short while being read")));
  EXPECT_THAT(checkpoint->Read(tensor, absl::MakeSpan(bytes)), is_cut);
  EXPECT_THAT(checkpoint->ReadSlice(tensor, {}, absl::MakeSpan(bytes)), is_cut);
  bytes.resize(40);
  EXPECT_THAT(checkpoint->ReadSlice(tensor, {{0, 5}, {0, 4}, {2, 3}},
                                    absl::MakeSpan(bytes)),
              is_cut);
  EXPECT_THAT(unmapped->View(tensor), is_cut);
  EXPECT_THAT(checkpoint->CheckFilesUnchanged(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)));
}

TEST(SafetensorsCheckpointTest, ServesSeveralFilesAsOne) {
  const std::string one =
      SafetensorsFile(R"({"__metadata__":{"format":"pt","a":"1"},)"
                      R"("x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
                      2);
  const std::string two =
      SafetensorsFile(R"({"__metadata__":{"b":"2","format":"tf"},)"
                      R"("y":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})",
                      3);
  const std::string path_one = WriteTestFile("1.safetensors", one);
  const std::string path_two = WriteTestFile("2.safetensors", two);
  const auto checkpoint = OpenOrDie({path_one, path_two});
  EXPECT_EQ(checkpoint->files()[1].path, path_two);
  ASSERT_EQ(checkpoint->tensors().size(), 2);
  EXPECT_EQ(checkpoint->tensors()[0].name, "x");
  EXPECT_EQ(checkpoint->tensors()[1].name, "y");
  EXPECT_EQ(checkpoint->tensors()[1].file, 1);
  EXPECT_THAT(
      checkpoint->metadata(),
      ElementsAre(Pair("format", "pt"), Pair("a", "1"), Pair("b", "2")));
  const TensorInfo& y = FindOrDie(*checkpoint, "y");
  EXPECT_EQ(ViewedBytes(*checkpoint, y), std::string("\0\1\2", 3));
  EXPECT_EQ(ReadBytes(*checkpoint, y), std::string("\0\1\2", 3));
  EXPECT_THAT(checkpoint->Find("z"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(path_one), HasSubstr("1 more file"))));

  ASSERT_EQ(truncate(path_two.c_str(), 5), 0);
  EXPECT_THAT(checkpoint->CheckFilesUnchanged(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path_two)));
}

TEST(SafetensorsCheckpointTest, RefusesATensorThatTwoFilesHold) {
  const std::string file = SafetensorsFileWith({{"w", "U8", {1}, 1}});
  const std::string one = WriteTestFile("a.safetensors", file);
  const std::string two = WriteTestFile("b.safetensors", file);
  EXPECT_THAT(
      SafetensorsCheckpoint::Open({one, two}),
      StatusIs(absl::StatusCode::kDataLoss,
               AllOf(HasSubstr(one), HasSubstr(two), HasSubstr("tensor 'w'"))));
}

TEST(SafetensorsCheckpointTest, RefusesToOpenNothing) {
  EXPECT_THAT(SafetensorsCheckpoint::Open({}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(SafetensorsCheckpoint::Open({"no/such.safetensors"}),
              StatusIs(absl::StatusCode::kNotFound));
}

// The first View() maps: here all threads come to it at once.
TEST(SafetensorsCheckpointTest, ServesManyThreadsAtOnce) {
  const std::string file = SafetensorsFileWith(ManyTensors(200));
  const auto checkpoint =
      OpenOrDie({WriteTestFile("threads.safetensors", file)});
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < checkpoint->tensors().size(); ++i) {
        const TensorInfo& tensor =
            checkpoint->tensors()[(i * 7 + t) % checkpoint->tensors().size()];
        const std::string want = file.substr(tensor.begin, tensor.nbytes());
        std::string slice(8, '\0');
        wrong += !checkpoint->Find(tensor.name).ok();
        wrong += ViewedBytes(*checkpoint, tensor) != want;
        wrong += ReadBytes(*checkpoint, tensor) != want;
        wrong += !checkpoint->ReadSlice(tensor, {{1, 3}}, absl::MakeSpan(slice))
                      .ok();
        wrong += slice != want.substr(4, 8);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_THAT(checkpoint->CheckFilesUnchanged(), IsOk());
}

}  // namespace
}  // namespace pretrained
