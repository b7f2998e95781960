#include "modeling/rotary.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ATen/ATen.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/json_testutil.h"
#include "modeling/module.h"
#include "modeling/rotary_options.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;
using Scaling = RotaryOptions::Scaling;

constexpr double kTolerance = 1e-5;

RotaryOptions OptionsOf(const Json& golden) {
  const std::map<std::string, Scaling> kinds = {{"none", Scaling::kNone},
                                                {"linear", Scaling::kLinear},
                                                {"dynamic", Scaling::kDynamic}};
  return {.dim = golden["dim"].get<int64_t>(),
          .base = golden["base"].get<double>(),
          .max_positions = golden["max_positions"].get<int64_t>(),
          .scaling = kinds.at(golden["scaling"].get<std::string>()),
          .factor = golden["factor"].get<double>()};
}

// A module on the CPU with its tables.
std::shared_ptr<RotaryEmbedding> MakeRotary(const RotaryOptions& options,
                                            std::shared_ptr<RotaryState> state,
                                            at::ScalarType dtype = at::kFloat) {
  auto rotary = std::make_shared<RotaryEmbedding>(
      RotaryNode("rotary_emb", "Llama", options),
      ModuleOptions{.device = at::kCPU, .dtype = dtype}, options, state);
  rotary->ComputeBuffers(at::kCPU);
  return rotary;
}

std::shared_ptr<RotaryEmbedding> MakeRotary(const RotaryOptions& options,
                                            at::ScalarType dtype = at::kFloat) {
  return MakeRotary(options, std::make_shared<RotaryState>(), dtype);
}

TEST(RotaryTest, TurnsAsThePeerAtTheSizesOfRealModels) {
  const Json cases = ReadJsonFile("testdata/llama/cases.json")["rotary"];
  ASSERT_GE(cases.size(), 9u);
  for (const Json& golden : cases) {
    SCOPED_TRACE(golden.dump());
    const NamedTensors want =
        ReadGolden("testdata/llama/rotary.safetensors",
                   absl::StrCat(golden["name"].get<std::string>(), "."));
    const auto rotary = MakeRotary(OptionsOf(golden));
    RotaryTables tables;
    for (const Json& length : golden["lengths"]) {
      tables = rotary->At({.ids = want.at("positions"),
                           .count = 8,
                           .length = length.get<int64_t>()},
                          at::kFloat);
    }
    EXPECT_THAT(tables.cos.select(0, 0).select(0, 0),
                IsCloseTo(want.at("cos"), kTolerance));
    EXPECT_THAT(tables.sin.select(0, 0).select(0, 0),
                IsCloseTo(want.at("sin"), kTolerance));
    EXPECT_THAT(ApplyRotary(want.at("query"), tables),
                IsCloseTo(want.at("turned"), kTolerance));
  }
}

TEST(RotaryTest, FrequenciesAreThePeersToTheLastBit) {
  for (const Json& golden :
       ReadJsonFile("testdata/llama/cases.json")["rotary"]) {
    SCOPED_TRACE(golden.dump());
    const NamedTensors want =
        ReadGolden("testdata/llama/rotary.safetensors",
                   absl::StrCat(golden["name"].get<std::string>(), "."));
    int64_t longest = 0;
    for (const Json& length : golden["lengths"]) {
      longest = std::max(longest, length.get<int64_t>());
    }
    const at::Tensor got =
        RotaryFrequencies(OptionsOf(golden), longest, at::kCPU);
    EXPECT_EQ(got.scalar_type(), at::kFloat);
    EXPECT_TRUE(at::equal(got, want.at("inv_freq")));
  }
}

TEST(RotaryTest, RowsOfTheTablesAreViews) {
  const auto rotary = MakeRotary({.dim = 4, .max_positions = 10});
  const at::Tensor table = rotary->buffer("cos_cached");
  const RotaryTables tables =
      rotary->At({.first = 3, .count = 2, .length = 5}, at::kFloat);
  EXPECT_EQ(tables.cos.sizes(), at::IntArrayRef({1, 1, 2, 4}));
  EXPECT_TRUE(tables.cos.is_alias_of(table));
  EXPECT_TRUE(at::equal(tables.cos, table.narrow(2, 3, 2)));
}

