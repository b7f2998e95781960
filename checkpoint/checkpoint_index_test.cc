#include "checkpoint/checkpoint_index.h"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(CheckpointIndexTest, TellsWhichShardHoldsWhichTensor) {
  const auto index = CheckpointIndex::Parse(
      R"({"metadata": {"total_size": 24, "by": "hand"},
          "weight_map": {"z": "m-2.bin", "a": "sub/m-1.bin", "b": "m-2.bin"}})",
      "i.json");
  ASSERT_THAT(index, IsOk());
  EXPECT_THAT(index->shards(), ElementsAre("m-2.bin", "sub/m-1.bin"));
  ASSERT_EQ(index->weight_map().size(), 3);
  EXPECT_EQ(index->weight_map()[0].tensor, "z");
  EXPECT_EQ(index->weight_map()[0].shard, 0);
  EXPECT_EQ(index->weight_map()[1].tensor, "a");
  EXPECT_EQ(index->weight_map()[1].shard, 1);
  EXPECT_EQ(index->weight_map()[2].shard, 0);
  EXPECT_EQ(index->metadata_json(), R"({"total_size": 24, "by": "hand"})");
}

// Indexes of PyTorch, TensorFlow and Flax checkpoints, with and without
// variant: read and written they are the same bytes.
TEST(CheckpointIndexTest, WritesIndexesAsTransformersDoes) {
  int files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator("checkpoint/testdata/indexes")) {
    SCOPED_TRACE(entry.path());
    const std::string text = ReadTestFile(entry.path());
    const auto index = CheckpointIndex::Read(entry.path());
    ASSERT_THAT(index, IsOk());
    EXPECT_GE(index->shards().size(), 2);
    EXPECT_THAT(index->metadata_json(), HasSubstr("total_size"));
    EXPECT_EQ(index->Serialize(), text);
    ++files;
  }
  EXPECT_EQ(files, 18);
}

TEST(CheckpointIndexTest, KeepsWhatIsBesideTheWeightMap) {
  const auto index = CheckpointIndex::Parse(
      "{\"zz\":[1,{\"b\":2.50,\"a\":\"\u00e9\"}],\"weight_map\":"
      "{\"\u4e2d\":\"s\",\"a\\u0000\":\"s\"},\"metadata\":{\"n\":1e400}}",
      "i.json");
  EXPECT_THAT(index, StatusIs(absl::StatusCode::kDataLoss,
                              HasSubstr("'1e400' does not fit")));
  const auto good = CheckpointIndex::Parse(
      "{\"zz\":[1,{\"b\":2.50,\"a\":\"\u00e9\"}],\"weight_map\":"
      "{\"\u4e2d\":\"s\",\"a\\u0000\":\"s\"},\"metadata\":{}}",
      "i.json");
  ASSERT_THAT(good, IsOk());
  EXPECT_EQ(good->Serialize(), R"({
  "metadata": {},
  "weight_map": {
    "a\u0000": "s",
    "\u4e2d": "s"
  },
  "zz": [
    1,
    {
      "a": "\u00e9",
      "b": 2.5
    }
  ]
}
)");
  const auto again = CheckpointIndex::Parse(good->Serialize(), "i.json");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->Serialize(), good->Serialize());
}

TEST(CheckpointIndexTest, NeedsNoMetadata) {
  const auto index =
      CheckpointIndex::Parse(R"({"weight_map":{"":"s"}})", "i.json");
  ASSERT_THAT(index, IsOk());
  EXPECT_EQ(index->metadata_json(), "");
  EXPECT_EQ(index->Serialize(),
            "{\n  \"weight_map\": {\n    \"\": \"s\"\n  }\n}\n");
}

struct BadIndex {
  const char* json;
  const char* message;  // What whoever meets this error needs to see.
};

