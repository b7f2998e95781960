#include "checkpoint/json_error.h"

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using ::testing::Optional;

TEST(FindJsonErrorTest, PointsAtTheFirstMisplacedToken) {
  EXPECT_THAT(FindJsonError(R"({"a":1,})").place, Optional(7));
  EXPECT_THAT(FindJsonError("{} {}").place, Optional(3));
  EXPECT_THAT(FindJsonError(absl::string_view("{} \0", 4)).place, Optional(3));
  EXPECT_THAT(FindJsonError(R"({"a":"\ud800"})").place, Optional(12));
  EXPECT_THAT(FindJsonError("{\"a\":\"\xff\"}").place, Optional(6));
}

TEST(FindJsonErrorTest, NamesNumbersBeyond64Bits) {
  EXPECT_THAT(FindJsonError(R"({"a":[0,18446744073709551616]})").number,
              Optional(std::string("18446744073709551616")));
  EXPECT_THAT(FindJsonError(R"({"a":1e400})").number,
              Optional(std::string("1e400")));
}

TEST(FindJsonErrorTest, NamesTheEntryItIsWithin) {
  EXPECT_THAT(FindJsonError(R"({"x":{"y":1},"a":{"b":[1,}})").key,
              Optional(std::string("a")));
  EXPECT_EQ(FindJsonError(R"({"x":{"y":1},})").key, std::nullopt);
}

TEST(FindJsonErrorTest, FindsNoneInWhatIsWellFormed) {
  const JsonError error = FindJsonError(R"({"a":[1,2.5,"x",null,true]} )");
  EXPECT_EQ(error.place, std::nullopt);
  EXPECT_EQ(error.number, std::nullopt);
  EXPECT_EQ(error.key, std::nullopt);
}

// The parser keeps no stack of its own: depth costs memory, not a crash.
TEST(FindJsonErrorTest, SurvivesDeepNesting) {
  EXPECT_TRUE(FindJsonError(std::string(1'000'000, '[')).place.has_value());
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
