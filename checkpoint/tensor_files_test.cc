#include "checkpoint/tensor_files.h"

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/safetensors_testutil.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::HasSubstr;

// A file of bytes that tell where they stand.
std::string Counting(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>((i * 7 + i / 256) & 0xFF);
  }
  return bytes;
}

TensorInfo Bytes(int file, int64_t begin, std::vector<int64_t> shape) {
  TensorInfo tensor;
  tensor.name = "w";
  tensor.dtype = Dtype::kUint8;
  tensor.shape = std::move(shape);
  tensor.file = file;
  tensor.begin = begin;
  tensor.end = begin + tensor.num_elements();
  return tensor;
}

std::string Viewed(const TensorFiles& files, const TensorInfo& tensor) {
  const absl::StatusOr<TensorView> view = files.View(tensor);
  EXPECT_THAT(view, IsOk());
  if (!view.ok()) return "";
  return std::string(static_cast<const char*>(view->data), view->nbytes);
}

TEST(TensorFilesTest, ViewsAndReadsTensorsOfEachFile) {
  const std::string first = Counting(100), second = Counting(60).substr(30);
  for (const bool use_mmap : {true, false}) {
    TensorFiles files(use_mmap);
    EXPECT_EQ(files.Where(), "no file");
    const std::string path = WriteTestFile("first", first);
    const auto added = files.Add(path);
    ASSERT_THAT(added, IsOk());
    EXPECT_EQ((*added)->size_bytes(), 100);
    EXPECT_EQ(files.Where(), path);
    ASSERT_THAT(files.Add(WriteTestFile("second", second)), IsOk());
    ASSERT_THAT(files.Add(path), IsOk());
    EXPECT_EQ(files.Where(), path + " and 2 more files");
    ASSERT_EQ(files.infos().size(), 3);
    EXPECT_EQ(files.infos()[0].path, path);
    EXPECT_EQ(files.infos()[1].size_bytes, 30);

    const TensorInfo a = Bytes(0, 90, {2, 5}), b = Bytes(1, 3, {7});
    EXPECT_EQ(Viewed(files, a), first.substr(90, 10));
    EXPECT_EQ(Viewed(files, b), second.substr(3, 7));
    std::string read(7, '\0');
    ASSERT_THAT(files.Read(b, absl::MakeSpan(read)), IsOk());
    EXPECT_EQ(read, second.substr(3, 7));
    EXPECT_EQ(Viewed(files, Bytes(0, 100, {0})), "");
  }
}

TEST(TensorFilesTest, OutlivedByItsViewsWhoseWritesStayPrivate) {
  const std::string path = WriteTestFile("kept", Counting(64));
  for (const bool use_mmap : {true, false}) {
    absl::StatusOr<TensorView> view;
    {
      TensorFiles files(use_mmap);
      ASSERT_THAT(files.Add(path), IsOk());
      view = files.View(Bytes(0, 8, {16}));
      ASSERT_THAT(view, IsOk());
    }
    EXPECT_EQ(std::memcmp(view->data, Counting(64).data() + 8, 16), 0);
    std::memset(view->data, 1, view->nbytes);
    EXPECT_EQ(ReadTestFile(path), Counting(64));
  }
}

// Short runs near each other, which are read together, and long ones apart.
TEST(TensorFilesTest, ReadsEverySlice) {
  constexpr int64_t kWide = 40'000;  // Steps that are not worth joining.
  for (const int64_t columns : {int64_t{9}, kWide}) {
    const std::vector<int64_t> shape = {6, 4, columns};
    const std::string file = Counting(24 * columns + 10);
    TensorFiles files(true);
    ASSERT_THAT(files.Add(WriteTestFile("sliced", file)), IsOk());
    const TensorInfo tensor = Bytes(0, 10, shape);
    for (const SliceRange rows : {SliceRange{0, 6}, SliceRange{2, 5}}) {
      for (const SliceRange middle : {SliceRange{0, 4}, SliceRange{1, 3}}) {
        const SliceRange last{2, columns - 3};
        std::string want;
        for (int64_t i = rows.start; i < rows.stop; ++i) {
          for (int64_t j = middle.start; j < middle.stop; ++j) {
            want += file.substr(10 + (i * 4 + j) * columns + last.start,
                                last.stop - last.start);
          }
        }
        std::string got(want.size(), '\0');
        ASSERT_THAT(
            files.ReadSlice(tensor, {rows, middle, last}, absl::MakeSpan(got)),
            IsOk());
        EXPECT_EQ(got, want);
      }
    }
    std::string whole(24 * columns, '\0');
    ASSERT_THAT(files.ReadSlice(tensor, {}, absl::MakeSpan(whole)), IsOk());
    EXPECT_EQ(whole, file.substr(10));
    std::string none;
    EXPECT_THAT(files.ReadSlice(tensor, {{3, 3}}, absl::MakeSpan(none)),
                IsOk());
  }
}

