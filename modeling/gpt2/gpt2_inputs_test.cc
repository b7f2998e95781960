#include "modeling/gpt2/gpt2_inputs.h"

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/gpt2/gpt2_config.h"
#include "modeling/model_output.h"
#include "modeling/named_inputs.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

at::Tensor Ids(at::IntArrayRef shape, int64_t id = 1) {
  return at::full(shape, id, at::dtype(at::kLong));
}

// Three heads of four, two layers, ten positions, 30 tokens.
GPT2Config TinyConfig(bool add_cross_attention = false) {
  GPT2Config config;
  config.vocab_size = 30;
  config.n_positions = 10;
  config.n_embd = 12;
  config.n_layer = 2;
  config.n_head = 3;
  config.add_cross_attention = add_cross_attention;
  return config;
}

KeyValueCache Cache(int64_t batch, int64_t tokens, int64_t layers = 2,
                    int tensors = 2) {
  return KeyValueCache(layers,
                       LayerCache(tensors, at::ones({batch, 3, tokens, 4})));
}

absl::Status Check(const GPT2ModelInputs& inputs, bool cross = false,
                   bool output_attentions = false) {
  return CheckGPT2Inputs(TinyConfig(cross), inputs, output_attentions);
}

TEST(TakeGPT2InputsTest, PutsEachNameInItsPlace) {
  const NamedTensors tensors = {{"input_ids", at::ones({1})},
                                {"attention_mask", at::ones({2})},
                                {"token_type_ids", at::ones({3})},
                                {"position_ids", at::ones({4})},
                                {"head_mask", at::ones({5})},
                                {"inputs_embeds", at::ones({6})},
                                {"encoder_hidden_states", at::ones({7})},
                                {"encoder_attention_mask", at::ones({8})},
                                {"past_key_values.1.0", at::ones({9})}};
  NamedInputs named("X", tensors);
  GPT2ModelInputs inputs;
  TakeGPT2Inputs(named, inputs);
  EXPECT_THAT(named.Finish(), IsOk());
  EXPECT_EQ(inputs.input_ids.size(0), 1);
  EXPECT_EQ(inputs.attention_mask.size(0), 2);
  EXPECT_EQ(inputs.token_type_ids.size(0), 3);
  EXPECT_EQ(inputs.position_ids.size(0), 4);
  EXPECT_EQ(inputs.head_mask.size(0), 5);
  EXPECT_EQ(inputs.inputs_embeds.size(0), 6);
  EXPECT_EQ(inputs.encoder_hidden_states.size(0), 7);
  EXPECT_EQ(inputs.encoder_attention_mask.size(0), 8);
  ASSERT_EQ(inputs.past_key_values.size(), 2u);
  EXPECT_EQ(inputs.past_key_values[1][0].size(0), 9);
}

TEST(TakeGPT2InputsTest, AClassifierHasNoEncoderStates) {
  for (const char* name : {"encoder_hidden_states", "encoder_attention_mask"}) {
    const NamedTensors tensors = {{name, at::ones({1})}};
    NamedInputs named("GPT2ForSequenceClassification", tensors);
    GPT2ModelInputs inputs;
    TakeGPT2Inputs(named, inputs, /*with_encoder=*/false);
    EXPECT_THAT(named.Finish(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(name)));
  }
}

TEST(CheckGPT2InputsTest, TakesWhatFits) {
  EXPECT_THAT(Check({.input_ids = Ids({2, 10})}), IsOk());
  EXPECT_THAT(Check({.input_ids = Ids({2, 3}).to(at::kInt),
                     .attention_mask = at::ones({2, 3}),
                     .token_type_ids = Ids({1, 3}, 29),
                     .position_ids = Ids({2, 3}, 9)}),
              IsOk());
  EXPECT_THAT(Check({.input_ids = Ids({2, 3}),
                     .attention_mask = at::ones({2, 1, 1, 3}),
                     .position_ids = Ids({3})}),
              IsOk());
  EXPECT_THAT(
      Check({.input_ids = Ids({2, 3}), .attention_mask = at::ones({2, 1})}),
      IsOk());
  EXPECT_THAT(Check({.inputs_embeds = at::ones({2, 3, 12})}), IsOk());
  EXPECT_THAT(Check({.input_ids = Ids({2, 3}),
                     .past_key_values = Cache(2, 7),
                     .attention_mask = at::ones({2, 10})}),
              IsOk());
  for (const int64_t rows : {1, 2}) {
    EXPECT_THAT(Check({.input_ids = Ids({2, 3}),
                       .encoder_hidden_states = at::ones({rows, 50, 12}),
                       .encoder_attention_mask = at::ones({1, 3, 50})},
                      /*cross=*/true, /*output_attentions=*/true),
                IsOk());
  }
  // Without encoder states their mask counts for nothing.
  EXPECT_THAT(Check({.input_ids = Ids({2, 3}),
                     .encoder_attention_mask = at::ones({7})}),
              IsOk());
}

