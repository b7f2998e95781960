#include "checkpoint/safetensors_reader.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::ManyTensors;
using checkpoint_testing::SafetensorsFile;
using checkpoint_testing::SafetensorsFileWith;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

absl::StatusOr<SafetensorsReader> Parse(absl::string_view file) {
  return SafetensorsReader::Parse(file, static_cast<int64_t>(file.size()),
                                  "m.safetensors");
}

std::vector<std::string> Names(const SafetensorsReader& reader) {
  std::vector<std::string> names;
  for (const TensorInfo& tensor : reader.tensors()) {
    names.push_back(tensor.name);
  }
  return names;
}

struct BadHeader {
  absl::string_view json;
  int64_t data_bytes;
  const char* message;  // What whoever meets this error needs to see.
};

constexpr BadHeader kBadHeaders[] = {
    // Not a header at all.
    {"", 0, "its header is empty"},
    {"[]", 0, "byte 8 is '['"},
    {" {}", 0, "byte 8 is ' '"},
    {"\xEF\xBB\xBF{}", 0, "byte 8"},
    {"{", 0, "not valid JSON"},
    {"{}x", 0, "not valid JSON at byte 10"},
    {absl::string_view("{}\0\0", 4), 0, "not valid JSON at byte 10"},
    {"{}{}", 0, "not valid JSON at byte 10"},
    {R"({"a":)", 0, "tensor 'a': the header is not valid JSON"},
    // JSON, down to the value of a field that nobody asked for.
    {R"({"a":{"x":01,"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1,
     "tensor 'a': the header is not valid JSON at byte 19"},
    {R"({"a":{"x":tru,"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1,
     "not valid JSON"},
    {R"({"a":{"x":"\x","dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1,
     "not valid JSON"},
    {R"({"a":{"x":-,"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1,
     "not valid JSON"},
    {R"({"a":{"x":1e999,"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1,
     "the number '1e999' does not fit"},
    {"{\"a\n\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1,
     "not valid JSON at byte 11"},
    // Text: UTF-8, without halves of surrogate pairs.
    {"{\"\xFF\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1,
     "UTF-8"},
    {"{\"\xED\xA0\x80\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}"
     "}",
     1, "UTF-8"},
    {"{\"\xC0\xAF\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1,
     "UTF-8"},
    {R"({"\ud800":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1,
     "not valid JSON"},
    {R"({"\udc00":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1,
     "not valid JSON"},
    {R"({"\ud800\u0041":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1,
     "not valid JSON"},
    {R"({"\ud800\ud800":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1,
     "not valid JSON"},
    // Keys occur once: also when spelled in two ways.
    {R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},)"
     R"("a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})",
     1, "tensor 'a': the name occurs twice"},
    {R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},)"
     R"("\u0061":{"dtype":"U8","shape":[],"data_offsets":[1,2]}})",
     2, "tensor 'a': the name occurs twice"},
    {R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],"dtype":"U8"}})", 1,
     "tensor 'a': its field 'dtype' occurs twice"},
    {R"({"a":{"dtype":"U8","shape":[],"shape":[],"data_offsets":[0,1]}})", 1,
     "tensor 'a': its field 'shape' occurs twice"},
    {R"({"a":{"dtype":"U8","x":1,"shape":[],"x":1,"data_offsets":[0,1]}})", 1,
     "tensor 'a': its field 'x' occurs twice"},
    {R"({"__metadata__":{},"__metadata__":{}})", 0,
     "`__metadata__` occurs twice"},
    {R"({"__metadata__":null,"__metadata__":null})", 0,
     "`__metadata__` occurs twice"},
    {R"({"__metadata__":{"k":"v","k":"v"}})", 0,
     "`__metadata__` key 'k' occurs twice"},
    // Metadata: text to text.
    {R"({"__metadata__":[]})", 0, "`__metadata__` is an array"},
    {R"({"__metadata__":{"k":{}}})", 0, "`__metadata__` key 'k' is an object"},
    {R"({"__metadata__":{"k":null}})", 0, "`__metadata__` key 'k' is null"},
    // Entries: all three fields, of the right types.
    {R"({"a":[]})", 0, "tensor 'a': its entry is an array"},
    {R"({"a":null})", 0, "tensor 'a': its entry is null"},
    {R"({"a":{"shape":[],"data_offsets":[0,0]}})", 0, "no dtype"},
    {R"({"a":{"dtype":"U8","data_offsets":[0,0]}})", 0, "no shape"},
    {R"({"a":{"dtype":"U8","shape":[]}})", 0, "no data_offsets"},
    {R"({"a":{"dtype":7,"shape":[],"data_offsets":[0,1]}})", 1,
     "tensor 'a': its dtype is 7"},
    {R"({"a":{"dtype":"f32","shape":[],"data_offsets":[0,4]}})", 4,
     "tensor 'a': its dtype is 'f32'"},
    {R"({"a":{"dtype":"","shape":[],"data_offsets":[0,4]}})", 4,
     "tensor 'a': its dtype is ''"},
    {R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1,
     "tensor 'a': its shape is 1"},
    {R"({"a":{"dtype":"U8","shape":[1,"1"],"data_offsets":[0,1]}})", 1,
     "dimension 1 of its shape is the string '1'"},
    {R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1,
     "dimension 0 of its shape is the number 1, not written as an integer"},
    {R"({"a":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}})", 1,
     "not written as an integer"},
    {R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1,
     "dimension 0 of its shape is -1"},
    {R"({"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}})", 0,
     "-0 at byte 36"},
    {R"({"a":{"dtype":"U8","shape":[true],"data_offsets":[0,1]}})", 1,
     "dimension 0 of its shape is true"},
    {R"({"a":{"dtype":"U8","shape":[9223372036854775808],)"
     R"("data_offsets":[0,1]}})",
     1, "dimension 0 of its shape is 9223372036854775808"},
    {R"({"a":{"dtype":"U8","shape":[0,9223372036854775808],)"
     R"("data_offsets":[0,0]}})",
     0, "dimension 1 of its shape is 9223372036854775808"},
    {R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],"x":-0}})", 1,
     "-0 at byte"},
    {R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],)"
     R"("x":18446744073709551616}})",
     1, "does not fit into 64 bits"},
    {R"({"a":{"dtype":"U8","shape":[],"data_offsets":{}}})", 1,
     "its data_offsets are an object"},
    {R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0]}})", 1,
     "array of two"},
    {R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1,1]}})", 1,
     "array of two"},
    {R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,"1"]}})", 1,
     "one of its data_offsets is the string '1'"},
    {R"({"a":{"dtype":"U8","shape":[],"data_offsets":[-1,0]}})", 1,
     "one of its data_offsets is -1"},
    {R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,18446744073709551616]}})",
     1, "tensor 'a': the number '18446744073709551616' does not fit"},
    // Sizes: shape x dtype is the range, without overflow on the way.
    {R"({"a":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}})", 4,
     "tensor 'a': bytes [0, 4) hold 4 bytes, but F32[9] needs 36"},
    {R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,8]}})", 8,
     "bytes [0, 8) hold 8 bytes, but F32[] needs 4"},
    {R"({"a":{"dtype":"F64","shape":[0],"data_offsets":[0,8]}})", 8,
     "F64[0] needs 0"},
    {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],)"
     R"("data_offsets":[0,0]}})",
     0, "the size of F32[4294967296,4294967296] does not fit into 64 bits"},
    {R"({"a":{"dtype":"F32","shape":[4611686018427387905],)"
     R"("data_offsets":[0,4]}})",
     4, "does not fit into 64 bits"},
    {R"({"a":{"dtype":"U8","shape":[4294967296,4294967296,0],)"
     R"("data_offsets":[0,0]}})",
     0, "does not fit into 64 bits"},
    // Ranges: within the file, no overlap, no hole, nothing left over.
    {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[3,1]}})", 4,
     "bytes [3, 1) end before they begin"},
    {R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]}})", 4,
     "bytes [0, 5) of the data, but 4 bytes follow the header"},
    {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}})", 5,
     "tensor 'a': bytes [0, 1) of the data, right before it, belong to no"},
    {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
     R"("b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}})",
     5, "tensor 'b': bytes [2, 3) of the data, right before it, belong to no"},
    {R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
     R"("b":{"dtype":"U8","shape":[3],"data_offsets":[2,5]}})",
     5, "tensor 'b': bytes [2, 5) overlap those of tensor 'a', [0, 3)"},
    {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
     R"("e":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})",
     4, "tensor 'e': bytes [2, 2) overlap those of tensor 'a', [0, 4)"},
    {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 5,
     "tensor 'a': the last one ends at byte 2 of the data, but 3 more bytes"},
    {"{}", 1, "the header lists no tensor, but 1 more bytes follow"},
};