constexpr BadIndex kBadIndexes[] = {
    {"", "the file is empty"},
    {"{oops", "is not valid JSON at byte 1"},
    {"[]", "the index is a list, but must be an object"},
    {"7", "the index is 7"},
    {"{}", "no `weight_map`"},
    {R"({"weight_map":["a"]})", "`weight_map` is a list"},
    {R"({"weight_map":null})", "`weight_map` is null"},
    {R"({"weight_map":{}})", "`weight_map` is empty"},
    {R"({"weight_map":{"a":7}})", "tensor 'a': its shard is 7"},
    {R"({"weight_map":{"a":["s"]}})", "its shard is a list"},
    {R"({"weight_map":{"a":"s","b":"t","\u0061":"s"}})",
     "tensor 'a' occurs twice"},
    {R"({"weight_map":{"a":"s"},"weight_map":{"a":"s"}})",
     "'weight_map' occurs twice"},
    {R"({"metadata":{},"weight_map":{"a":"s"},"metadata":{}})",
     "'metadata' occurs twice"},
    {R"({"metadata":{"x":[{"k":1,"k":1}]},"weight_map":{"a":"s"}})",
     "'k' occurs twice in 'metadata'"},
    {R"({"metadata":7,"weight_map":{"a":"s"}})", "`metadata` is 7"},
    {R"({"metadata":null,"weight_map":{"a":"s"}})", "`metadata` is null"},
    {R"({"metadata":{"t":99999999999999999999},"weight_map":{"a":"s"}})",
     "99999999999999999999"},
    {R"({"metadata":{"t":NaN},"weight_map":{"a":"s"}})", "at byte"},
    {R"({"weight_map":{"a":"s"}} x)", "is not valid JSON"},
    {R"({"weight_map":{"a":"\ud800"}})", "is not valid JSON"},
    {"{\"weight_map\":{\"a\":\"\xff\"}}", "is not valid JSON"},
};

TEST(CheckpointIndexTest, RefusesWhatIsNoIndex) {
  for (const BadIndex& bad : kBadIndexes) {
    EXPECT_THAT(CheckpointIndex::Parse(bad.json, "i.json"),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(StartsWith("i.json: "), HasSubstr(bad.message),
                               HasSubstr("download the index again"))))
        << bad.json;
  }
}

TEST(CheckpointIndexTest, RefusesNestingThatNoIndexHas) {
  std::string deep = R"({"metadata":{"x":)";
  for (const int levels : {100, 200, 100'000}) {
    const std::string text =
        absl::StrCat(deep, std::string(levels, '['), std::string(levels, ']'),
                     R"(},"weight_map":{"a":"s"}})");
    const auto index = CheckpointIndex::Parse(text, "i.json");
    if (levels == 100) {
      EXPECT_THAT(index, IsOk());
    } else {
      EXPECT_THAT(index, StatusIs(absl::StatusCode::kDataLoss,
                                  HasSubstr("nests deeper")));
    }
  }
}

absl::StatusOr<CheckpointIndex> WithShard(const std::string& name) {
  return CheckpointIndex::Create({{"a", "ok"}, {"b", name}}, "");
}

TEST(CheckpointIndexTest, TakesPlainRelativeShardNames) {
  for (const char* name :
       {"model-00001-of-00002.safetensors", "sub/folder/x.bin", "..x", "x..",
        "...", ".hidden", "name with spaces", "\u4e2d\u6587.bin", "a:b", "~"}) {
    const auto index = WithShard(name);
    ASSERT_THAT(index, IsOk()) << name;
    EXPECT_EQ(index->shards()[index->weight_map()[1].shard], name);
  }
  EXPECT_THAT(WithShard(std::string(255, 'x')), IsOk());
}

TEST(CheckpointIndexTest, RefusesShardNamesThatLeaveTheFolder) {
  const std::pair<std::string, const char*> kNames[] = {
      {"", "it is empty"},
      {"/etc/passwd", "it is absolute"},
      {"..", "it leaves the folder"},
      {"../x", "it leaves the folder"},
      {"a/../x", "it leaves the folder"},
      {"a/..", "it leaves the folder"},
      {".", "shortest form"},
      {"./x", "shortest form"},
      {"a//x", "shortest form"},
      {"a/", "shortest form"},
      {"a\\x", "a backslash"},
      {"..\\x", "a backslash"},
      {std::string("a\0b", 3), "a control character"},
      {"a\nb", "a control character"},
      {"a\x7f", "a control character"},
      {"a\u0085", "a control character"},
      {std::string(256, 'x'), "longer than 255 bytes"},
  };
  for (const auto& [name, why] : kNames) {
    EXPECT_THAT(
        WithShard(name),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 AllOf(HasSubstr("tensor 'b': its shard"), HasSubstr(why))))
        << name;
  }
}