TEST(RotaryTest, PositionsMayDifferFromRowToRow) {
  const auto rotary = MakeRotary({.dim = 4, .max_positions = 10});
  const at::Tensor ids =
      at::tensor(std::vector<int64_t>{0, 9, 4, 2, 2, 1}).reshape({2, 3});
  const RotaryTables tables =
      rotary->At({.ids = ids, .count = 3, .length = 10}, at::kFloat);
  EXPECT_EQ(tables.sin.sizes(), at::IntArrayRef({2, 1, 3, 4}));
  const at::Tensor table =
      rotary->buffer("sin_cached").select(0, 0).select(0, 0);
  EXPECT_TRUE(at::equal(tables.sin.select(0, 0).select(0, 0).select(0, 1),
                        table.select(0, 9)));
  EXPECT_TRUE(at::equal(tables.sin.select(0, 1).select(0, 0).select(0, 2),
                        table.select(0, 1)));
}

// Beyond the tables angles are computed: the same numbers as longer tables.
TEST(RotaryTest, WhatIsComputedIsWhatLongerTablesHold) {
  for (const Scaling scaling : {Scaling::kNone, Scaling::kLinear}) {
    const RotaryOptions few{
        .dim = 8, .max_positions = 10, .scaling = scaling, .factor = 3.0};
    RotaryOptions many = few;
    many.max_positions = 50;
    const RotaryPositions positions{.first = 5, .count = 40, .length = 45};
    const RotaryTables computed = MakeRotary(few)->At(positions, at::kFloat);
    const RotaryTables read = MakeRotary(many)->At(positions, at::kFloat);
    EXPECT_TRUE(at::allclose(computed.cos, read.cos, 0.0, 1e-7));
    EXPECT_TRUE(at::allclose(computed.sin, read.sin, 0.0, 1e-7));
  }
}

TEST(RotaryTest, DynamicScalingRemembersTheLongestSequenceForAllLayers) {
  const RotaryOptions options{.dim = 8,
                              .max_positions = 10,
                              .scaling = Scaling::kDynamic,
                              .factor = 2.0};
  const RotaryPositions few{.count = 5, .length = 5};
  auto state = std::make_shared<RotaryState>();
  const auto rotary = MakeRotary(options, state);
  const auto other_layer = MakeRotary(options, state);
  const at::Tensor fresh = rotary->At(few, at::kFloat).cos.clone();
  const at::Tensor at_30 =
      rotary->At({.count = 30, .length = 30}, at::kFloat).cos;
  EXPECT_FALSE(at::equal(rotary->At(few, at::kFloat).cos, fresh));
  EXPECT_TRUE(
      at::equal(rotary->At(few, at::kFloat).cos, at_30.narrow(2, 0, 5)));
  EXPECT_TRUE(
      at::equal(other_layer->At(few, at::kFloat).cos, at_30.narrow(2, 0, 5)));
  // A sequence between the two changes nothing; another instance is fresh.
  rotary->At({.count = 20, .length = 20}, at::kFloat);
  EXPECT_TRUE(
      at::equal(rotary->At(few, at::kFloat).cos, at_30.narrow(2, 0, 5)));
  EXPECT_TRUE(at::equal(MakeRotary(options)->At(few, at::kFloat).cos, fresh));
}

