#include "checkpoint/byte_size.h"

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using checkpoint_testing::ReadTestFile;
using ::nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Every string that transformers was asked about. Beyond it, whole numbers
// without a unit are bytes; and nothing is negative.
TEST(ByteSizeTest, ReadsSizesAsTransformersDoes) {
  const json table = json::parse(
      ReadTestFile("checkpoint/testdata/byte_sizes.json"), nullptr, false);
  ASSERT_GE(table.size(), 40);
  int refused = 0;
  for (const json& row : table) {
    SCOPED_TRACE(row.dump());
    const std::string size = row["size"];
    const json& want = row["transformers"];
    if (size == "123") {
      EXPECT_THAT(ParseByteSize(size), IsOkAndHolds(123));
    } else if (want.is_number_integer() && want.get<int64_t>() >= 0) {
      EXPECT_THAT(ParseByteSize(size), IsOkAndHolds(want.get<int64_t>()));
    } else {
      EXPECT_THAT(ParseByteSize(size),
                  StatusIs(absl::StatusCode::kInvalidArgument));
      ++refused;
    }
  }
  EXPECT_GE(refused, 10);
}

TEST(ByteSizeTest, TakesAnyNumberThat63BitsHold) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  EXPECT_THAT(ParseByteSize(absl::StrCat(kMax)), IsOkAndHolds(kMax));
  EXPECT_THAT(ParseByteSize(absl::StrCat(kMax / 1000, "KB")),
              IsOkAndHolds(kMax / 1000 * 1000));
  EXPECT_THAT(ParseByteSize("0"), IsOkAndHolds(0));
  for (const char* text :
       {"9223372036854775808", "9223372036854776KB", "9223372037GB",
        "8589934592GiB", "99999999999999999999999999999999999999MB"}) {
    EXPECT_THAT(ParseByteSize(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(text), HasSubstr("63 bits"))));
  }
}

TEST(ByteSizeTest, SaysWhatASizeLooksLike) {
  for (const std::string& text :
       {std::string(), std::string("B"), std::string("ten GB"),
        std::string("5PB"), std::string("1\0KB", 4), std::string("-3"),
        std::string("+-3"), std::string("--0KB")}) {
    EXPECT_THAT(ParseByteSize(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("such as 10GB, 500MiB or 4096")))
        << text;
  }
  EXPECT_THAT(ParseByteSize("-3GB"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'-3GB': is negative")));
}

}  // namespace
}  // namespace pretrained
