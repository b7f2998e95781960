#include "checkpoint/shard_plan.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/byte_size.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "openssl/sha.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::ReadTestFile;
using ::nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

json ReadJson(absl::string_view name) {
  const json value =
      json::parse(ReadTestFile(absl::StrCat("checkpoint/testdata/", name)),
                  nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(value.is_discarded()) << name;
  return value;
}

std::string Digest(absl::string_view bytes) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), 16));
}

Dtype DtypeNamed(const std::string& name) {
  for (const Dtype dtype : kAllDtypes) {
    if (DtypeName(dtype) == name) return dtype;
  }
  ADD_FAILURE() << name;
  return Dtype::kFloat32;
}

absl::StatusOr<ShardPlan> Plan(const std::vector<ShardedTensor>& tensors,
                               int64_t max_shard_bytes,
                               absl::string_view weights_name) {
  return PlanShards(absl::MakeConstSpan(tensors), max_shard_bytes,
                    weights_name);
}

// What transformers makes of 1,000 random state dicts: every dtype, shared and
// empty tensors, limits down to nothing.
TEST(ShardPlanTest, SpreadsTensorsAsTransformersDoes) {
  const json table = ReadJson("shard_plans.json");
  ASSERT_EQ(table["rows"].size(), 1000);
  int sharded = 0, digests = 0;
  for (const json& row : table["rows"]) {
    SCOPED_TRACE(row.dump());
    std::vector<ShardedTensor> tensors;
    for (const json& tensor : row[0]) {
      tensors.push_back({absl::StrCat("t", tensors.size()),
                         DtypeNamed(table["dtypes"][tensor[0].get<int>()]),
                         tensor[1].get<int64_t>(),
                         tensor.size() > 2 ? tensor[2].get<int>() : -1});
    }
    const int64_t limit = row[1].is_string()
                              ? *ParseByteSize(row[1].get<std::string>())
                              : row[1].get<int64_t>();
    const auto plan = Plan(
        tensors, limit, table["names"][row[2].get<int>()].get<std::string>());
    ASSERT_THAT(plan, IsOk());
    EXPECT_EQ(plan->shards.front().file_name, row[3][0].get<std::string>());
    EXPECT_EQ(plan->shards.back().file_name, row[3][1].get<std::string>());
    std::vector<std::vector<int>> places;
    for (const Shard& shard : plan->shards) places.push_back(shard.tensors);
    EXPECT_EQ(places, row[3][2].get<std::vector<std::vector<int>>>());
    ASSERT_EQ(plan->index.has_value(), !row[4].is_null());
    if (!plan->index) continue;
    ++sharded;
    EXPECT_EQ(
        plan->index->metadata_json(),
        absl::StrCat("{\"total_size\": ", row[4].get<std::string>(), "}"));
    if (row.size() < 6) continue;
    ++digests;
    EXPECT_EQ(Digest(plan->index->Serialize()), row[5].get<std::string>());
  }
  EXPECT_GT(sharded, 300);
  EXPECT_GT(digests, 30);
}

struct SavedModel {
  const char* model;
  int64_t max_shard_bytes;
};

