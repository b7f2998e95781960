#include "modeling/gpt2/gpt2_model.h"

#include <cstdint>
#include <memory>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/gpt2/gpt2_config.h"
#include "modeling/gpt2/gpt2_heads.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kBase[] = "testdata/gpt2/base";
constexpr char kFixture[] = "testdata/models/GPT2LMHeadModel";
constexpr double kTolerance = 1e-5;

at::Tensor SomeIds(int64_t batch, int64_t tokens) {
  return at::arange(1, 1 + batch * tokens, at::dtype(at::kLong))
      .reshape({batch, tokens});
}

// The tensor of that name.
at::Tensor TensorOf(Module& model, const std::string& name) {
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    if (slot.name == name) return slot.tensor;
  }
  ADD_FAILURE() << "there is no " << name;
  return {};
}

// Token by token, or in one piece: the same.
TEST(GPT2ModelTest, ACacheReplacesTheTokensBefore) {
  auto model = GPT2LMHeadModel::FromPretrained(kFixture);
  ASSERT_THAT(model, IsOk());
  const at::Tensor ids = SomeIds(2, 8);
  at::Tensor mask = at::ones({2, 8}, at::dtype(at::kLong));
  mask[1][0] = 0;
  mask[1][1] = 0;
  auto whole = (*model)->Forward({{.input_ids = ids, .attention_mask = mask}});
  ASSERT_THAT(whole, IsOk());
  KeyValueCache cache;
  int64_t done = 0;
  for (const int64_t step : {3, 1, 2, 1, 1}) {
    GPT2HeadInputs inputs;
    inputs.input_ids = ids.narrow(1, done, step);
    inputs.past_key_values = cache;
    inputs.attention_mask = mask.narrow(1, 0, done + step);
    auto part = (*model)->Forward(inputs);
    ASSERT_THAT(part, IsOk());
    cache = part->past_key_values;
    ASSERT_EQ(cache.size(), 2u);
    EXPECT_EQ(cache[0][0].size(2), done + step);
    // Where a query sees padding alone, it would look at what comes later.
    EXPECT_THAT(part->logits[0],
                IsCloseTo(whole->logits[0].narrow(0, done, step), kTolerance));
    done += step;
  }
  EXPECT_EQ(done, 8);
}

// Of float16 and bfloat16, with rows that are padded on either side, and by the
// fused kernel as well as without it.
TEST(GPT2ModelTest, HalfPrecisionStaysNearFloat32) {
  const at::Tensor ids = SomeIds(3, 6);
  at::Tensor mask = at::ones({3, 6}, at::dtype(at::kLong));
  mask.select(0, 1).narrow(0, 4, 2).zero_();
  mask.select(0, 2).narrow(0, 0, 2).zero_();
  for (const bool upcast : {false, true}) {
    for (const char* dtype : {"float16", "bfloat16"}) {
      // The weights rounded to half precision are the ones to compare with.
      FromPretrainedOptions options{.torch_dtype = dtype};
      options.kwargs["reorder_and_upcast_attn"] = upcast;
      auto half = GPT2LMHeadModel::FromPretrained(kFixture, options);
      options.torch_dtype = "float32";
      auto full = GPT2LMHeadModel::FromPretrained(kFixture, options);
      ASSERT_THAT(half, IsOk());
      ASSERT_THAT(full, IsOk());
      for (const Module::NamedSlot& slot : (*half)->TensorSlots()) {
        if (slot.is_buffer) continue;
        ASSERT_THAT(
            (*full)->ReplaceTensor(slot.name, slot.tensor.to(at::kFloat)),
            IsOk());
      }
      for (const bool attentions : {false, true}) {
        SCOPED_TRACE(absl::StrCat(dtype, upcast ? ", upcast" : "",
                                  attentions ? "" : ", fused"));
        const GPT2HeadInputs inputs{{.input_ids = ids, .attention_mask = mask},
                                    /*labels=*/ids};
        const ForwardOptions forward{.output_attentions = attentions};
        auto want = (*full)->Forward(inputs, forward);
        auto got = (*half)->Forward(inputs, forward);
        ASSERT_THAT(want, IsOk());
        ASSERT_THAT(got, IsOk());
        EXPECT_EQ(got->logits.scalar_type(), (*half)->dtype());
        // The golden weights are steep, and bfloat16 keeps eight bits of a
        // number: the peer itself strays 3.4e-2 here.
        const double error = (*half)->dtype() == at::kBFloat16 ? 6e-2 : 2e-2;
        EXPECT_THAT(got->logits, IsCloseTo(want->logits, error));
        EXPECT_THAT(got->loss, IsCloseTo(want->loss, error));
        for (size_t i = 0; i < got->attentions.size(); ++i) {
          EXPECT_EQ(got->attentions[i].scalar_type(), (*half)->dtype());
          EXPECT_THAT(got->attentions[i],
                      IsCloseTo(want->attentions[i], error));
        }
      }
    }
  }
}

