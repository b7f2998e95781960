#include "checkpoint/pickle/pickle.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/pickle/pickle_globals.h"
#include "checkpoint/pickle/pickle_testutil.h"
#include "checkpoint/pickle/pickle_value.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using absl_testing::IsOk;
using absl_testing::StatusIs;
using checkpoint_testing::Global;
using checkpoint_testing::Raw;
using checkpoint_testing::StateDictPickle;
using checkpoint_testing::Str;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

Pickle MustParse(const std::string& bytes) {
  absl::StatusOr<Pickle> pickle = Pickle::ParseOwned(bytes);
  EXPECT_THAT(pickle, IsOk()) << absl::CHexEscape(bytes);
  return pickle.ok() ? *std::move(pickle) : *Pickle::ParseOwned("N.");
}

TEST(PickleTest, ReadsLiterals) {
  EXPECT_EQ(MustParse("N.").root().kind(), PickleKind::kNone);
  EXPECT_TRUE(MustParse("\x88.").root().bool_value());
  EXPECT_EQ(MustParse("\x89.").root().kind(), PickleKind::kBool);
  EXPECT_EQ(MustParse("K\xff.").root().int_value(), 255);
  EXPECT_EQ(MustParse(Raw("M\0\x80.")).root().int_value(), 32768);
  EXPECT_EQ(MustParse("J\xfe\xff\xff\xff.").root().int_value(), -2);
  EXPECT_EQ(MustParse(Raw("\x8a\0.")).root().int_value(), 0);
  EXPECT_EQ(MustParse("\x8a\x01\xff.").root().int_value(), -1);
  EXPECT_EQ(MustParse(Raw("\x8b\x02\0\0\0\0\x01.")).root().int_value(), 256);
  EXPECT_EQ(MustParse("I-12\n.").root().int_value(), -12);
  EXPECT_TRUE(MustParse("I01\n.").root().bool_value());
  EXPECT_EQ(MustParse("L7L\n.").root().int_value(), 7);
  EXPECT_EQ(MustParse("L7\n.").root().int_value(), 7);
  EXPECT_EQ(MustParse("F-0.25\n.").root().float_value(), -0.25);
  EXPECT_EQ(MustParse(Raw("G?\xe0\0\0\0\0\0\0.")).root().float_value(), 0.5);
  const Pickle big = MustParse(Raw("\x8a\x09\0\0\0\0\0\0\0\0\x01."));
  EXPECT_EQ(big.root().kind(), PickleKind::kBigInt);
  EXPECT_EQ(big.root().text(), Raw("\0\0\0\0\0\0\0\0\x01"));
}

TEST(PickleTest, ReadsText) {
  for (const std::string& bytes :
       {Raw("Vabc\n."), Raw("X\3\0\0\0abc."), Raw("\x8c\3abc."),
        Raw("\x8d\3\0\0\0\0\0\0\0abc."), Raw("S'abc'\n."), Raw("U\3abc."),
        Raw("T\3\0\0\0abc.")}) {
    const Pickle pickle = MustParse(bytes);
    EXPECT_EQ(pickle.root().kind(), PickleKind::kString) << bytes;
    EXPECT_EQ(pickle.root().text(), "abc") << bytes;
  }
  for (const std::string& bytes : {Raw("C\2\xff\0."), Raw("B\2\0\0\0\xff\0."),
                                   Raw("\x8e\2\0\0\0\0\0\0\0\xff\0."),
                                   Raw("U\2\xff\0."), Raw("S'\\xff\\0'\n.")}) {
    const Pickle pickle = MustParse(bytes);
    EXPECT_EQ(pickle.root().kind(), PickleKind::kBytes) << bytes;
    EXPECT_EQ(pickle.root().text(), Raw("\xff\0")) << bytes;
  }
  EXPECT_EQ(MustParse(Raw("\x96\1\0\0\0\0\0\0\0a.")).root().kind(),
            PickleKind::kByteArray);
}

// Text is looked at where it lies.
TEST(PickleTest, ViewsTextInTheBytes) {
  const std::string bytes = Str("a name") + ".";
  const absl::StatusOr<Pickle> pickle = Pickle::Parse(bytes);
  ASSERT_THAT(pickle, IsOk());
  EXPECT_EQ(pickle->root().text().data(), bytes.data() + 5);
}