TEST(SafetensorsReaderTest, RejectsHeadersThatContradictThemselves) {
  for (const BadHeader& bad : kBadHeaders) {
    SCOPED_TRACE(bad.json);
    EXPECT_THAT(
        Parse(SafetensorsFile(bad.json, bad.data_bytes)),
        StatusIs(absl::StatusCode::kDataLoss,
                 AllOf(HasSubstr("m.safetensors: "), HasSubstr(bad.message))));
  }
}

// A download can stop anywhere: no proper prefix of a good file is good.
TEST(SafetensorsReaderTest, RejectsEveryPrefixOfAGoodFile) {
  const std::string file = SafetensorsFileWith(
      {{"a", "BF16", {4}, 8}, {"b", "F32", {}, 4}, {"c", "I64", {0}, 0}});
  ASSERT_THAT(Parse(file), IsOk());
  for (size_t n = 0; n < file.size(); ++n) {
    EXPECT_THAT(
        Parse(absl::string_view(file).substr(0, n)),
        StatusIs(absl::StatusCode::kDataLoss, HasSubstr("m.safetensors: ")))
        << "cut at byte " << n;
  }
}

TEST(SafetensorsReaderTest, RejectsAGoodFileWithABytePut) {
  std::string file = SafetensorsFileWith({{"a", "BF16", {4}, 8}});
  file.push_back('\0');
  EXPECT_THAT(Parse(file), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(SafetensorsReaderTest, NamesADtypeItDoesNotKnow) {
  for (const char* dtype : {"F4", "F8_E8M0", "F31", "C128"}) {
    const std::string file = SafetensorsFileWith({{"a", dtype, {2}, 2}});
    EXPECT_THAT(Parse(file),
                StatusIs(absl::StatusCode::kUnimplemented,
                         AllOf(HasSubstr("m.safetensors: tensor 'a': "),
                               HasSubstr(absl::StrCat("'", dtype, "'")))));
  }
}

TEST(SafetensorsReaderTest, KnowsEveryDtypeTheFormatHas) {
  for (const Dtype dtype : kAllDtypes) {
    const auto name = SafetensorsName(dtype);
    if (!name.has_value()) continue;
    const absl::StatusOr<SafetensorsReader> reader = Parse(SafetensorsFileWith(
        {{"a", std::string(*name), {3}, 3 * DtypeSize(dtype)}}));
    ASSERT_THAT(reader, IsOk()) << *name;
    EXPECT_EQ(reader->tensors()[0].dtype, dtype);
  }
}

TEST(SafetensorsReaderTest, FindsTensorsWithTheirBytes) {
  const std::string file = SafetensorsFileWith(
      {{"wte.weight", "F32", {2, 3}, 24}, {"scale", "F16", {}, 2}});
  const absl::StatusOr<SafetensorsReader> reader = Parse(file);
  ASSERT_THAT(reader, IsOk());
  const int64_t data_begin = static_cast<int64_t>(file.size()) - 26;
  EXPECT_EQ(reader->data_begin(), data_begin);

  const absl::StatusOr<const TensorInfo*> wte = reader->Find("wte.weight");
  ASSERT_THAT(wte, IsOk());
  EXPECT_EQ((*wte)->name, "wte.weight");
  EXPECT_EQ((*wte)->dtype, Dtype::kFloat32);
  EXPECT_THAT((*wte)->shape, ElementsAre(2, 3));
  EXPECT_EQ((*wte)->file, 0);
  EXPECT_EQ((*wte)->begin, data_begin);
  EXPECT_EQ((*wte)->end, data_begin + 24);

  const absl::StatusOr<const TensorInfo*> scale = reader->Find("scale");
  ASSERT_THAT(scale, IsOk());
  EXPECT_THAT((*scale)->shape, IsEmpty());
  EXPECT_EQ((*scale)->end, static_cast<int64_t>(file.size()));
}

TEST(SafetensorsReaderTest, SuggestsTheClosestNameForAnAbsentOne) {
  const absl::StatusOr<SafetensorsReader> reader =
      Parse(SafetensorsFileWith({{"wte.weight", "F32", {1}, 4}}));
  ASSERT_THAT(reader, IsOk());
  EXPECT_THAT(reader->Find("transformer.wte.weight"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("m.safetensors: "),
                             HasSubstr("did you mean 'wte.weight'?"))));
}

TEST(SafetensorsReaderTest, ListsTensorsInTheOrderOfTheirBytes) {
  const absl::StatusOr<SafetensorsReader> reader = Parse(SafetensorsFile(
      R"({"late":{"dtype":"U8","shape":[2],"data_offsets":[2,4]},)"
      R"("end":{"dtype":"U8","shape":[0],"data_offsets":[4,4]},)"
      R"("none z":{"dtype":"F32","shape":[0,3],"data_offsets":[2,2]},)"
      R"("none a":{"dtype":"U8","shape":[0],"data_offsets":[2,2]},)"
      R"("early":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
      4));
  ASSERT_THAT(reader, IsOk());
  EXPECT_THAT(Names(*reader),
              ElementsAre("early", "none z", "none a", "late", "end"));
}

TEST(SafetensorsReaderTest, KeepsMetadataInOrder) {
  const absl::StatusOr<SafetensorsReader> reader = Parse(SafetensorsFile(
      R"({"__metadata__":{"format":"pt","\u00e4":"","a":"line\nbreak"}})", 0));
  ASSERT_THAT(reader, IsOk());
  EXPECT_THAT(reader->metadata(),
              ElementsAre(Pair("format", "pt"), Pair("ä", ""),
                          Pair("a", "line\nbreak")));
  EXPECT_THAT(reader->tensors(), IsEmpty());
}

TEST(SafetensorsReaderTest, DoesWithoutMetadata) {
  for (const char* json : {R"({"__metadata__":null})", R"({"__metadata__":{}})",
                           "{}", "{}     ", "{} \n\t\r "}) {
    const absl::StatusOr<SafetensorsReader> reader =
        Parse(SafetensorsFile(json, 0));
    ASSERT_THAT(reader, IsOk()) << json;
    EXPECT_THAT(reader->metadata(), IsEmpty());
  }
}

TEST(SafetensorsReaderTest, TakesAnyNameThatIsText) {
  const absl::StatusOr<SafetensorsReader> reader = Parse(SafetensorsFile(
      R"({"":{"dtype":"U8","shape":[],"data_offsets":[0,1]},)"
      R"("a b -0":{"dtype":"U8","shape":[],"data_offsets":[1,2]},)"
      R"("\ud83d\ude00\u0000\"":{"dtype":"U8","shape":[],)"
      R"("data_offsets":[2,3]}})",
      3));
  ASSERT_THAT(reader, IsOk());
  EXPECT_THAT(Names(*reader),
              ElementsAre("", "a b -0", std::string("😀\0\"", 6)));
}

TEST(SafetensorsReaderTest, IgnoresFieldsItDoesNotKnow) {
  EXPECT_THAT(Parse(SafetensorsFile(
                  R"({"a":{"x":[{"y":-0.5e-0}],"dtype":"U8","shape":[],)"
                  R"("data_offsets":[0,1],"z":null}})",
                  1)),
              IsOk());
}

std::string NestedIn(int levels) {
  return absl::StrCat(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],)",
                      R"("x":)", std::string(levels, '['),
                      std::string(levels, ']'), "}}");
}

