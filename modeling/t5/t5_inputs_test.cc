#include "modeling/t5/t5_inputs.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/model_output.h"
#include "modeling/t5/t5_config.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

T5Config SmallConfig() {
  T5Config config;
  config.vocab_size = 10;
  config.d_model = 6;
  config.d_kv = 2;
  config.num_heads = 4;
  config.num_layers = 3;
  config.num_decoder_layers = 2;
  config.decoder_start_token_id = 7;
  config.pad_token_id = 5;
  return config;
}

at::Tensor Ids(at::IntArrayRef shape) {
  return at::ones(shape, at::dtype(at::kLong));
}

at::Tensor IdsOf(const std::vector<int64_t>& ids) {
  return at::tensor(ids, at::dtype(at::kLong)).unsqueeze(0);
}

// Two rows: five tokens for the encoder, three for the decoder.
T5Inputs GoodInputs() {
  return {.input_ids = Ids({2, 5}), .decoder_input_ids = Ids({2, 3})};
}

KeyValueCache Cache(int64_t layers, int64_t tensors, int64_t tokens) {
  return KeyValueCache(layers,
                       LayerCache(tensors, at::ones({2, 4, tokens, 2})));
}

TEST(T5InputsTest, GoodInputsAreGood) {
  const std::vector<std::function<void(T5Inputs&)>> changes = {
      [](T5Inputs&) {},
      [](T5Inputs& i) {
        i.attention_mask = at::ones({2, 5});
      },
      [](T5Inputs& i) {
        i.attention_mask = at::ones({1, 5});
      },
      [](T5Inputs& i) {
        i.attention_mask = at::ones({2, 1, 5});
      },
      [](T5Inputs& i) {
        i.decoder_attention_mask = at::ones({2, 3});
      },
      [](T5Inputs& i) {
        i.decoder_attention_mask = at::ones({2, 3, 3});
      },
      [](T5Inputs& i) { i.head_mask = at::ones({4}); },
      [](T5Inputs& i) {
        i.head_mask = at::ones({3, 4});
      },
      [](T5Inputs& i) {
        i.decoder_head_mask = at::ones({2, 4});
      },
      [](T5Inputs& i) {
        i.cross_attn_head_mask = at::ones({2, 4});
      },
      [](T5Inputs& i) {
        i.labels = Ids({2, 3});
      },
      [](T5Inputs& i) { i.labels = at::full({6}, -100, at::kLong); },
      [](T5Inputs& i) {
        i.past_key_values = Cache(2, 4, 6);
        i.decoder_attention_mask = at::ones({2, 9});
      },
      [](T5Inputs& i) {
        i.input_ids = at::Tensor();
        i.inputs_embeds = at::ones({2, 5, 6});
      },
      [](T5Inputs& i) {
        i.decoder_input_ids = at::Tensor();
        i.decoder_inputs_embeds = at::ones({2, 3, 6});
      },
      [](T5Inputs& i) {
        i.input_ids = at::Tensor();
        i.encoder_outputs.last_hidden_state = at::ones({2, 8, 6});
        // The encoder does not run, so its number of queries is nothing to it.
        i.attention_mask = at::ones({2, 3, 8});
      },
  };
  for (size_t n = 0; n < changes.size(); ++n) {
    T5Inputs inputs = GoodInputs();
    changes[n](inputs);
    EXPECT_THAT(CheckT5Inputs(SmallConfig(), inputs), IsOk()) << n;
  }
}