TEST(RotaryTest, ManyThreadsAgreeOnTheLongest) {
  RotaryState state;
  std::vector<std::thread> threads;
  for (int64_t start = 0; start < 4; ++start) {
    threads.emplace_back([&state, start] {
      for (int64_t length = start; length <= 1000; length += 4) {
        EXPECT_GE(state.NoteLength(length), length);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(state.NoteLength(0), 1000);
}

TEST(RotaryTest, LayersShareTheMemoryOfTheirTables) {
  const RotaryOptions options{.dim = 8, .max_positions = 100};
  auto state = std::make_shared<RotaryState>();
  const auto first = MakeRotary(options, state);
  const auto second = MakeRotary(options, state);
  EXPECT_EQ(first->buffer("cos_cached").data_ptr(),
            second->buffer("cos_cached").data_ptr());
  // Yet each slot has a tensor of its own, which counts as the peer's.
  EXPECT_FALSE(
      first->buffer("cos_cached").is_same(second->buffer("cos_cached")));
}

TEST(RotaryTest, HalfModelsHaveHalfTablesOfFloatFrequencies) {
  const RotaryOptions options{.dim = 8, .max_positions = 1000};
  const at::Tensor want = MakeRotary(options)->buffer("cos_cached");
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16}) {
    const auto rotary = MakeRotary(options, dtype);
    EXPECT_EQ(rotary->buffer("inv_freq").scalar_type(), at::kFloat);
    EXPECT_EQ(rotary->buffer("cos_cached").scalar_type(), dtype);
    EXPECT_TRUE(at::equal(rotary->buffer("cos_cached"), want.to(dtype)));
  }
}

TEST(RotaryTest, TurnsTheFirstNumbersOfAHeadAndLeavesTheRest) {
  const auto rotary = MakeRotary({.dim = 4, .max_positions = 10});
  const RotaryTables tables = rotary->At({.count = 3, .length = 3}, at::kFloat);
  const at::Tensor x =
      at::arange(2 * 3 * 10, at::kFloat).reshape({1, 2, 3, 10});
  const at::Tensor turned = ApplyRotary(x, tables);
  EXPECT_EQ(turned.sizes(), x.sizes());
  EXPECT_TRUE(at::equal(turned.narrow(3, 4, 6), x.narrow(3, 4, 6)));
  EXPECT_TRUE(at::equal(turned.narrow(3, 0, 4),
                        ApplyRotary(x.narrow(3, 0, 4), tables)));
  EXPECT_TRUE(at::equal(turned.select(2, 0), x.select(2, 0)));
  EXPECT_FALSE(at::equal(turned.select(2, 1), x.select(2, 1)));
}

// As GPT-NeoX has it: what a checkpoint stores counts beyond the tables alone,
// and from then on.
TEST(RotaryTest, StoredFrequenciesCountOnceASequenceIsLong) {
  const RotaryOptions options{
      .dim = 4, .max_positions = 10, .stores_frequencies = true};
  const auto rotary = std::make_shared<RotaryEmbedding>(
      RotaryNode("rotary_emb", "GPTNeoX", options),
      ModuleOptions{.dtype = at::kHalf}, options,
      std::make_shared<RotaryState>());
  EXPECT_TRUE(rotary->is_persistent("inv_freq"));
  EXPECT_EQ(rotary->buffers().size(), 1u);
  EXPECT_EQ(rotary->buffer("inv_freq").scalar_type(), at::kFloat);
  ASSERT_TRUE(rotary->ReplaceTensor("inv_freq", at::ones({2})).ok());
  rotary->ComputeBuffers(at::kCPU);
  EXPECT_TRUE(at::equal(rotary->buffer("inv_freq"), at::ones({2})));
  const auto second_sine = [&](int64_t length) {
    const RotaryTables tables =
        rotary->At({.first = 3, .count = 1, .length = length}, at::kHalf);
    EXPECT_EQ(tables.sin.scalar_type(), at::kFloat);
    return tables.sin[0][0][0][1].item<double>();
  };
  EXPECT_NEAR(second_sine(4), std::sin(0.03), 1e-6);
  EXPECT_NEAR(second_sine(11), std::sin(3.0), 1e-6);
  EXPECT_NEAR(second_sine(4), std::sin(3.0), 1e-6);
}

TEST(RotaryTest, ANewModelComputesTheFrequenciesThatItStores) {
  const RotaryOptions options{
      .dim = 4, .max_positions = 10, .stores_frequencies = true};
  const auto rotary = std::make_shared<RotaryEmbedding>(
      RotaryNode("rotary_emb", "GPTNeoX", options), ModuleOptions{}, options,
      std::make_shared<RotaryState>());
  rotary->ComputeBuffers(at::kCPU);
  EXPECT_THAT(rotary->buffer("inv_freq"),
              IsCloseTo(at::tensor({1.0f, 0.01f}), 1e-6));
}

TEST(RotaryTest, NoPartOfAHeadMayTurn) {
  const RotaryOptions options{.dim = 0, .max_positions = 10};
  const auto rotary = MakeRotary(options);
  const at::Tensor x = at::ones({1, 2, 3, 4});
  EXPECT_TRUE(at::equal(
      ApplyRotary(x, rotary->At({.count = 3, .length = 3}, at::kFloat)), x));
}

// What it is for: scores depend on the distance of two tokens alone.
TEST(RotaryTest, ScoresDependOnDistancesAlone) {
  const auto rotary = MakeRotary({.dim = 16, .max_positions = 100});
  const at::Tensor query =
      at::arange(16, at::kDouble).sin().reshape({1, 1, 1, 16});
  const at::Tensor key =
      at::arange(16, at::kDouble).cos().reshape({1, 1, 1, 16});
  const auto turned = [&](const at::Tensor& x, int64_t position) {
    return ApplyRotary(
        x, rotary->At({.first = position, .count = 1, .length = position + 1},
                      at::kDouble));
  };
  const auto score = [&](int64_t at_query, int64_t at_key) {
    return (turned(query, at_query) * turned(key, at_key)).sum().item<double>();
  };
  EXPECT_NEAR(score(7, 3), score(90, 86), 1e-4);
  EXPECT_GT(std::abs(score(7, 3) - score(7, 4)), 1e-2);
}

}  // namespace
}  // namespace pretrained
