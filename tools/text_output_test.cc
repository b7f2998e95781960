#include "tools/text_output.h"

#include <cstdint>
#include <limits>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

struct Shown {
  int64_t value;
  const char* text;
};

TEST(HumanBytesTest, ShowsThreeDigitsInPowersOfAThousand) {
  constexpr Shown kCases[] = {
      {0, "0 B"},
      {1, "1 B"},
      {999, "999 B"},
      {1000, "1.00 kB"},
      {1005, "1.00 kB"},
      {9994, "9.99 kB"},
      {9995, "10.0 kB"},
      {99'949, "99.9 kB"},
      {99'950, "100 kB"},
      {999'499, "999 kB"},
      {999'500, "1.00 MB"},
      {90'868'376, "90.9 MB"},
      {13'500'000'000, "13.5 GB"},
      {1'000'000'000'000, "1.00 TB"},
      {std::numeric_limits<int64_t>::max(), "9223 PB"},
  };
  for (const Shown& shown : kCases) {
    EXPECT_EQ(HumanBytes(shown.value), shown.text) << shown.value;
  }
}

TEST(HumanCountTest, ShowsThreeDigits) {
  constexpr Shown kCases[] = {{0, "0"},
                              {384, "384"},
                              {23'392, "23.4 k"},
                              {22'713'216, "22.7 M"},
                              {176'247'271'424, "176 G"}};
  for (const Shown& shown : kCases) {
    EXPECT_EQ(HumanCount(shown.value), shown.text) << shown.value;
  }
}

TEST(HumanShapeTest, IsAListInBrackets) {
  EXPECT_EQ(HumanShape({384, 1536}), "[384, 1536]");
  EXPECT_EQ(HumanShape({7}), "[7]");
  EXPECT_EQ(HumanShape({}), "[]");
}

std::string Printed(const TextTable& table, int width) {
  std::ostringstream out;
  table.Print(out, width);
  return out.str();
}

TEST(TextTableTest, AlignsColumnsAndLeavesNoBlanksAtTheEnd) {
  TextTable table({"tensor", "dtype", ">bytes"});
  table.AddRow({"a.weight", "float32", "4"});
  table.AddRow({"b", "int64", "12345"});
  table.AddRow({"c", "bool"});  // Cells that are missing are empty.
  EXPECT_EQ(Printed(table, 0),
            "tensor    dtype    bytes\n"
            "a.weight  float32      4\n"
            "b         int64    12345\n"
            "c         bool\n");
}

TEST(TextTableTest, CutsTheFirstColumnInItsMiddleToFit) {
  TextTable table({"tensor", ">n"});
  table.AddRow({"encoder.layer.11.attention.self.query.weight", "123"});
  table.AddRow({"short", "4"});
  EXPECT_EQ(Printed(table, 25),
            "tensor                  n\n"
            "encoder.l..ry.weight  123\n"
            "short                   4\n")
      << "sixteen characters at least, and no more than fit";
}

TEST(TextTableTest, NeverCutsWithoutATerminal) {
  const std::string name(500, 'x');
  TextTable table({"tensor", ">n"});
  table.AddRow({name, "1"});
  EXPECT_THAT(Printed(table, 0), ::testing::HasSubstr(name));
}

TEST(TextTableTest, CountsCharactersAndNotBytes) {
  TextTable table({"name", "x"});
  table.AddRow({"\xC3\xA9t\xC3\xA9", "1"});  // Three characters in five bytes.
  table.AddRow({"abcd", "2"});
  EXPECT_EQ(Printed(table, 0),
            "name  x\n"
            "\xC3\xA9t\xC3\xA9   1\n"
            "abcd  2\n");
}

TEST(PrintableTest, EscapesWhatWouldSteerATerminal) {
  EXPECT_EQ(Printable("encoder.weight"), "encoder.weight");
  EXPECT_EQ(Printable("a\x1b[31mb\r\n"), "a\\x1b[31mb\\x0d\\x0a");
  EXPECT_EQ(Printable(std::string("a\0b\x7f", 4)), "a\\x00b\\x7f");
  EXPECT_EQ(Printable("\xC3\xA9"), "\xC3\xA9");
  EXPECT_EQ(Printable(""), "");
}

TEST(JsonLineTest, IsOneLineOfUtf8WhateverTheBytes) {
  EXPECT_EQ(JsonLine({{"name", "a\nb"}, {"list", {1, 2}}}),
            "{\"name\":\"a\\nb\",\"list\":[1,2]}\n");
  EXPECT_EQ(JsonLine({{"name", "caf\xE9"}}),
            "{\"name\":\"caf\xEF\xBF\xBD\"}\n");
}

}  // namespace
}  // namespace pretrained