TEST(GPT2ModelTest, BuffersAreThoseOfThePeer) {
  auto model = GPT2Model::FromPretrained(kBase);
  ASSERT_THAT(model, IsOk());
  for (const char* layer : {"h.0.attn.", "h.1.attn."}) {
    const at::Tensor bias = TensorOf(**model, absl::StrCat(layer, "bias"));
    EXPECT_TRUE(
        at::equal(bias, at::ones({1, 1, 20, 20}, at::dtype(at::kBool)).tril()));
    EXPECT_EQ(
        TensorOf(**model, absl::StrCat(layer, "masked_bias")).item().toDouble(),
        -1e4);
  }
}

TEST(GPT2ModelTest, TheHeadIsTheEmbeddings) {
  auto tied = GPT2LMHeadModel::FromPretrained(kFixture);
  auto untied = GPT2LMHeadModel::FromPretrained("testdata/gpt2/untied");
  ASSERT_THAT(tied, IsOk());
  ASSERT_THAT(untied, IsOk());
  EXPECT_TRUE(TensorOf(**tied, "lm_head.weight")
                  .is_same(TensorOf(**tied, "transformer.wte.weight")));
  EXPECT_FALSE(at::equal(TensorOf(**untied, "lm_head.weight"),
                         TensorOf(**untied, "transformer.wte.weight")));
}

TEST(GPT2ModelTest, DropsOnlyInTraining) {
  FromPretrainedOptions options;
  for (const char* only : {"attn_pdrop", "resid_pdrop", "embd_pdrop"}) {
    SCOPED_TRACE(only);
    options.kwargs = {
        {"attn_pdrop", 0.0}, {"resid_pdrop", 0.0}, {"embd_pdrop", 0.0}};
    options.kwargs[only] = 0.5;
    auto model = GPT2Model::FromPretrained(kBase, options);
    ASSERT_THAT(model, IsOk());
    const auto states = [&] {
      auto output = (*model)->Forward({.input_ids = SomeIds(2, 8)});
      EXPECT_THAT(output, IsOk());
      return output->last_hidden_state;
    };
    const at::Tensor calm = states();
    EXPECT_TRUE(at::equal(states(), calm));
    (*model)->train();
    EXPECT_FALSE(at::equal(states(), calm));
    (*model)->eval();
    EXPECT_TRUE(at::equal(states(), calm));
  }
}

TEST(GPT2ModelTest, LearnsFromItsLoss) {
  auto model = GPT2LMHeadModel::FromPretrained(kFixture);
  ASSERT_THAT(model, IsOk());
  const at::Tensor ids = SomeIds(2, 8);
  auto output = (*model)->Forward({{.input_ids = ids}, /*labels=*/ids});
  ASSERT_THAT(output, IsOk());
  output->loss.backward();
  for (const Module::NamedSlot& slot : (*model)->TensorSlots()) {
    if (slot.is_buffer) continue;
    ASSERT_TRUE(slot.tensor.grad().defined()) << slot.name;
    EXPECT_GT(slot.tensor.grad().abs().sum().item().toDouble(), 0) << slot.name;
  }
}

