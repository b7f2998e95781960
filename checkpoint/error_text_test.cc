#include "checkpoint/error_text.h"

#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(QuotedNameTest, ShowsPrintableNamesAsTheyAre) {
  EXPECT_EQ(QuotedName("wte.weight"), "'wte.weight'");
  EXPECT_EQ(QuotedName("a name with spaces"), "'a name with spaces'");
  EXPECT_EQ(QuotedName("ключ/☃"), "'ключ/☃'");
  EXPECT_EQ(QuotedName(""), "''");
}

TEST(QuotedNameTest, EscapesWhatWouldSteerATerminal) {
  EXPECT_EQ(QuotedName("a\x1b[2J"), "'a\\x1b[2J'");
  EXPECT_EQ(QuotedName(std::string("a\0b", 3)), "'a\\x00\\x62'");
  EXPECT_EQ(QuotedName("it's"), "'it\\'s'");
  EXPECT_EQ(QuotedName("a\xc2\x9b"), "'a\\xc2\\x9b'");
}

TEST(QuotedNameTest, EscapesWhatIsNotUtf8) {
  EXPECT_EQ(QuotedName("a\xff"), "'a\\xff'");
  EXPECT_EQ(QuotedName("\xd0"), "'\\xd0'");
  EXPECT_EQ(QuotedName("ж\xed\xa0\x80"), "'\\xd0\\xb6\\xed\\xa0\\x80'");
}

TEST(QuotedNameTest, CutsLongNamesBetweenCharacters) {
  const std::string text = QuotedName(std::string(199, 'x') + "ж" + "yyyy");
  EXPECT_THAT(text, StartsWith("'xxx"));
  EXPECT_THAT(text, EndsWith("x..' (205 bytes)"));
  EXPECT_THAT(text, Not(HasSubstr("\xd0")));
}

TEST(ShapeTextTest, ShowsShapes) {
  EXPECT_EQ(ShapeText({}), "[]");
  EXPECT_EQ(ShapeText({4, 8}), "[4,8]");
  EXPECT_EQ(ShapeText(std::vector<int64_t>(101, 1)),
            "[1,1,1,1,1,1,1,1,1,1,1,1,.. (rank 101)]");
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