TEST(PickleTest, ReadsContainers) {
  struct Case {
    std::string bytes;
    PickleKind kind;
    size_t size;
  };
  const Case kCases[] = {
      {"].", PickleKind::kList, 0},
      {"(NNl.", PickleKind::kList, 2},
      {"]Na.", PickleKind::kList, 1},
      {"](NNNe.", PickleKind::kList, 3},
      {"](e.", PickleKind::kList, 0},
      {").", PickleKind::kTuple, 0},
      {"(NNNNt.", PickleKind::kTuple, 4},
      {"N\x85.", PickleKind::kTuple, 1},
      {"NN\x86.", PickleKind::kTuple, 2},
      {"NNN\x87.", PickleKind::kTuple, 3},
      {"\x8f.", PickleKind::kSet, 0},
      {"\x8f(NK\1\x90.", PickleKind::kSet, 2},
      {"(NK\1\x91.", PickleKind::kFrozenSet, 2},
      {"N(](Ne0N10](NNe.", PickleKind::kList, 2},
      {"N2\x86.", PickleKind::kTuple, 2},
  };
  for (const Case& c : kCases) {
    const Pickle pickle = MustParse(c.bytes);
    EXPECT_EQ(pickle.root().kind(), c.kind) << c.bytes;
    EXPECT_THAT(pickle.root().items(), SizeIs(c.size)) << c.bytes;
  }
  for (const char* bytes :
       {"}K\1Ns.", "}(K\1Nu.", "(K\1Nd.", "\x80\x02}q\x05(K\1Nu0h\x05."}) {
    const Pickle pickle = MustParse(bytes);
    ASSERT_THAT(pickle.root().entries(), SizeIs(1)) << bytes;
    EXPECT_EQ(pickle.root().entries()[0].key.int_value(), 1);
  }
}

TEST(PickleTest, KeepsEveryEntryOfAKeySetTwice) {
  const Pickle pickle = MustParse("}(K\1K\2K\1K\3u.");
  ASSERT_THAT(pickle.root().entries(), SizeIs(2));
  EXPECT_EQ(pickle.root().entries()[1].value.int_value(), 3);
}

TEST(PickleTest, RemembersObjectsByIdentity) {
  for (const char* bytes : {"]p7\n]Naq\x08"
                            "0g7\n\x86.",
                            "]q\x00]\x94\x86.",
                            "]r\xff\xff\xff\x7f"
                            "j\xff\xff\xff\x7f\x86."}) {
    SCOPED_TRACE(bytes);
    if (absl::string_view(bytes)[1] == 'q') continue;  // Holds a zero byte.
    const Pickle pickle = MustParse(bytes);
    ASSERT_THAT(pickle.root().items(), SizeIs(2));
    EXPECT_EQ(pickle.root().items()[0].identity(),
              pickle.root().items()[1].identity());
  }
  // MEMOIZE counts on from what is stored, however it was stored.
  const Pickle counted = MustParse(Raw("]q\0]q\1]\x94h\2\x86."));
  EXPECT_EQ(counted.root().items()[0].identity(),
            counted.root().items()[1].identity());
  // A list that contains itself.
  const Pickle cyclic = MustParse(Raw("]q\0h\0a."));
  EXPECT_EQ(cyclic.root().items()[0].identity(), cyclic.root().identity());
}

TEST(PickleTest, NotesCallsAndRunsNone) {
  for (const std::string& bytes :
       {Global("m", "f") + "K\1\x85R.", Global("m", "f") + "K\1\x85\x81.",
        Global("m", "f") + "K\1\x85}\x92.", Raw("(K\1im\nf\n."),
        "(" + Global("m", "f") + "K\1o.",
        Str("m") + Str("f") + "\x93K\1\x85R."}) {
    const Pickle pickle = MustParse(bytes);
    const PickleRecord* const record = pickle.root().record();
    ASSERT_NE(record, nullptr) << bytes;
    EXPECT_TRUE(record->Calls("m", "f")) << bytes;
    ASSERT_THAT(record->args(), SizeIs(1)) << bytes;
    EXPECT_EQ(record->args()[0].int_value(), 1) << bytes;
    EXPECT_FALSE(record->has_state()) << bytes;
  }
}

