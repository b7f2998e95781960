#include "checkpoint/pickle/pickle_text.h"

#include <cstdint>
#include <fstream>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/pickle/pickle.h"
#include "checkpoint/pickle/pickle_testutil.h"
#include "checkpoint/pickle/pickle_value.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using checkpoint_testing::Global;
using checkpoint_testing::Raw;
using checkpoint_testing::Str;
using ::testing::EndsWith;
using ::testing::Le;
using ::testing::SizeIs;

constexpr int64_t kPlenty = 1 << 20;

std::string TextOf(absl::string_view bytes, int64_t max_bytes = kPlenty) {
  const absl::StatusOr<Pickle> pickle = Pickle::Parse(bytes);
  if (!pickle.ok()) return pickle.status().ToString();
  return PickleText(pickle->root(), max_bytes);
}

std::string FromBase64(const std::string& text) {
  std::string bytes;
  EXPECT_TRUE(absl::Base64Unescape(text, &bytes));
  return bytes;
}

// JSON has no lone surrogates: golden.json has each byte as a character.
std::string FromLatin1(const std::string& utf8) {
  std::string bytes;
  for (size_t i = 0; i < utf8.size(); ++i) {
    const uint8_t c = static_cast<uint8_t>(utf8[i]);
    if (c < 0x80) {
      bytes.push_back(utf8[i]);
    } else {
      bytes.push_back(static_cast<char>(c << 6 | (utf8[++i] & 0x3F)));
    }
  }
  return bytes;
}

TEST(PickleTextTest, PrintsWhatPythonPrints) {
  std::ifstream in("checkpoint/pickle/testdata/golden.json");
  const nlohmann::json cases = nlohmann::json::parse(in);
  ASSERT_GT(cases.size(), 400u);
  for (const auto& golden : cases) {
    const std::string pickle = FromBase64(golden.at("pickle"));
    EXPECT_EQ(TextOf(pickle), FromLatin1(golden.at("repr")))
        << "protocol " << golden.at("protocol") << ": "
        << absl::CHexEscape(pickle.substr(0, 200));
  }
}

struct Case {
  std::string pickle;
  const char* text;
};

TEST(PickleTextTest, PrintsRecordsOfUnknownGlobalsAsCalls) {
  const Case kCases[] = {
      {Global("m.n", "C") + ".", "m.n.C"},
      {Global("m", "C") + ")R.", "m.C()"},
      {Global("m", "C") + "K\x01K\x02\x86R.", "m.C(1, 2)"},
      {Global("m", "C") + ")\x81}" + Str("a") + "K\x01sb.",
       "m.C(state={'a': 1})"},
      {Global("m", "C") + "K\x01\x85\x81(K\x02K\x03" + "e.",
       "m.C(1, items=[2, 3])"},
      {Global("m", "C") + ")\x81K\x02K\x03s.", "m.C(entries={2: 3})"},
      {Global("m", "C") + ")}" + Str("k") + "Ns\x92.", "m.C(**{'k': None})"},
      {Global("m", "f") + ")R)R.", "m.f()()"},
      {Raw("(im\nC\n."), "m.C()"},
      {"(" + Global("m", "C") + "K\x05o.", "m.C(5)"},
      {Raw("Pabc\n."), "<persistent 'abc'>"},
      {"\x80\x04" + Str("collections") + Str("OrderedDict") + "\x93.",
       "<class 'collections.OrderedDict'>"},
  };
  for (const Case& c : kCases) EXPECT_EQ(TextOf(c.pickle), c.text);
}

TEST(PickleTextTest, PrintsThePicklesOfPython2) {
  const Case kCases[] = {
      {Raw("ccollections\nOrderedDict\n((lp1\n(lp2\nS'a'\naI1\naatR."),
       "OrderedDict([('a', 1)])"},
      {Raw("c__builtin__\nset\n((lI1\natR."), "{1}"},
      {Raw("c__builtin__\nxrange\n(I0\nI5\nI1\ntR."), "range(0, 5)"},
      {Raw("ccopy_reg\n_reconstructor\n(cargparse\nNamespace\nc__builtin__\n"
           "object\nNtR(dS'a'\nI1\nsb."),
       "Namespace(a=1)"},
      {Raw("S'caf\\xe9'\n."), "b'caf\\xe9'"},
      {Raw("S'caf\\xc3\\xa9'\n."), "'caf\xc3\xa9'"},
      {Raw("c__builtin__\nlong\n."), "<class 'int'>"},
      {Raw("I01\n."), "True"},
      {Raw("L12345678901234567890L\n."), "12345678901234567890"},
  };
  for (const Case& c : kCases) EXPECT_EQ(TextOf(c.pickle), c.text);
}

// What goes to a terminal must not command it.
TEST(PickleTextTest, EscapesControlCharactersInNames) {
  EXPECT_EQ(TextOf("cm\x1b[2J\nC\x07\n."), "m\\x1b[2J.C\\x07");
}

TEST(PickleTextTest, CutsBetweenCharacters) {
  EXPECT_EQ(TextOf("]" + Str("abcdef") + "a.", 4), "['ab ..");
  EXPECT_EQ(TextOf(Str("a\xc3\xa9\xc3\xa9") + ".", 3), "'a ..");
  EXPECT_EQ(TextOf("K\x07.", 0), " ..");
  EXPECT_EQ(TextOf("K\x07.", -5), " ..");
  EXPECT_EQ(TextOf("(K\x07K\x08t.", 6), "(7, 8)");
}

TEST(PickleTextTest, CostsNoMoreThanItPrints) {
  std::string nested(100'000, ']');
  nested.append(99'999, 'a');
  EXPECT_EQ(TextOf(nested + ".", 10), "[[[[[[[[[[ ..");
  const std::string whole = TextOf(nested + ".");
  EXPECT_THAT(whole, SizeIs(200'000));
  EXPECT_THAT(whole, EndsWith("]]]"));
  // Thirty lists, each of them twice in the next: a text of 2^30.
  std::string laughs = "]";
  for (int i = 0; i < 30; ++i)
    laughs +=
        "q\x01]h\x01"
        "ah\x01"
        "a";
  EXPECT_THAT(TextOf(laughs + ".", 1000), SizeIs(Le(1003)));
}

TEST(PickleTextTest, PrintsKeysWithoutQuotes) {
  const absl::StatusOr<Pickle> pickle =
      Pickle::ParseOwned("(" + Str("a'b") + "K\x07K\x01K\x02\x86t.");
  ASSERT_TRUE(pickle.ok());
  const auto items = pickle->root().items();
  EXPECT_EQ(PickleKeyText(items[0], 100), "a'b");
  EXPECT_EQ(PickleKeyText(items[0], 2), "a' ..");
  EXPECT_EQ(PickleKeyText(items[1], 100), "7");
  EXPECT_EQ(PickleKeyText(items[2], 100), "(1, 2)");
}

}  // namespace
}  // namespace pretrained