struct Bad {
  GPT2ModelInputs inputs;
  const char* message;
};

TEST(CheckGPT2InputsTest, NamesWhatDoesNotFit) {
  const std::vector<Bad> bads = {
      {{}, "give input_ids, or inputs_embeds"},
      {{.input_ids = Ids({2, 3}), .inputs_embeds = at::ones({2, 3, 12})},
       "give one of them"},
      {{.input_ids = Ids({3})}, "input_ids: has shape [3]"},
      {{.input_ids = Ids({2, 0})}, "at least one row and one token"},
      {{.inputs_embeds = at::ones({2, 3, 11})}, "inputs_embeds: has shape"},
      {{.input_ids = at::ones({2, 3})}, "int64 or int32"},
      {{.input_ids = Ids({2, 3}, 30)}, "input_ids: holds 30, but vocab_size"},
      {{.input_ids = Ids({2, 3}, -1)}, "input_ids: holds -1"},
      {{.input_ids = Ids({2, 11})}, "11 tokens, but the model has n_positions"},
      {{.input_ids = Ids({2, 11}), .position_ids = Ids({1, 11})},
       "n_positions"},
      {{.input_ids = Ids({2, 4}), .past_key_values = Cache(2, 7)},
       "the sequence has 11 tokens"},
      {{.input_ids = Ids({2, 3}), .attention_mask = at::ones({2, 4})},
       "attention_mask: has shape [2, 4], but [2, 3]"},
      {{.input_ids = Ids({2, 3}),
        .past_key_values = Cache(2, 5),
        .attention_mask = at::ones({2, 3})},
       "attention_mask: has shape [2, 3], but [2, 8]"},
      {{.input_ids = Ids({2, 3}), .token_type_ids = Ids({2, 4})},
       "token_type_ids: has shape [2, 4], but [1 or 2, 3]"},
      {{.input_ids = Ids({2, 3}), .token_type_ids = Ids({2, 3}, 30)},
       "token_type_ids: holds 30, but vocab_size"},
      {{.input_ids = Ids({2, 3}), .position_ids = Ids({3, 3})},
       "position_ids: has shape [3, 3]"},
      {{.input_ids = Ids({2, 3}), .position_ids = Ids({2, 3}, 10)},
       "position_ids: holds 10, but n_positions"},
      {{.input_ids = Ids({1, 3}), .past_key_values = Cache(2, 5)},
       "past_key_values.0.0: has shape [2, 3, 5, 4]"},
      {{.input_ids = Ids({2, 3}), .past_key_values = Cache(2, 5, 1)},
       "holds 1 layers, but the model has 2"},
      {{.input_ids = Ids({2, 3}), .past_key_values = Cache(2, 5, 2, 4)},
       "past_key_values.0: holds 4 tensors"},
      {{.input_ids = Ids({2, 3}),
        .encoder_hidden_states = at::ones({2, 5, 12})},
       "no cross-attention; set add_cross_attention"},
  };
  for (const Bad& bad : bads) {
    EXPECT_THAT(Check(bad.inputs), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr(bad.message)))
        << bad.message;
  }
}

TEST(CheckGPT2InputsTest, NamesWhatDoesNotFitCrossAttention) {
  const at::Tensor states = at::ones({2, 5, 12});
  const std::vector<Bad> bads = {
      {{.input_ids = Ids({2, 3}),
        .encoder_hidden_states = at::ones({2, 5, 11})},
       "encoder_hidden_states: has shape [2, 5, 11]"},
      {{.input_ids = Ids({2, 3}),
        .encoder_hidden_states = at::ones({3, 5, 12})},
       "encoder_hidden_states: has shape [3, 5, 12]"},
      {{.input_ids = Ids({2, 3}), .encoder_hidden_states = at::ones({5, 12})},
       "encoder_hidden_states: has shape [5, 12]"},
      {{.input_ids = Ids({2, 3}),
        .encoder_hidden_states = states,
        .encoder_attention_mask = at::ones({2, 4})},
       "encoder_attention_mask: has shape [2, 4]"},
      {{.input_ids = Ids({2, 3}),
        .encoder_hidden_states = states,
        .encoder_attention_mask = at::ones({2, 2, 5})},
       "encoder_attention_mask: has shape [2, 2, 5]"},
      {{.input_ids = Ids({2, 3}),
        .encoder_hidden_states = states,
        .encoder_attention_mask = at::ones({5})},
       "encoder_attention_mask: has shape [5]"},
      {{.input_ids = Ids({2, 3})}, "do not ask for attentions"},
  };
  for (const Bad& bad : bads) {
    EXPECT_THAT(
        Check(bad.inputs, /*cross=*/true, /*output_attentions=*/true),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad.message)))
        << bad.message;
  }
}

}  // namespace
}  // namespace pretrained
