// The container before PyTorch 1.6; torch_golden_test has real ones.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/torch/read_testutil.h"
#include "checkpoint/torch/torch_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MemoryFile;
using checkpoint_testing::TestLegacyStorage;
using checkpoint_testing::TestView;
using checkpoint_testing::TorchLegacyFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<TorchFile> ReadFile(absl::string_view file) {
  return ReadTorchFile(MemoryFile{file}, static_cast<int64_t>(file.size()),
                       "m.bin", /*check_crc=*/false);
}

// Two storages: four floats and three shorts.
std::vector<TestView> TwoViews() {
  return {{"w", "FloatStorage", "11", 4, 0, {2, 2}, {2, 1}},
          {"v", "ShortStorage", "22", 3, 1, {2}, {1}}};
}
std::vector<TestLegacyStorage> TwoStorages() {
  return {{"22", 3, "abcdef"}, {"11", 4, "0123456789ABCDEF"}};
}

std::string Good() { return TorchLegacyFile(TwoViews(), TwoStorages()); }

TEST(TorchLegacyTest, FindsStoragesInTheOrderOfTheKeys) {
  const std::string content = Good();
  const absl::StatusOr<TorchFile> file = ReadFile(content);
  ASSERT_THAT(file, IsOk());
  EXPECT_TRUE(file->legacy);
  EXPECT_FALSE(file->big_endian);
  ASSERT_EQ(file->storages.size(), 2);
  EXPECT_EQ(file->objects.storages[0].key, "11");
  EXPECT_EQ(content.substr(file->storages[0].begin, 16), "0123456789ABCDEF");
  EXPECT_EQ(content.substr(file->storages[1].begin, 6), "abcdef");
  EXPECT_EQ(file->storages[1].size, 6);
}

// Nobody looks for tensors inside of an object of an unknown class, but their
// bytes are stored among the others.
TEST(TorchLegacyTest, StepsOverStoragesOfUnknownObjects) {
  std::string content = TorchLegacyFile(
      TwoViews(), {{"11", 4, "0123456789ABCDEF"}, {"22", 3, "abcdef"}});
  const size_t begin = content.find(std::string("X\x01\0\0\0w", 6)) + 6;
  const size_t end = content.find(std::string("X\x01\0\0\0v", 6));
  ASSERT_NE(end, std::string::npos);
  // "w" becomes a list of one object whose state is a tuple of the tensor:
  // EMPTY_LIST, GLOBAL, EMPTY_TUPLE, REDUCE, the tensor, TUPLE1, BUILD, APPEND.
  content.replace(
      begin, end - begin,
      absl::StrCat("]ctraining\nState\n)R", content.substr(begin, end - begin),
                   "\x85", "ba"));
  const absl::StatusOr<TorchFile> file = ReadFile(content);
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->objects.unknown_globals, ElementsAre("training.State"));
  ASSERT_EQ(file->storages.size(), 1);
  EXPECT_EQ(content.substr(file->storages[0].begin, 6), "abcdef");
}

struct BadFile {
  const char* what;
  void (*change)(std::string&);
  absl::StatusCode code;
  const char* message;
};

void Replace(std::string& file, absl::string_view from, absl::string_view to) {
  const size_t at = file.find(std::string(from));
  ASSERT_NE(at, std::string::npos) << from;
  file.replace(at, from.size(), std::string(to));
}

