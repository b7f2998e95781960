#include "modeling/llama/llama_inputs.h"

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/llama/llama_config.h"
#include "modeling/model_output.h"
#include "modeling/rotary_options.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

LlamaConfig Config() {
  LlamaConfig config;
  config.vocab_size = 30;
  config.hidden_size = 16;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.rotary.dim = 4;
  config.rotary.max_positions = 6;
  return config;
}

at::Tensor Ids(int64_t batch, int64_t tokens) {
  return at::ones({batch, tokens}, at::dtype(at::kLong));
}

KeyValueCache Cache(int64_t layers, int64_t batch, int64_t heads,
                    int64_t tokens) {
  const at::Tensor tensor = at::zeros({batch, heads, tokens, 4});
  return KeyValueCache(layers, LayerCache{tensor, tensor});
}

TEST(LlamaInputsTest, TellsTheSizesOfGoodInputs) {
  const LlamaModelInputs inputs{.input_ids = Ids(2, 3),
                                .attention_mask = Ids(2, 8),
                                .position_ids = Ids(1, 3),
                                .past_key_values = Cache(2, 2, 2, 5)};
  absl::StatusOr<LlamaInputSizes> sizes =
      CheckLlamaInputs(Config(), 30, inputs);
  ASSERT_THAT(sizes, IsOk());
  EXPECT_EQ(sizes->batch, 2);
  EXPECT_EQ(sizes->tokens, 3);
  EXPECT_EQ(sizes->cached, 5);
}

TEST(LlamaInputsTest, TakesPositionsOfOneRowOfAllAndFlat) {
  for (const at::Tensor& positions :
       {Ids(1, 3), Ids(2, 3), Ids(1, 3).reshape({3})}) {
    EXPECT_THAT(
        CheckLlamaInputs(Config(), 30,
                         {.input_ids = Ids(2, 3), .position_ids = positions}),
        IsOk());
  }
}

TEST(LlamaInputsTest, NamesTheInputThatDoesNotFit) {
  struct Bad {
    LlamaModelInputs inputs;
    const char* message;
  };
  const at::Tensor ids = Ids(2, 3);
  const Bad kBad[] = {
      {{}, "give input_ids, or inputs_embeds"},
      {{.input_ids = Ids(2, 3).flatten()}, "input_ids: has shape [6]"},
      {{.input_ids = ids * 30}, "input_ids: holds 30, but vocab_size is 30"},
      {{.inputs_embeds = at::zeros({2, 3, 15})},
       "inputs_embeds: has shape [2, 3, 15], but [batch, tokens, 16]"},
      {{.input_ids = ids, .attention_mask = Ids(2, 4)},
       "attention_mask: has shape [2, 4], but [2, 3]"},
      {{.input_ids = ids, .attention_mask = Ids(1, 3)},
       "attention_mask: has shape [1, 3], but [2, 3]"},
      {{.input_ids = ids, .position_ids = Ids(3, 3)},
       "position_ids: has shape [3, 3], but [1 or 2, 3]"},
      {{.input_ids = ids, .position_ids = Ids(1, 2)},
       "position_ids: has shape [1, 2]"},
      {{.input_ids = ids, .position_ids = ids * 3},
       "position_ids: holds 3, but the number of cached and new tokens is 3"},
      {{.input_ids = ids, .position_ids = -ids}, "position_ids: holds -1"},
      {{.input_ids = ids, .past_key_values = Cache(1, 2, 2, 5)},
       "past_key_values: holds 1 layers, but the model has 2"},
      {{.input_ids = ids, .past_key_values = Cache(2, 2, 4, 5)},
       "past_key_values.0.0: has shape [2, 4, 5, 4]"},
      {{.input_ids = ids, .past_key_values = Cache(2, 1, 2, 5)},
       "past_key_values.0.0: has shape [1, 2, 5, 4]"},
  };
  for (const Bad& bad : kBad) {
    EXPECT_THAT(
        CheckLlamaInputs(Config(), 30, bad.inputs),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad.message)));
  }
}

// dim / (dim - 2) is the power that the base grows by.
TEST(LlamaInputsTest, HeadsOfTwoCannotGrowDynamically) {
  LlamaConfig config = Config();
  config.hidden_size = 8;
  config.rotary.dim = 2;
  config.rotary.scaling = RotaryOptions::Scaling::kDynamic;
  EXPECT_THAT(CheckLlamaInputs(config, 30, {.input_ids = Ids(2, 6)}), IsOk());
  EXPECT_THAT(CheckLlamaInputs(config, 30, {.input_ids = Ids(2, 7)}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("beyond max_position_embeddings, 6")));
}

TEST(LlamaInputsTest, AreTakenByName) {
  const NamedTensors named = {{"input_ids", Ids(1, 1)},
                              {"attention_mask", Ids(1, 2)},
                              {"position_ids", Ids(1, 3)},
                              {"inputs_embeds", Ids(1, 4)},
                              {"past_key_values.1.0", Ids(1, 5)},
                              {"past_key_values.1.1", Ids(1, 6)},
                              {"labels", Ids(1, 7)}};
  absl::StatusOr<LlamaHeadInputs> inputs =
      LlamaHeadInputsByName("LlamaForCausalLM", named);
  ASSERT_THAT(inputs, IsOk());
  EXPECT_EQ(inputs->input_ids.size(1), 1);
  EXPECT_EQ(inputs->attention_mask.size(1), 2);
  EXPECT_EQ(inputs->position_ids.size(1), 3);
  EXPECT_EQ(inputs->inputs_embeds.size(1), 4);
  ASSERT_EQ(inputs->past_key_values.size(), 2u);
  EXPECT_EQ(inputs->past_key_values[1][0].size(1), 5);
  EXPECT_EQ(inputs->past_key_values[1][1].size(1), 6);
  EXPECT_EQ(inputs->labels.size(1), 7);
}

TEST(LlamaInputsTest, ABaseModelHasNoLabelsAndNoneHasTokenTypes) {
  EXPECT_THAT(LlamaInputsByName("LlamaModel", {{"labels", Ids(1, 1)}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("LlamaModel has no input 'labels'")));
  EXPECT_THAT(
      LlamaHeadInputsByName("LlamaForCausalLM", {{"head_mask", Ids(1, 1)}}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("no input 'head_mask'; it takes: input_ids")));
}

}  // namespace
}  // namespace pretrained