TEST(SafetensorsReaderTest, BoundsTheDepthOfNesting) {
  EXPECT_THAT(Parse(SafetensorsFile(NestedIn(120), 1)), IsOk());
  EXPECT_THAT(Parse(SafetensorsFile(NestedIn(127), 1)),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("nests deeper than 128 levels")));
  EXPECT_THAT(Parse(SafetensorsFile(NestedIn(1'000'000), 1)),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("nests deeper than 128 levels")));
}

TEST(SafetensorsReaderTest, TakesAnyRank) {
  const std::vector<int64_t> shape(1000, 1);
  EXPECT_THAT(Parse(SafetensorsFileWith({{"a", "U8", shape, 1}})), IsOk());
}

struct OtherFile {
  absl::string_view start;
  const char* message;
};

// People pass all sorts of files; each deserves to be told what it is.
TEST(SafetensorsReaderTest, SaysWhatAnotherKindOfFileIs) {
  const OtherFile kOthers[] = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a",
       "run `git lfs pull`"},
      {absl::string_view("PK\x03\x04\x00\x00\x08\x08\x00", 9), "torch.save"},
      {"\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.", "pickle"},
      {"\x89HDF\r\n\x1a\n", "HDF5"},
      {"<!DOCTYPE html><html>", "web page"},
      {"{\"architectures\": [\"BertModel\"]}", "looks like JSON"},
      {"garbage garbage garbage", "not a safetensors file"},
  };
  for (const OtherFile& other : kOthers) {
    EXPECT_THAT(Parse(other.start), StatusIs(absl::StatusCode::kDataLoss,
                                             AllOf(HasSubstr("m.safetensors: "),
                                                   HasSubstr(other.message))));
  }
}

