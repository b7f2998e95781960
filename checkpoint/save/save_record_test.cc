#include "checkpoint/save/save_record.h"

#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

SaveRecord Sample() {
  return {.staging = InsideStagingName(0x123456789abcdef0),
          .new_names = {"model-00001-of-00002.safetensors", "with blank",
                        "a\nb", "\xff\x01", "end", "\xc3\xa4"},
          .removed_names = {"model.safetensors", "back\\slash", " "},
          .folder_inode = 18446744073709551615u,
          .kept = {{"runs/one two/x\n", 7}, {"\xfe", 1}}};
}

TEST(SaveRecordTest, ComesBackFromItsText) {
  const SaveRecord record = Sample();
  const absl::StatusOr<SaveRecord> back =
      SaveRecord::Parse(record.Serialize(), "j");
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(back->staging, record.staging);
  EXPECT_EQ(back->new_names, record.new_names);
  EXPECT_EQ(back->removed_names, record.removed_names);
  EXPECT_EQ(back->folder_inode, record.folder_inode);
  EXPECT_EQ(back->kept, record.kept);
}

// A disk can fill up anywhere: no proper prefix is a record.
TEST(SaveRecordTest, RejectsEveryPrefix) {
  const std::string text = Sample().Serialize();
  for (size_t n = 0; n < text.size(); ++n) {
    EXPECT_THAT(SaveRecord::Parse(text.substr(0, n), "j"),
                StatusIs(absl::StatusCode::kDataLoss))
        << "cut at byte " << n;
  }
}

struct BadRecord {
  const char* lines;  // Between the first line and the last.
  const char* message;
};

constexpr BadRecord kBadRecords[] = {
    {"new ../../etc/passwd\n", "line 2: the name '../../etc/passwd'"},
    {"new /etc/passwd\n", "the name '/etc/passwd'"},
    {"new a\nnew sub/file\n", "line 3: the name 'sub/file'"},
    {"new ..\n", "the name '..'"},
    {"new .\n", "the name '.'"},
    {"new \n", "the name ''"},
    {"new\n", "the name ''"},
    {"new a\\000b\n", "the name 'a"},
    {"new a\\\n", "a broken escape"},
    {"remove ../x\n", "the name '../x'"},
    {"remove a\\057b\n", "the name 'a/b'"},
    {"new .pretrained-save.journal\n", "the name '.pretrained-save.journal'"},
    {"new .pretrained-saving.0123456789abcdef\n", "the name"},
    {"new a\nnew a\n", "'a' a second time"},
    {"new a\nremove a\n", "'a' a second time"},
    {"staging /etc\n", "the staging folder '/etc'"},
    {"staging ..\n", "the staging folder '..'"},
    {"staging .pretrained-saving.0123456789abcdef/..\n", "the staging folder"},
    {"staging .pretrained-saving.0123456789ABCDEF\n", "the staging folder"},
    {"staging .pretrained-saving.0123456789abcdef\n"
     "staging .pretrained-saving.0123456789abcdef\n",
     "a second staging folder"},
    {"folder x\n", "no number"},
    {"kept x y\n", "a broken entry"},
    {"delete a\n", "the entry 'delete'"},
    {"\n", "the entry ''"},
    {"end\nnew a\n", "more after the end"},
};

TEST(SaveRecordTest, RejectsWhatNoSaveWrites) {
  for (const BadRecord& bad : kBadRecords) {
    SCOPED_TRACE(bad.lines);
    const std::string text =
        absl::StrCat("pretrained save 1\n", bad.lines, "end\n");
    EXPECT_THAT(
        SaveRecord::Parse(text, "some/journal"),
        StatusIs(absl::StatusCode::kDataLoss,
                 AllOf(HasSubstr("some/journal: line "), HasSubstr(bad.message),
                       HasSubstr("delete this one"))));
  }
  for (const absl::string_view text :
       {"", "\n", "end\n", "pretrained save 2\nend\n", "{\"a\": 1}",
        "pretrained save 1\r\nend\r\n"}) {
    EXPECT_THAT(SaveRecord::Parse(text, "j"),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("line 1")));
  }
}

// Whatever stands in it, the names that come out of it are plain ones.
TEST(SaveRecordTest, GivesOnlyPlainNamesWhateverTheBytes) {
  const std::string good = Sample().Serialize();
  constexpr absl::string_view kLikely = "/.\\\n 0ned\xff";
  std::mt19937 random(5);
  int parsed = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = good;
    for (int edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = random() % text.size();
      const char c = random() % 2 ? kLikely[random() % kLikely.size()]
                                  : static_cast<char>(random());
      switch (random() % 3) {
        case 0:
          text[at] = c;
          break;
        case 1:
          text.insert(at, 1, c);
          break;
        default:
          text.erase(at, 1);
      }
    }
    const absl::StatusOr<SaveRecord> record = SaveRecord::Parse(text, "j");
    if (!record.ok()) {
      ASSERT_THAT(record, StatusIs(absl::StatusCode::kDataLoss));
      continue;
    }
    ++parsed;
    ASSERT_TRUE(record->staging.empty() ||
                IsInsideStagingName(record->staging));
    std::vector<std::string> names = record->new_names;
    names.insert(names.end(), record->removed_names.begin(),
                 record->removed_names.end());
    for (const std::string& name : names) {
      ASSERT_THAT(CheckPlainName(name), IsOk());
      ASSERT_EQ(name.find('/'), std::string::npos);
    }
  }
  EXPECT_GT(parsed, 1000);
}

TEST(SaveRecordTest, KnowsTheStagingFoldersOfAFolder) {
  const std::string name = BesideStagingName("model", 0xabc);
  EXPECT_EQ(name, ".model.0000000000000abc.saving");
  EXPECT_TRUE(IsBesideStagingName(name, "model"));
  EXPECT_FALSE(IsBesideStagingName(name, "mode"));
  EXPECT_FALSE(IsBesideStagingName(name, "model2"));
  EXPECT_FALSE(IsBesideStagingName(name, ""));
  EXPECT_FALSE(IsBesideStagingName(BesideStagingName("model.x", 1), "model"));
  EXPECT_FALSE(IsBesideStagingName(BesideStagingName(name, 1), "model"));
  EXPECT_FALSE(IsBesideStagingName(".model.saving", "model"));
  EXPECT_TRUE(IsInsideStagingName(InsideStagingName(1)));
  EXPECT_FALSE(IsInsideStagingName(name));
}

TEST(SaveRecordTest, KeepsLongNamesShortAndApart) {
  const std::string a(255, 'a');
  const std::string b = std::string(254, 'a') + "b";
  EXPECT_LE(BesideStagingName(a, 1).size(), 255u);
  EXPECT_TRUE(IsBesideStagingName(BesideStagingName(a, 1), a));
  EXPECT_FALSE(IsBesideStagingName(BesideStagingName(a, 1), b));
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