TEST(TorchLegacyTest, RefusesFilesThatContradictThemselves) {
  constexpr absl::StatusCode kDataLoss = absl::StatusCode::kDataLoss;
  const BadFile kBad[] = {
      {"another magic number",
       [](std::string& f) { Replace(f, "\x6c\xfc\x9c", "\x6c\xfc\x9d"); },
       kDataLoss, "magic number"},
      {"another protocol version",
       [](std::string& f) { Replace(f, "M\xe9\x03.", "M\xe8\x03."); },
       kDataLoss, "protocol version is not 1001"},
      {"keys that are no list",
       [](std::string& f) { Replace(f, "\x80\x02](", "\x80\x02}("); },
       kDataLoss, "storage key"},
      {"a key twice",
       [](std::string& f) {
         const size_t keys = f.find("](");
         f.replace(f.find("22", keys), 2, "11");
       },
       kDataLoss, "listed twice"},
      {"a key that nothing mentions",
       [](std::string& f) {
         const size_t keys = f.find("](");
         f.replace(f.find("22", keys), 2, "23");
       },
       kDataLoss, "'23' is stored, but the objects do not say"},
      {"a key too few",
       [](std::string& f) {
         const size_t keys = f.find("](");
         f.erase(f.find(std::string("X\x02\0\0\0", 5) + "11", keys), 7);
       },
       kDataLoss, "'11' is not stored"},
      {"another count", [](std::string& f) { f[f.size() - 16 - 8] = 3; },
       kDataLoss, "has 3 elements, but the objects say 4"},
      {"a count of 2^63", [](std::string& f) { f[f.size() - 16 - 1] = '\x80'; },
       kDataLoss, "elements, but the objects say 4"},
  };
  for (const BadFile& bad : kBad) {
    SCOPED_TRACE(bad.what);
    std::string file = Good();
    bad.change(file);
    EXPECT_THAT(ReadFile(file),
                StatusIs(bad.code,
                         AllOf(HasSubstr("m.bin: "), HasSubstr(bad.message))));
  }
}

// The count agrees with the pickle, and both with nothing that is there.
TEST(TorchLegacyTest, RefusesCountsLargerThanTheFile) {
  for (const int64_t count : {int64_t{5}, int64_t{1} << 40, INT64_MAX / 8}) {
    SCOPED_TRACE(count);
    EXPECT_THAT(ReadFile(TorchLegacyFile(
                    {{"w", "DoubleStorage", "1", count, 0, {1}, {1}}},
                    {{"1", count, "01234567"}})),
                StatusIs(absl::StatusCode::kDataLoss,
                         HasSubstr("but only 8 bytes follow")));
  }
}

TEST(TorchLegacyTest, RefusesEveryPrefix) {
  const std::string content = Good();
  for (size_t n = 0; n < content.size(); ++n) {
    EXPECT_THAT(ReadFile(absl::string_view(content).substr(0, n)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("m.bin: ")))
        << "cut at byte " << n;
  }
  EXPECT_THAT(ReadFile(content + "more"), IsOk());
}

// Pickles longer than the first window, with storages behind.
TEST(TorchLegacyTest, ReadsPicklesOfAnyLengthAndLittleElse) {
  std::vector<TestView> views;
  std::vector<TestLegacyStorage> storages;
  for (int i = 0; i < 2000; ++i) {
    const std::string key = absl::StrCat("94207959", i);
    views.push_back(
        {absl::StrCat("layer.", i), "FloatStorage", key, 1000, 0, {1000}, {1}});
    storages.push_back({key, 1000, std::string(4000, 'x')});
  }
  const std::string content = TorchLegacyFile(views, storages);
  int64_t bytes_read = 0;
  const absl::StatusOr<TorchFile> file = ReadTorchFile(
      [&](int64_t offset, absl::Span<char> destination) {
        bytes_read += static_cast<int64_t>(destination.size());
        return MemoryFile{content}(offset, destination);
      },
      static_cast<int64_t>(content.size()), "m.bin", /*check_crc=*/false);
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->storages.size(), 2000);
  EXPECT_LT(bytes_read, 2 << 20);
  EXPECT_GT(content.size(), 8 << 20);
}

TEST(TorchLegacyTest, PassesTheErrorsOfReading) {
  const std::string content = Good();
  for (int allowed = 0; allowed < 4; ++allowed) {
    int reads = 0;
    EXPECT_THAT(ReadTorchFile(
                    [&](int64_t offset, absl::Span<char> destination) {
                      if (reads++ == allowed) {
                        return absl::UnavailableError("gone");
                      }
                      return MemoryFile{content}(offset, destination);
                    },
                    static_cast<int64_t>(content.size()), "m.bin", false),
                StatusIs(absl::StatusCode::kUnavailable))
        << allowed;
  }
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