TEST(PickleTest, FillsRecords) {
  const Pickle pickle =
      MustParse(Global("m", "C") + ")\x81" + "K\1aK\2K\3s" + "(K\4\x90K\5b.");
  const PickleRecord* const record = pickle.root().record();
  ASSERT_NE(record, nullptr);
  EXPECT_THAT(record->items(), SizeIs(2));
  EXPECT_THAT(record->entries(), SizeIs(1));
  EXPECT_TRUE(record->has_state());
  EXPECT_EQ(record->state().int_value(), 5);
  EXPECT_EQ(record->kwargs().kind(), PickleKind::kNone);
}

TEST(PickleTest, ReadsPersistentIds) {
  EXPECT_EQ(MustParse("Pkey\n.").root().persistent_id().text(), "key");
  EXPECT_EQ(MustParse("K\7Q.").root().persistent_id().int_value(), 7);
}

TEST(PickleTest, AnswersNothingForTheWrongKind) {
  const Pickle pickle = MustParse("K\7.");
  const PickleValue value = pickle.root();
  EXPECT_FALSE(value.bool_value());
  EXPECT_EQ(value.float_value(), 0);
  EXPECT_EQ(value.text(), "");
  EXPECT_THAT(value.items(), IsEmpty());
  EXPECT_THAT(value.entries(), IsEmpty());
  EXPECT_EQ(value.global(), nullptr);
  EXPECT_EQ(value.record(), nullptr);
  EXPECT_EQ(value.persistent_id().kind(), PickleKind::kNone);
  EXPECT_EQ(value.identity(), nullptr);
}

TEST(PickleTest, ListsDistinctGlobalsInOrder) {
  const Pickle pickle = MustParse("(" + Global("b", "x") + Global("a", "y") +
                                  Global("b", "x") + Global("b.x", "") + "t.");
  std::vector<std::string> names;
  for (const PickleGlobal* global : pickle.globals()) {
    names.push_back(
        absl::StrCat(global->module, " ", global->name, " ", global->offset));
  }
  EXPECT_THAT(names, ElementsAre("b x 1", "a y 6", "b.x  16"));
}

TEST(PickleTest, StopsAtStop) {
  const Pickle pickle = MustParse("K\1.K\2.");
  EXPECT_EQ(pickle.bytes_consumed(), 3);
  EXPECT_EQ(pickle.root().int_value(), 1);
}

TEST(PickleTest, SurvivesBeingMoved) {
  Pickle pickle = MustParse(Str("x") + ".");
  const Pickle moved = std::move(pickle);
  EXPECT_EQ(moved.root().text(), "x");
}

struct Bad {
  std::string bytes;
  absl::StatusCode code;
  const char* message;
};