constexpr SavedModel kSavedModels[] = {{"BertForMaskedLM", 15'000},
                                       {"GPT2LMHeadModel", 4'500},
                                       {"T5ForConditionalGeneration", 15'000}};

// The indexes that save_pretrained() wrote for three models: as pickles, where
// tied weights stay, and as safetensors, where they were dropped; in float32
// and, with half the limit, as a float16 variant.
TEST(ShardPlanTest, WritesTheIndexesOfSavedModels) {
  const json models = ReadJson("model_state_dicts.json");
  for (const SavedModel& saved : kSavedModels) {
    for (const char* stem : {"pytorch_model.bin", "model.safetensors"}) {
      for (const bool half : {false, true}) {
        const std::string want = ReadTestFile(
            absl::StrCat("checkpoint/testdata/indexes/", saved.model, "-", stem,
                         ".index", half ? ".fp16" : "", ".json"));
        const json names = json::parse(want)["weight_map"];
        std::vector<ShardedTensor> tensors;
        for (const json& row : models[saved.model]) {
          if (!names.contains(row[0].get<std::string>())) continue;
          tensors.push_back({row[0], half ? Dtype::kFloat16 : Dtype::kFloat32,
                             row[2].get<int64_t>(), row[3].get<int>()});
        }
        EXPECT_EQ(tensors.size(), names.size());
        std::string file = stem;
        if (half) file.insert(file.rfind('.'), ".fp16");
        const auto plan =
            Plan(tensors, saved.max_shard_bytes / (half ? 2 : 1), file);
        ASSERT_THAT(plan, IsOk());
        ASSERT_TRUE(plan->index.has_value());
        EXPECT_EQ(plan->index->Serialize(), want);
      }
    }
  }
}

TEST(ShardPlanTest, PutsATensorLargerThanAShardIntoItsOwn) {
  const auto plan = Plan({{"a", Dtype::kFloat32, 2},
                          {"big", Dtype::kFloat32, 100},
                          {"b", Dtype::kFloat32, 2},
                          {"c", Dtype::kFloat32, 2}},
                         16, "model.safetensors");
  ASSERT_THAT(plan, IsOk());
  ASSERT_EQ(plan->shards.size(), 3);
  EXPECT_EQ(plan->shards[1].file_name, "model-00002-of-00003.safetensors");
  EXPECT_THAT(plan->shards[1].tensors, ElementsAre(1));
  EXPECT_THAT(plan->shards[2].tensors, ElementsAre(2, 3));
  ASSERT_TRUE(plan->index.has_value());
  EXPECT_EQ(plan->index->metadata_json(), "{\"total_size\": 424}");
}

TEST(ShardPlanTest, CountsAByteForEachFloat8) {
  const auto plan = Plan({{"a", Dtype::kFloat8E4M3FN, 8},
                          {"b", Dtype::kFloat8E5M2, 8},
                          {"c", Dtype::kBool, 3}},
                         16, "pytorch_model.bin");
  ASSERT_THAT(plan, IsOk());
  ASSERT_TRUE(plan->index.has_value());
  EXPECT_EQ(plan->index->metadata_json(), "{\"total_size\": 16.375}");
}

TEST(ShardPlanTest, NeedsNoIndexForOneFile) {
  const auto none = Plan({}, 16, "pytorch_model.bin");
  ASSERT_THAT(none, IsOk());
  ASSERT_EQ(none->shards.size(), 1);
  EXPECT_EQ(none->shards[0].file_name, "pytorch_model.bin");
  EXPECT_FALSE(none->index.has_value());
}

TEST(ShardPlanTest, CountsAliasesOfTensorsToWriteOnce) {
  const std::vector<TensorToWrite> tensors = {
      {.name = "wte", .shape = {2}},
      {.name = "h", .shape = {2}},
      {.name = "lm_head", .shape = {2}, .alias_of = 0},
      {.name = "again", .shape = {2}, .alias_of = 2}};
  const auto plan =
      PlanShards(absl::MakeConstSpan(tensors), 8, "pytorch_model.bin");
  ASSERT_THAT(plan, IsOk());
  ASSERT_EQ(plan->shards.size(), 2);
  EXPECT_THAT(plan->shards[0].tensors, ElementsAre(0, 2, 3));
  EXPECT_THAT(plan->shards[1].tensors, ElementsAre(1));
  EXPECT_EQ(plan->index->metadata_json(), "{\"total_size\": 16}");

  const std::vector<TensorToWrite> bad = {{.name = "x", .alias_of = 0}};
  EXPECT_THAT(PlanShards(absl::MakeConstSpan(bad), 8, "pytorch_model.bin"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'x': is an alias of")));
}

TEST(ShardPlanTest, SaysWhatItCannotPlan) {
  EXPECT_THAT(Plan({}, -1, "model.safetensors"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("must not be negative")));
  EXPECT_THAT(Plan({}, 1, "model.h5"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("'model.h5'"),
                             HasSubstr("neither .bin nor .safetensors"))));
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  for (const int64_t count : {int64_t{-1}, kHuge, kHuge / 16}) {
    EXPECT_THAT(
        Plan({{"small", Dtype::kUint8, 1}, {"huge", Dtype::kFloat32, count}}, 1,
             "model.safetensors"),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 HasSubstr("tensor 'huge'")));
  }
  EXPECT_THAT(
      Plan({{"a", Dtype::kUint8, 1}, {"a", Dtype::kUint8, 1}}, 1, "m.bin"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("tensor 'a' occurs twice")));
  const auto whole = Plan({{"a", Dtype::kUint8, 1}}, kHuge, "m.bin");
  EXPECT_THAT(whole, IsOk());
}

}  // namespace
}  // namespace pretrained
