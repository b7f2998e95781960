#include "checkpoint/pickle/pickle_decode.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

TEST(PickleDecodeTest, KnowsUtf8WithSurrogates) {
  for (const char* good :
       {"", "ascii, and more of it than eight bytes", "\xc2\x80", "\xdf\xbf",
        "\xe0\xa0\x80", "\xed\xa0\x80", "\xed\xbf\xbf", "\xef\xbf\xbf",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "eight...\xc3\xa9"}) {
    EXPECT_TRUE(IsPickleUtf8(good)) << good;
  }
  for (const char* bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x9f\xbf",
        "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xff", "eight...\xff"}) {
    EXPECT_FALSE(IsPickleUtf8(bad)) << bad;
  }
}

TEST(PickleDecodeTest, TakesBackEveryCodePointItAppends) {
  for (uint32_t c = 0; c <= 0x10FFFF; c += c < 0x900 ? 1 : 251) {
    std::string text;
    AppendPickleUtf8(c, &text);
    EXPECT_TRUE(IsPickleUtf8(text));
    absl::string_view rest = text;
    EXPECT_EQ(TakeCodePoint(&rest), c);
    EXPECT_TRUE(rest.empty());
  }
}

struct TextCase {
  const char* text;
  std::optional<std::string> want;
};

TEST(PickleDecodeTest, DecodesPython2Strings) {
  const TextCase kCases[] = {
      {"'abc'", "abc"},
      {"\"it's\"", "it's"},
      {"''", ""},
      {"'a\\\\b\\'\\\"'", "a\\b'\""},
      {"'\\a\\b\\f\\n\\r\\t\\v'", "\a\b\f\n\r\t\v"},
      {"'\\x41\\xfF'", "A\xff"},
      {"'\\101\\7\\777'", "A\a\xff"},
      {"'\\q'", "\\q"},
      {"'", std::nullopt},
      {"", std::nullopt},
      {"abc", std::nullopt},
      {"'abc\"", std::nullopt},
      {"'abc' ", std::nullopt},
      {"'a\\'", std::nullopt},
      {"'\\x4'", std::nullopt},
      {"'\\xg0'", std::nullopt},
  };
  for (const TextCase& c : kCases) {
    EXPECT_EQ(DecodeQuotedString(c.text), c.want) << c.text;
  }
}

TEST(PickleDecodeTest, DecodesRawUnicodeEscapes) {
  const TextCase kCases[] = {
      {"abc", "abc"},
      {"\\u00e9\\U0001f600", "\xc3\xa9\xf0\x9f\x98\x80"},
      {"\xe9", "\xc3\xa9"},  // Latin-1.
      {"\\\\u0041", "\\\\u0041"},
      {"\\\\\\u0041", "\\\\A"},
      {"\\n\\", "\\n\\"},
      {"\\ud800", "\xed\xa0\x80"},
      {"\\u004", std::nullopt},
      {"\\u00g0", std::nullopt},
      {"\\U00110000", std::nullopt},
  };
  for (const TextCase& c : kCases) {
    EXPECT_EQ(DecodeRawUnicodeEscape(c.text), c.want) << c.text;
  }
}

TEST(PickleDecodeTest, ConvertsDecimalBothWays) {
  for (const char* text :
       {"0",
        "1",
        "-1",
        "127",
        "128",
        "-128",
        "-129",
        "255",
        "256",
        "32768",
        "-32769",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "-340282366920938463463374607431768211456",
        "99999999999999999999999999999999999999999999999999999999999"}) {
    const std::optional<std::string> bytes = DecodeDecimal(text);
    ASSERT_TRUE(bytes.has_value()) << text;
    EXPECT_EQ(DecimalFromTwosComplement(*bytes), text);
  }
  EXPECT_EQ(DecodeDecimal("-0"), "");
  EXPECT_EQ(DecodeDecimal(std::string(4300, '9'))->size(), 1786u);
}

TEST(PickleDecodeTest, RefusesWhatIsNotPlainDecimal) {
  for (const char* text : {"", "-", "+1", " 1", "1 ", "0x10", "010", "1_0",
                           "1L", "one", "1.0", "--1"}) {
    EXPECT_EQ(DecodeDecimal(text), std::nullopt) << text;
  }
  EXPECT_EQ(DecodeDecimal(std::string(4301, '9')), std::nullopt);
}

TEST(PickleDecodeTest, WidensTwosComplement) {
  EXPECT_EQ(Int64FromTwosComplement(""), 0);
  EXPECT_EQ(Int64FromTwosComplement("\x7f"), 127);
  EXPECT_EQ(Int64FromTwosComplement("\x80"), -128);
  EXPECT_EQ(Int64FromTwosComplement(absl::string_view("\x80\x00", 2)), 128);
  EXPECT_EQ(Int64FromTwosComplement("\xff\xff\xff"), -1);
  EXPECT_EQ(Int64FromTwosComplement("\xff\xff\xff\xff\xff\xff\xff\x7f"),
            std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Int64FromTwosComplement(
                absl::string_view("\0\0\0\0\0\0\0\x80\xff\xff", 10)),
            std::numeric_limits<int64_t>::min());
  EXPECT_EQ(
      Int64FromTwosComplement(absl::string_view("\0\0\0\0\0\0\0\x80\0", 9)),
      std::nullopt);
  EXPECT_EQ(Int64FromTwosComplement("\x01\x01\x01\x01\x01\x01\x01\x01\x01"),
            std::nullopt);
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