TEST(PickleTest, RefusesWhatContradictsItself) {
  constexpr absl::StatusCode kLoss = absl::StatusCode::kDataLoss;
  constexpr absl::StatusCode kNotRead = absl::StatusCode::kUnimplemented;
  constexpr absl::StatusCode kShort = absl::StatusCode::kOutOfRange;
  const Bad kBad[] = {
      {"\xff.", kLoss, "byte 0: 0xff: there is no such opcode"},
      {".", kLoss, "byte 0: STOP: the stack holds 0 values, but 1"},
      {"N(.", kLoss, "byte 2: STOP: the stack holds 0 values above the last "},
      {"N\x86.", kLoss, "byte 1: TUPLE2: the stack holds 1 values, but 2"},
      {"t.", kLoss, "TUPLE: there is no MARK"},
      {"1.", kLoss, "POP_MARK: there is no MARK"},
      {"0.", kLoss, "POP: the stack holds 0"},
      {"2.", kLoss, "DUP: the stack holds 0"},
      {"(e.", kLoss, "APPENDS: the stack holds 0 values, but 1"},
      {"]((Ne.", kLoss, "APPENDS: the stack holds 1 values above the last "},
      {"N(Na.", kLoss, "APPEND: the stack holds 1 values above the last MARK"},
      {"NNa.", kLoss, "found a None to add to, but a list"},
      {"\x8fNa.", kLoss, "found a set to add to, but a list"},
      {"](N\x90.", kLoss, "found a list to add to, but a set"},
      {"(Nd.", kLoss, "DICT: found 1 values, but pairs"},
      {"}(NNNu.", kLoss, "SETITEMS: found 3 values, but pairs"},
      {"]NNs.", kLoss, "found a list to set entries of, but a dict"},
      {"}]Ns.", kLoss, "found a list as a key, which Python cannot hash"},
      {"h\7.", kLoss, "BINGET: memo entry 7 was never stored"},
      {"g9\n.", kLoss, "GET: memo entry 9 was never stored"},
      {"gx\n.", kLoss, "GET: found 'x', but a memo index"},
      {"Np-1\n.", kLoss, "PUT: found '-1', but a memo index"},
      {"q\7.", kLoss, "BINPUT: the stack holds 0"},
      {"K\1)R.", kLoss, "REDUCE: found a int to call, but a global"},
      {Global("m", "f") + "]R.", kLoss, "found a list of arguments"},
      {Global("m", "f") + "))\x92.", kLoss, "found a tuple of keyword"},
      {"(o.", kLoss, "OBJ: found nothing above the MARK"},
      {"}}b.", kLoss, "BUILD: found a dict to give a state to"},
      {Global("m", "f") + "}b.", kLoss, "found a global to give a state to"},
      {"K\1K\2\x93.", kLoss, "found a int and a int as module and name"},
      {"Ix\n.", kLoss, "INT: found 'x', but a decimal number"},
      {"I0x10\n.", kLoss, "found '0x10', but a decimal number"},
      {"Lx\n.", kLoss, "LONG: found 'x', but a decimal number"},
      {"L" + std::string(4301, '9') + "L\n.", kLoss, "LONG: found '99999"},
      {"Fx\n.", kLoss, "FLOAT: found 'x', but a number"},
      {"F 1\n.", kLoss, "FLOAT: found ' 1', but a number"},
      {"F1e999\n.", kLoss, "FLOAT: found '1e999', but a number"},
      {"Sabc\n.", kLoss, "STRING: found 'abc', but a quoted string"},
      {"V\\u1\n.", kLoss, "with a broken escape"},
      {Raw("X\1\0\0\0\xff."), kLoss, "BINUNICODE: found "},
      {"c\xff\nx\n.", kLoss, "GLOBAL: found the global "},
      {"P\xff\n.", kLoss, "PERSID: found "},
      {"T\xff\xff\xff\xff.", kLoss, "a length of 4294967295 bytes"},
      {"\x8b\xff\xff\xff\xff.", kLoss, "LONG4: a length of 4294967295 bytes"},
      {"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", kLoss, "BINUNICODE8: a length"},
      {"\x96\xff\xff\xff\xff\xff\xff\xff\xff.", kLoss, "BYTEARRAY8: a length"},
      {"\x95\xff\xff\xff\xff\xff\xff\xff\xff.", kLoss, "FRAME: a length of"},
      {Raw("\x95\3\0\0\0\0\0\0\0N.N."), kLoss,
       "byte 10: STOP: a FRAME goes on to byte 12"},
      {"\x80\x06.", kNotRead, "PROTO: found protocol 6, but 0 to 5"},
      {"\x80\x63.", kNotRead, "PROTO: found protocol 99, but 0 to 5"},
      {"\x82\x01.", kNotRead, "EXT1: refers to something outside"},
      {Raw("\x83\1\0."), kNotRead, "EXT2: refers to something outside"},
      {Raw("\x84\1\0\0\0."), kNotRead, "EXT4: refers to something outside"},
      {"\x97.", kNotRead, "NEXT_BUFFER: refers to something outside"},
      {"N\x98.", kNotRead, "READONLY_BUFFER: refers to something outside"},
      {"", kShort, "the pickle ends at byte 0 without STOP"},
      {"N", kShort, "the pickle ends at byte 1 without STOP"},
      {Raw("X\xff\0\0\0abc."), kShort, "needs 255 bytes, but 4 follow"},
      {"K", kShort, "BININT1: needs 1 bytes, but 0 follow"},
      {"I12", kShort, "INT: the line has no end"},
      {Raw("\x95\xff\0\0\0\0\0\0\0N."), kShort, "FRAME: needs 255 bytes"},
  };
  for (const Bad& bad : kBad) {
    EXPECT_THAT(Pickle::Parse(bad.bytes, {.name = "m.bin: data.pkl"}),
                StatusIs(bad.code, AllOf(StartsWith("m.bin: data.pkl: "),
                                         HasSubstr(bad.message))))
        << absl::CHexEscape(bad.bytes.substr(0, 100));
  }
}