TEST(T5InputsTest, NamesWhatDoesNotFit) {
  struct BadInputs {
    std::function<void(T5Inputs&)> change;
    const char* name;
    const char* expected;
  };
  const std::vector<BadInputs> bad_inputs = {
      {[](T5Inputs& i) { i.input_ids = at::Tensor(); }, "give input_ids",
       "embeds"},
      {[](T5Inputs& i) {
         i.inputs_embeds = at::ones({2, 5, 6});
       },
       "input_ids", "not both"},
      {[](T5Inputs& i) { i.input_ids = Ids({5}); }, "input_ids", "[5]"},
      {[](T5Inputs& i) { i.input_ids[1][2] = 10; }, "input_ids: holds 10",
       "vocab_size is 10"},
      {[](T5Inputs& i) {
         i.input_ids = at::ones({2, 5});
       },
       "input_ids", "int64 or int32"},
      {[](T5Inputs& i) { i.decoder_input_ids = at::Tensor(); },
       "give decoder_input_ids", "decoder_inputs_embeds"},
      {[](T5Inputs& i) {
         i.decoder_inputs_embeds = at::ones({2, 3, 6});
       },
       "decoder_input_ids", "not both"},
      {[](T5Inputs& i) {
         i.decoder_input_ids = Ids({1, 3});
       },
       "decoder_input_ids: has shape [1, 3]", "a batch of 2"},
      {[](T5Inputs& i) { i.decoder_input_ids[0][0] = -1; },
       "decoder_input_ids: holds -1", "vocab_size is 10"},
      {[](T5Inputs& i) {
         i.attention_mask = at::ones({2, 4});
       },
       "attention_mask: has shape [2, 4]", "[2, 5] or [2, 5 and 3, 5]"},
      {[](T5Inputs& i) {
         i.attention_mask = at::ones({2, 5, 5});
       },
       "attention_mask", "[2, 5] or [2, 5 and 3, 5]"},
      {[](T5Inputs& i) {
         i.attention_mask = at::ones({2, 1, 5, 5});
       },
       "attention_mask", "[2, 5]"},
      {[](T5Inputs& i) {
         i.attention_mask = at::ones({3, 5});
       },
       "attention_mask", "[2, 5]"},
      {[](T5Inputs& i) {
         i.decoder_attention_mask = at::ones({2, 5});
       },
       "decoder_attention_mask: has shape [2, 5]", "[2, 3] or [2, 3, 3]"},
      {[](T5Inputs& i) {
         i.past_key_values = Cache(2, 4, 6);
         i.decoder_attention_mask = at::ones({2, 3});
       },
       "decoder_attention_mask", "[2, 9] or [2, 3, 9]"},
      {[](T5Inputs& i) {
         i.head_mask = at::ones({2, 4});
       },
       "head_mask", "[4] or [3, 4]"},
      {[](T5Inputs& i) {
         i.decoder_head_mask = at::ones({3, 4});
       },
       "decoder_head_mask", "[4] or [2, 4]"},
      {[](T5Inputs& i) { i.cross_attn_head_mask = at::ones({2}); },
       "cross_attn_head_mask", "[4] or [2, 4]"},
      {[](T5Inputs& i) {
         i.cross_attn_head_mask = at::ones({2, 1, 4});
       },
       "cross_attn_head_mask", "[4] or [2, 4]"},
      {[](T5Inputs& i) { i.past_key_values = Cache(3, 4, 6); },
       "past_key_values", "the model has 2"},
      {[](T5Inputs& i) { i.past_key_values = Cache(2, 2, 6); },
       "past_key_values.0", "4 are expected"},
      {[](T5Inputs& i) {
         i.past_key_values = Cache(2, 4, 6);
         i.past_key_values[1][1] = at::ones({2, 3, 6, 2});
       },
       "past_key_values.1.1", "[2, 4, tokens, 2]"},
      {[](T5Inputs& i) {
         i.labels = Ids({2, 4});
       },
       "labels: has shape [2, 4]", "[2, 3]"},
      {[](T5Inputs& i) {
         i.labels = at::ones({2, 3});
       },
       "labels", "int64 or int32"},
      {[](T5Inputs& i) {
         i.labels = at::full({2, 3}, 10, at::kLong);
       },
       "labels: holds 10", "-100 is ignored"},
      {[](T5Inputs& i) {
         i.encoder_outputs.last_hidden_state = at::ones({2, 5, 4});
       },
       "encoder_outputs.0: has shape [2, 5, 4]", "[batch, tokens, 6]"},
      {[](T5Inputs& i) {
         i.encoder_outputs.last_hidden_state = at::ones({2, 0, 6});
       },
       "encoder_outputs.0", "[batch, tokens, 6]"},
      {[](T5Inputs& i) {
         i.encoder_outputs.hidden_states = {at::ones({2, 5, 6})};
       },
       "encoder_outputs.0: is not given", "last_hidden_state"},
  };
  for (const BadInputs& bad : bad_inputs) {
    SCOPED_TRACE(bad.name);
    T5Inputs inputs = GoodInputs();
    bad.change(inputs);
    EXPECT_THAT(CheckT5Inputs(SmallConfig(), inputs),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(bad.name), HasSubstr(bad.expected))));
  }
}

TEST(T5InputsTest, AnEncodersInputsAreCheckedToo) {
  const T5Config config = SmallConfig();
  EXPECT_THAT(
      CheckT5EncoderInputs(config, {.input_ids = Ids({2, 5}),
                                    .attention_mask = at::ones({2, 5, 5}),
                                    .head_mask = at::ones({3, 4})}),
      IsOk());
  EXPECT_THAT(CheckT5EncoderInputs(config, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("give input_ids, or inputs_embeds")));
  EXPECT_THAT(
      CheckT5EncoderInputs(config, {.input_ids = Ids({2, 5}),
                                    .attention_mask = at::ones({2, 3, 5})}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("[2, 5, 5]")));
  EXPECT_THAT(
      CheckT5EncoderInputs(
          config, {.input_ids = Ids({2, 5}), .head_mask = at::ones({2, 4})}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("[3, 4]")));
}