TEST(TensorFilesTest, RefusesBytesThatNoFileHas) {
  TensorFiles files(true);
  ASSERT_THAT(files.Add(WriteTestFile("short", Counting(20))), IsOk());
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  for (const TensorInfo& tensor :
       {Bytes(0, 15, {6}), Bytes(-1, 0, {1}), Bytes(1, 0, {1}),
        Bytes(0, -1, {1}), Bytes(0, kMax - 1, {1})}) {
    EXPECT_THAT(files.View(tensor), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr("tensor 'w': bytes [")));
    std::string out(tensor.num_elements(), '\0');
    EXPECT_THAT(files.Read(tensor, absl::MakeSpan(out)),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(files.ReadSlice(tensor, {}, absl::MakeSpan(out)),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST(TensorFilesTest, RefusesADestinationOfTheWrongSize) {
  TensorFiles files(true);
  ASSERT_THAT(files.Add(WriteTestFile("sized", Counting(20))), IsOk());
  std::string out(5, '\0');
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{4}, std::vector<int64_t>{6}}) {
    EXPECT_THAT(files.Read(Bytes(0, 0, shape), absl::MakeSpan(out)),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("the destination has 5 bytes"),
                               HasSubstr("but needs"))));
  }
  EXPECT_THAT(
      files.ReadSlice(Bytes(0, 0, {4, 5}), {{1, 3}}, absl::MakeSpan(out)),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("needs 10")));
  EXPECT_THAT(
      files.ReadSlice(Bytes(0, 0, {4, 5}), {{4, 5}}, absl::MakeSpan(out)),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("sized")));
}

TEST(TensorFilesTest, NoticesAFileThatWasCutShort) {
  const std::string path = WriteTestFile("cut", Counting(20'000));
  TensorFiles files(true);
  ASSERT_THAT(files.Add(WriteTestFile("whole", Counting(5))), IsOk());
  ASSERT_THAT(files.Add(path), IsOk());
  EXPECT_THAT(files.CheckUnchanged(), IsOk());
  ASSERT_EQ(truncate(path.c_str(), 10'000), 0);
  EXPECT_THAT(files.CheckUnchanged(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)));
  std::string out(100, '\0');
  EXPECT_THAT(files.Read(Bytes(1, 15'000, {100}), absl::MakeSpan(out)),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(files.Read(Bytes(1, 100, {100}), absl::MakeSpan(out)), IsOk());
}

TEST(TensorFilesTest, PassesOnWhyAFileCannotBeAdded) {
  TensorFiles files(true);
  EXPECT_THAT(files.Add("no/such/file"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(files.infos().size(), 0);
}

TEST(TensorFilesTest, SaysWhenThereIsNoMemoryForAView) {
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  GTEST_SKIP() << "there, asking for too much ends the program";
#endif
  TensorInfo huge = Bytes(0, 0, {int64_t{1} << 60});
  EXPECT_THAT(AllocateView(huge, "m.bin"),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("m.bin: tensor 'w'"),
                             HasSubstr("not enough memory"))));
  const auto small = AllocateView(Bytes(0, 0, {100}), "m.bin");
  ASSERT_THAT(small, IsOk());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(small->data) % 64, 0);
  EXPECT_EQ(small->nbytes, 100);
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