TEST(PickleTest, RefusesGlobalsThatCanOnlyExecute) {
  for (const std::string& bytes :
       {Global("os", "system") + Str("true") + "\x85R.",
        Raw("(S'true'\nios\nsystem\n."),
        "\x80\x04" + Str("builtins") + Str("eval") + "\x93.",
        "\x80\x04" + Str("torch") + Str("serialization.os.system") + "\x93."}) {
    EXPECT_THAT(Pickle::Parse(bytes),
                StatusIs(absl::StatusCode::kPermissionDenied,
                         HasSubstr("which can only be there to execute")))
        << bytes;
    EXPECT_THAT(Pickle::Parse(bytes, {.refuse_dangerous_globals = false}),
                IsOk())
        << bytes;
  }
}

TEST(PickleTest, ScanListsWhatAPickleWouldImport) {
  const std::string bytes = "(" + Global("collections", "OrderedDict") +
                            Global("m", "C") + Global("os", "system") + "t.";
  const PickleScan scan = ScanPickle(bytes + "more");
  EXPECT_THAT(scan.status, IsOk());
  EXPECT_EQ(scan.bytes_consumed, static_cast<int64_t>(bytes.size()));
  ASSERT_THAT(scan.globals, SizeIs(3));
  EXPECT_EQ(scan.globals[0].global_class, PickleGlobalClass::kKnown);
  EXPECT_EQ(scan.globals[1].global_class, PickleGlobalClass::kUnknown);
  EXPECT_EQ(scan.globals[2].global_class, PickleGlobalClass::kDangerous);
  EXPECT_EQ(scan.globals[2].module, "os");
  EXPECT_EQ(scan.globals[2].name, "system");
}

// A payload before a break still runs in Python.
TEST(PickleTest, ScanListsWhatComesBeforeABreak) {
  const PickleScan scan =
      ScanPickle(Global("os", "system") + Str("true") + "\x85R\xff.");
  EXPECT_THAT(scan.status, StatusIs(absl::StatusCode::kDataLoss));
  ASSERT_THAT(scan.globals, SizeIs(1));
  EXPECT_EQ(scan.globals[0].offset, 0);
  EXPECT_EQ(scan.bytes_consumed, 22);
}

// A reader that has more bytes reads on; no prefix is anything else.
TEST(PickleTest, AsksForMoreAfterEveryPrefix) {
  const std::string pickles[] = {
      StateDictPickle(3),
      Raw("(lp0\nI1\naVx\np1\naF1.5\naS'y'\naL5L\na(dp2\nI1\nNsa."),
      Raw("\x80\x04\x95\x0d\0\0\0\0\0\0\0\x8c\x01m\x94\x8c\x01"
          "C\x94\x93\x94)\x81."),
      "((" + Global("m", "C") + "K\1o(im\nD\nPid\n}(K\1Nut.",
  };
  for (const std::string& pickle : pickles) {
    EXPECT_EQ(Pickle::Parse(pickle).status(), absl::OkStatus());
    for (size_t n = 0; n < pickle.size(); ++n) {
      EXPECT_THAT(Pickle::Parse(absl::string_view(pickle).substr(0, n)),
                  StatusIs(absl::StatusCode::kOutOfRange))
          << "cut at byte " << n;
    }
  }
}

TEST(PickleTest, NestsAsDeepAsItLikes) {
  constexpr int kDepth = 1'000'000;
  std::string lists(kDepth, ']');
  lists.append(kDepth - 1, 'a');
  const std::string pickles[] = {
      lists + ".", ")" + std::string(kDepth, '\x85') + ".",
      std::string(kDepth, '(') + std::string(kDepth, 't') + "."};
  for (const std::string& pickle : pickles) {
    const Pickle parsed = MustParse(pickle);
    int depth = 0;
    for (PickleValue value = parsed.root(); !value.items().empty();
         value = value.items()[0]) {
      ++depth;
    }
    EXPECT_GE(depth, kDepth - 1);
  }
}

TEST(PickleTest, ReadsAStateDict) {
  const Pickle pickle = MustParse(StateDictPickle(1000));
  ASSERT_THAT(pickle.root().entries(), SizeIs(1000));
  const PickleEntry& last = pickle.root().entries()[999];
  EXPECT_EQ(last.key.text(), "encoder.layer.999.output.weight");
  ASSERT_NE(last.value.record(), nullptr);
  EXPECT_TRUE(last.value.record()->Calls("torch._utils", "_rebuild_tensor_v2"));
  EXPECT_THAT(pickle.globals(), SizeIs(3));
}

}  // namespace
}  // namespace pretrained