TEST(SafetensorsReaderTest, NeedsTheWholeHeaderButNoData) {
  const std::string file = SafetensorsFileWith({{"a", "F32", {100}, 400}});
  const absl::string_view all = file;
  const int64_t size = static_cast<int64_t>(file.size());
  const size_t header_end = file.size() - 400;
  EXPECT_THAT(SafetensorsReader::Parse(all.substr(0, header_end), size, "m"),
              IsOk());
  for (const size_t n : {header_end - 1, size_t{8}, size_t{7}, size_t{0}}) {
    EXPECT_THAT(SafetensorsReader::Parse(all.substr(0, n), size, "m"),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(SafetensorsReader::Parse(all, -1, "m"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(SafetensorsReaderTest, OpensAFileWithAnyName) {
  const std::string path =
      WriteTestFile("a name with spaces.safetensors",
                    SafetensorsFileWith({{"a b", "F32", {100}, 400}}));
  const absl::StatusOr<SafetensorsReader> reader =
      SafetensorsReader::Open(path);
  ASSERT_THAT(reader, IsOk());
  EXPECT_THAT(reader->Find("a b"), IsOk());
}

TEST(SafetensorsReaderTest, ReportsWhyAFileCannotBeOpened) {
  EXPECT_THAT(
      SafetensorsReader::Open("no/such.safetensors"),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("no/such.safetensors")));
  EXPECT_THAT(SafetensorsReader::Open("/"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(SafetensorsReaderTest, StaysValidWhenMoved) {
  absl::StatusOr<SafetensorsReader> opened =
      Parse(SafetensorsFileWith(ManyTensors(1000)));
  ASSERT_THAT(opened, IsOk());
  const SafetensorsReader reader = *std::move(opened);
  for (const TensorInfo& tensor : reader.tensors()) {
    const absl::StatusOr<const TensorInfo*> found = reader.Find(tensor.name);
    ASSERT_THAT(found, IsOk());
    EXPECT_EQ(*found, &tensor);
  }
}

}  // namespace
}  // namespace pretrained