TEST(GPT2ModelTest, ResizingTakesTheHeadAlong) {
  auto model = GPT2LMHeadModel::FromPretrained(kFixture);
  ASSERT_THAT(model, IsOk());
  const at::Tensor before = TensorOf(**model, "transformer.wte.weight");
  const at::Tensor beyond = at::full({1, 2}, 143, at::dtype(at::kLong));
  EXPECT_THAT((*model)->Forward({{.input_ids = beyond}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  ASSERT_THAT((*model)->ResizeTokenEmbeddings(144), IsOk());
  const at::Tensor after = TensorOf(**model, "transformer.wte.weight");
  EXPECT_EQ(after.size(0), 144);
  EXPECT_TRUE(at::equal(after.narrow(0, 0, 140), before));
  EXPECT_TRUE(TensorOf(**model, "lm_head.weight").is_same(after));
  auto output = (*model)->Forward({{.input_ids = beyond}});
  ASSERT_THAT(output, IsOk());
  EXPECT_EQ(output->logits.size(-1), 144);
  EXPECT_EQ(*(*model)->config().GetInt("vocab_size"), 144);
  auto base = GPT2Model::FromPretrained(kBase);
  ASSERT_THAT(base, IsOk());
  ASSERT_THAT((*base)->ResizeTokenEmbeddings(50), IsOk());
  EXPECT_THAT((*base)->Forward(
                  {.input_ids = at::full({1, 2}, 49, at::dtype(at::kLong))}),
              IsOk());
}

TEST(GPT2ModelTest, IsCalledByNameAndNamesWhatItDoesNotKnow) {
  auto base = GPT2Model::FromPretrained(kBase);
  auto head = GPT2LMHeadModel::FromPretrained(kBase);
  auto classifier = GPT2ForSequenceClassification::FromPretrained(kBase);
  ASSERT_THAT(base, IsOk());
  ASSERT_THAT(head, IsOk());
  ASSERT_THAT(classifier, IsOk());
  EXPECT_THAT((*base)->Call({{"labels", at::ones({1, 2})}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("GPT2Model has no input 'labels'")));
  EXPECT_THAT((*head)->Call({{"decoder_input_ids", at::ones({1, 2})}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("it takes: input_ids")));
  EXPECT_THAT((*classifier)->Call({{"encoder_hidden_states", at::ones({1})}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no input 'encoder_hidden_states'")));
}

TEST(GPT2ModelTest, IsWhatTheAutoClassMakes) {
  auto model = AutoModel::FromPretrained(kBase);
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ((*model)->class_name(), "GPT2Model");
  EXPECT_NE(dynamic_cast<GPT2Model*>(model->get()), nullptr);
}

// Projections into the residual stream are drawn ever narrower, the more layers
// add to it.
TEST(GPT2ModelTest, NewProjectionsShrinkWithDepth) {
  for (const int64_t layers : {1, 8}) {
    PretrainedConfig config(GPT2ConfigClass());
    config.Set("n_embd", 64);
    config.Set("n_head", 1);
    config.Set("vocab_size", 10);
    config.Set("n_positions", 8);
    config.Set("n_layer", layers);
    config.Set("initializer_range", 0.5);
    config.Set("add_cross_attention", true);
    auto model = GPT2Model::FromConfig(config, {.seed = 5});
    ASSERT_THAT(model, IsOk());
    const double narrow = layers == 1 ? 0.35355 : 0.125;
    for (const char* name : {"h.0.attn.c_proj.weight", "h.0.mlp.c_proj.weight",
                             "h.0.crossattention.c_proj.weight"}) {
      EXPECT_NEAR(TensorOf(**model, name).std().item().toDouble(), narrow,
                  0.05 * narrow)
          << name;
    }
    for (const char* name : {"h.0.attn.c_attn.weight", "h.0.mlp.c_fc.weight",
                             "h.0.crossattention.q_attn.weight"}) {
      EXPECT_NEAR(TensorOf(**model, name).std().item().toDouble(), 0.5, 0.025)
          << name;
    }
  }
}

}  // namespace
}  // namespace pretrained
