#include "checkpoint/tied_aliases.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(AliasesToLeaveOutTest, OneNameOfEachTensorStays) {
  struct AliasCase {
    std::vector<std::string> keys;
    std::vector<bool> left_out;  // Of b, a, c, which are one, and of d.
  };
  const AliasCase cases[] = {
      {{}, {false, true, true, false}},     // The first stays.
      {{"b"}, {true, false, true, false}},  // Of those that are left.
      {{"b", "c"}, {true, false, true, false}},
      {{"a", "b", "c"},
       {true, true, false, false}},         // The last in the alphabet.
      {{"d"}, {false, true, true, false}},  // An only name stays.
      {{"^$"}, {false, true, true, false}},
  };
  const std::vector<absl::string_view> names = {"b", "a", "c", "d"};
  for (const AliasCase& test : cases) {
    EXPECT_THAT(AliasesToLeaveOut(names, {-1, 0, 0, -1}, test.keys),
                IsOkAndHolds(test.left_out));
    EXPECT_THAT(AliasesToLeaveOut(names, {0, 0, 0, 3}, test.keys),
                IsOkAndHolds(test.left_out));
  }
}

TEST(AliasesToLeaveOutTest, KeysAreSearchedFor) {
  EXPECT_THAT(AliasesToLeaveOut({"x.lm_head.weight", "y"}, {-1, 0},
                                {R"(lm_head\.weight$)"}),
              IsOkAndHolds(ElementsAre(true, false)));
}

TEST(AliasesToLeaveOutTest, AKeyMustBeARegularExpression) {
  EXPECT_THAT(AliasesToLeaveOut({}, {}, {"a", "("}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'('")));
}

}  // namespace
}  // namespace pretrained
