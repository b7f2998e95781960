#include "modeling/bert/bert_attention.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_testutil.h"
#include "modeling/head_pruning.h"
#include "modeling/layers.h"
#include "modeling/module.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;

constexpr double kTolerance = 1e-5;
constexpr double kLowest = -3.4028234663852886e38;
const ModuleOptions kOnCpu{.device = at::kCPU};

std::shared_ptr<BertSelfAttention> MakeSelf(
    const std::string& position_type = "absolute") {
  BertConfig config = TinyBertConfig();
  config.position_embedding_type = position_type;
  auto self = std::make_shared<BertSelfAttention>(
      FirstLayerNode(config).child("attention").child("self"), kOnCpu, config,
      position_type);
  FillParameters(*self);
  return self;
}

std::shared_ptr<BertAttention> MakeAttention() {
  const BertConfig config = TinyBertConfig();
  auto attention = std::make_shared<BertAttention>(
      FirstLayerNode(config).child("attention"), kOnCpu, config, "absolute");
  FillParameters(*attention);
  return attention;
}

// One head of attention written out: [b, q, d].
at::Tensor OneHead(BertSelfAttention& self, const at::Tensor& x, int64_t head) {
  constexpr int64_t kSize = 4;
  const auto project = [&](Linear& linear) {
    return linear(x).narrow(2, head * kSize, kSize);
  };
  const at::Tensor scores =
      at::matmul(project(self.query()), project(self.key()).transpose(1, 2)) /
      std::sqrt(static_cast<double>(kSize));
  return at::matmul(at::softmax(scores, -1), project(self.value()));
}

TEST(BertSelfAttentionTest, IsScaledDotProductAttentionOfEachHead) {
  const auto self = MakeSelf();
  const at::Tensor x = SomeNumbers({2, 5, 12}, 1);
  const BertAttentionResult result = self->Call({.hidden_states = x});
  const at::Tensor want = at::cat(
      {OneHead(*self, x, 0), OneHead(*self, x, 1), OneHead(*self, x, 2)}, 2);
  EXPECT_THAT(result.hidden_states, IsCloseTo(want, kTolerance));
  EXPECT_EQ(result.probabilities.sizes(), at::IntArrayRef({2, 3, 5, 5}));
  EXPECT_THAT(result.probabilities.sum(-1),
              IsCloseTo(at::ones({2, 3, 5}), kTolerance));
  EXPECT_EQ(result.key.sizes(), at::IntArrayRef({2, 3, 5, 4}));
  EXPECT_EQ(result.value.sizes(), at::IntArrayRef({2, 3, 5, 4}));
}

// Hiding the last two tokens is as if they were not there.
TEST(BertSelfAttentionTest, WhatTheMaskHidesDoesNotCount) {
  for (const char* type : {"absolute", "relative_key", "relative_key_query"}) {
    SCOPED_TRACE(type);
    const auto self = MakeSelf(type);
    const at::Tensor x = SomeNumbers({2, 5, 12}, 1);
    at::Tensor mask = at::zeros({2, 1, 1, 5});
    mask.narrow(3, 3, 2).fill_(kLowest);
    const BertAttentionResult hidden =
        self->Call({.hidden_states = x, .attention_mask = mask});
    const BertAttentionResult shorter =
        self->Call({.hidden_states = x.narrow(1, 0, 3)});
    EXPECT_THAT(hidden.hidden_states.narrow(1, 0, 3),
                IsCloseTo(shorter.hidden_states, kTolerance));
  }
}

TEST(BertSelfAttentionTest, AMaskedHeadContributesNothing) {
  const auto self = MakeSelf();
  const at::Tensor x = SomeNumbers({1, 4, 12}, 1);
  at::Tensor head_mask = at::ones({1, 3, 1, 1});
  head_mask.select(1, 1).zero_();
  const BertAttentionResult whole = self->Call({.hidden_states = x});
  const BertAttentionResult masked =
      self->Call({.hidden_states = x, .head_mask = head_mask});
  at::Tensor want = whole.hidden_states.detach().clone();
  want.narrow(2, 4, 4).zero_();
  EXPECT_THAT(masked.hidden_states, IsCloseTo(want, kTolerance));
}