TEST(CheckpointIndexTest, IsMadeOutOfNames) {
  const auto index = CheckpointIndex::Create(
      {{"b", "m-1.bin"}, {"a \"x\"", "m-2.bin"}}, R"({"total_size": 24.5})");
  ASSERT_THAT(index, IsOk());
  EXPECT_EQ(index->Serialize(), R"({
  "metadata": {
    "total_size": 24.5
  },
  "weight_map": {
    "a \"x\"": "m-2.bin",
    "b": "m-1.bin"
  }
}
)");
  for (const char* metadata : {"7", "{},\"x\":{}", "{", "{}}"}) {
    EXPECT_THAT(CheckpointIndex::Create({{"a", "s"}}, metadata),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("is not a JSON object")))
        << metadata;
  }
  EXPECT_THAT(
      CheckpointIndex::Create({{"\xff", "s"}}, ""),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not UTF-8")));
  EXPECT_THAT(
      CheckpointIndex::Create({{"a", "s"}, {"a", "t"}}, ""),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("occurs twice")));
  EXPECT_THAT(CheckpointIndex::Create({}, ""),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// A download can stop anywhere: no proper prefix of a good index is good.
TEST(CheckpointIndexTest, RefusesEveryPrefixOfAGoodFile) {
  const std::string file =
      R"({"metadata":{"total_size":8},"weight_map":{"a":"s-1","b":"s-2"}})";
  ASSERT_THAT(CheckpointIndex::Parse(file, "i.json"), IsOk());
  for (size_t n = 0; n < file.size(); ++n) {
    EXPECT_THAT(CheckpointIndex::Parse(file.substr(0, n), "i.json"),
                StatusIs(absl::StatusCode::kDataLoss))
        << "cut at byte " << n;
  }
}

TEST(CheckpointIndexTest, ReadsManyEntriesFast) {
  std::string text = R"({"metadata":{"total_size":1},"weight_map":{)";
  constexpr int kEntries = 100'000;
  for (int i = 0; i < kEntries; ++i) {
    absl::StrAppend(&text, i > 0 ? "," : "", "\"model.layers.", i,
                    ".mlp.weight\":\"model-", i % 1000, ".safetensors\"");
  }
  text += "}}";
  const absl::Time start = absl::Now();
  const auto index = CheckpointIndex::Parse(text, "i.json");
  const absl::Duration took = absl::Now() - start;
  ASSERT_THAT(index, IsOk());
  EXPECT_EQ(index->weight_map().size(), kEntries);
  EXPECT_EQ(index->shards().size(), 1000);
  // Quadratic work would take minutes; the bound leaves room for a sanitizer
  // on a busy machine.
  EXPECT_LT(took, absl::Seconds(5));
}

TEST(CheckpointIndexTest, SaysWhatIsWrongWithTheFile) {
  EXPECT_THAT(CheckpointIndex::Read("no/such.index.json"),
              StatusIs(absl::StatusCode::kNotFound));
  const std::string path = WriteTestFile("sparse.index.json", "");
  std::filesystem::resize_file(path, 100'000'001);
  EXPECT_THAT(CheckpointIndex::Read(path),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr(path), HasSubstr("at most 100000000"))));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace pretrained