TEST(T5InputsTest, TakesInputsByTheNamesOfThePeer) {
  // Each tensor says by its size which one it is.
  const char* const names[] = {"input_ids",
                               "attention_mask",
                               "decoder_input_ids",
                               "decoder_attention_mask",
                               "head_mask",
                               "decoder_head_mask",
                               "cross_attn_head_mask",
                               "encoder_outputs.0",
                               "inputs_embeds",
                               "decoder_inputs_embeds",
                               "labels",
                               "past_key_values.1.2",
                               "encoder_outputs.1.0",
                               "encoder_outputs.2.1"};
  NamedTensors named;
  int64_t size = 0;
  for (const char* name : names) named[name] = at::ones({++size});
  absl::StatusOr<T5Inputs> inputs = T5InputsByName("T5", named, true);
  ASSERT_THAT(inputs, IsOk());
  ASSERT_EQ(inputs->past_key_values.size(), 2u);
  ASSERT_EQ(inputs->past_key_values[1].size(), 3u);
  ASSERT_EQ(inputs->encoder_outputs.hidden_states.size(), 1u);
  ASSERT_EQ(inputs->encoder_outputs.attentions.size(), 2u);
  const at::Tensor taken[] = {inputs->input_ids,
                              inputs->attention_mask,
                              inputs->decoder_input_ids,
                              inputs->decoder_attention_mask,
                              inputs->head_mask,
                              inputs->decoder_head_mask,
                              inputs->cross_attn_head_mask,
                              inputs->encoder_outputs.last_hidden_state,
                              inputs->inputs_embeds,
                              inputs->decoder_inputs_embeds,
                              inputs->labels,
                              inputs->past_key_values[1][2],
                              inputs->encoder_outputs.hidden_states[0],
                              inputs->encoder_outputs.attentions[1]};
  size = 0;
  for (const at::Tensor& tensor : taken) {
    ++size;
    ASSERT_TRUE(tensor.defined()) << names[size - 1];
    EXPECT_EQ(tensor.size(0), size) << names[size - 1];
  }
}

TEST(T5InputsTest, AClassRefusesWhatItsForwardDoesNotTake) {
  const at::Tensor ids = Ids({1, 2});
  EXPECT_THAT(T5InputsByName("T5Model", {{"labels", ids}}, false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("T5Model has no input 'labels'")));
  for (const char* name :
       {"position_ids", "encoder_outputs", "encoder_outputs.3.0",
        "encoder_outputs.1.-1", "encoder_outputs.1.999999999",
        "past_key_values.0.4"}) {
    EXPECT_THAT(
        T5InputsByName("T5", {{name, ids}}, true),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 AllOf(HasSubstr(name), HasSubstr("decoder_input_ids"))))
        << name;
  }
  EXPECT_THAT(
      T5EncoderInputsByName("T5EncoderModel", {{"decoder_input_ids", ids}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("inputs_embeds")));
}

TEST(T5InputsTest, LabelsAreShiftedRightAndPaddedWhereIgnored) {
  absl::StatusOr<at::Tensor> shifted =
      ShiftRight(SmallConfig(), IdsOf({3, -100, 4, 9}));
  ASSERT_THAT(shifted, IsOk());
  EXPECT_TRUE(at::equal(*shifted, IdsOf({7, 3, 5, 4})));
  // A start token of -100 is replaced as well.
  T5Config config = SmallConfig();
  config.decoder_start_token_id = -100;
  shifted = ShiftRight(config, IdsOf({3}).to(at::kInt));
  ASSERT_THAT(shifted, IsOk());
  EXPECT_EQ(shifted->scalar_type(), at::kInt);
  EXPECT_EQ(shifted->item().toLong(), 5);
}

TEST(T5InputsTest, ShiftingNeedsBothTokensAndALabel) {
  T5Config config = SmallConfig();
  EXPECT_THAT(ShiftRight(config, Ids({2, 0})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("labels: has shape [2, 0]")));
  EXPECT_THAT(ShiftRight(config, IdsOf({3, 10})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("labels: holds 10")));
  config.pad_token_id = std::nullopt;
  EXPECT_THAT(ShiftRight(config, IdsOf({3})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("has no pad_token_id")));
  config.decoder_start_token_id = std::nullopt;
  EXPECT_THAT(ShiftRight(config, IdsOf({3})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("has no decoder_start_token_id")));
}

}  // namespace
}  // namespace pretrained