TEST(BertSelfAttentionTest, WithACacheTheRestIsAsInTheWhole) {
  for (const char* type : {"absolute", "relative_key", "relative_key_query"}) {
    SCOPED_TRACE(type);
    const auto self = MakeSelf(type);
    const at::Tensor x = SomeNumbers({2, 7, 12}, 1);
    const BertAttentionResult whole = self->Call({.hidden_states = x});
    const BertAttentionResult first =
        self->Call({.hidden_states = x.narrow(1, 0, 4)});
    const BertAttentionResult rest =
        self->Call({.hidden_states = x.narrow(1, 4, 3),
                    .past_key = first.key,
                    .past_value = first.value});
    EXPECT_THAT(rest.hidden_states,
                IsCloseTo(whole.hidden_states.narrow(1, 4, 3), kTolerance));
    EXPECT_THAT(rest.key, IsCloseTo(whole.key, kTolerance));
    EXPECT_THAT(rest.value, IsCloseTo(whole.value, kTolerance));
  }
}

TEST(BertSelfAttentionTest, CrossAttentionLooksAtEncoderStatesOrTheirCache) {
  const auto self = MakeSelf();
  const at::Tensor x = SomeNumbers({2, 3, 12}, 1);
  const at::Tensor encoder = SomeNumbers({2, 6, 12}, 2);
  const BertAttentionResult cross =
      self->Call({.hidden_states = x, .encoder_hidden_states = encoder});
  EXPECT_EQ(cross.probabilities.sizes(), at::IntArrayRef({2, 3, 3, 6}));
  // From the cache, whatever the encoder states are now.
  const BertAttentionResult cached =
      self->Call({.hidden_states = x,
                  .encoder_hidden_states = at::zeros({2, 6, 12}),
                  .past_key = cross.key,
                  .past_value = cross.value});
  EXPECT_THAT(cached.hidden_states, IsCloseTo(cross.hidden_states, kTolerance));
  EXPECT_TRUE(cached.key.is_same(cross.key));
}

// Distances that all have the same embedding shift all scores of a query by
// the same amount, which softmax does not see.
TEST(BertSelfAttentionTest, EqualDistancesChangeNothing) {
  const auto relative = MakeSelf("relative_key");
  const auto absolute = MakeSelf("absolute");
  {
    at::NoGradGuard no_grad;
    for (const Module::NamedSlot& slot : relative->TensorSlots()) {
      at::Tensor tensor = slot.tensor;
      if (slot.name == "distance_embedding.weight") tensor.fill_(0.7);
    }
  }
  const at::Tensor x = SomeNumbers({1, 5, 12}, 1);
  EXPECT_THAT(relative->Call({.hidden_states = x}).probabilities,
              IsCloseTo(absolute->Call({.hidden_states = x}).probabilities,
                        kTolerance));
}

// A head that is pruned contributes what a head that is masked does: nothing.
TEST(BertAttentionTest, PruningAHeadIsMaskingItForGood) {
  const auto attention = MakeAttention();
  const at::Tensor x = SomeNumbers({2, 4, 12}, 1);
  at::Tensor head_mask = at::ones({1, 3, 1, 1});
  head_mask.select(1, 1).zero_();
  const at::Tensor masked =
      attention->Call({.hidden_states = x, .head_mask = head_mask})
          .hidden_states.detach();
  attention->ForEachModule([](const std::string& path, Module& module) {
    auto* linear = dynamic_cast<Linear*>(&module);
    if (linear == nullptr) return;
    EXPECT_THAT(PruneLinearLayer(*linear, {0, 1, 2, 3, 8, 9, 10, 11},
                                 path == "output.dense" ? 1 : 0),
                IsOk());
  });
  const BertAttentionResult pruned = attention->Call({.hidden_states = x});
  EXPECT_THAT(pruned.hidden_states, IsCloseTo(masked, kTolerance));
  EXPECT_EQ(pruned.probabilities.sizes(), at::IntArrayRef({2, 2, 4, 4}));
}

TEST(BertOutputTest, NormsTheProjectionPlusTheResidual) {
  const BertConfig config = TinyBertConfig();
  auto output = std::make_shared<BertOutput>(
      FirstLayerNode(config).child("output"), kOnCpu, config);
  FillParameters(*output);
  const at::Tensor x = SomeNumbers({2, 3, 10}, 1);
  const at::Tensor residual = SomeNumbers({2, 3, 12}, 2);
  const at::Tensor sum = output->dense()(x) + residual;
  const auto parameters = output->named_parameters();
  EXPECT_THAT(
      output->Call({x, residual}).value,
      IsCloseTo(at::layer_norm(sum, {12}, parameters["LayerNorm.weight"],
                               parameters["LayerNorm.bias"], 1e-12),
                kTolerance));
}

}  // namespace
}  // namespace pretrained
