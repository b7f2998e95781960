#include "modeling/t5/t5_model.h"

#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/json_testutil.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"
#include "modeling/seq2seq_output.h"
#include "modeling/t5/t5_by_hand_testutil.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

constexpr char kFolder[] = "testdata/t5/";
constexpr char kLm[] = "T5ForConditionalGeneration";

// Products of two activations round twice.
double ToleranceOf(const std::string& folder) {
  return absl::StrContains(folder, "gated") || absl::StrContains(folder, "v1_1")
             ? 1e-4
             : 1e-5;
}

std::optional<bool> FlagOf(const Json& golden, const char* name) {
  if (golden[name].is_null()) return std::nullopt;
  return golden[name].get<bool>();
}

ForwardOptions ForwardOptionsOf(const Json& golden) {
  return {.output_attentions = FlagOf(golden, "output_attentions"),
          .output_hidden_states = FlagOf(golden, "output_hidden_states"),
          .use_cache = FlagOf(golden, "use_cache")};
}

void ExpectOutputs(const ModelOutput& output, const NamedTensors& want,
                   double tolerance) {
  for (const auto& [name, tensor] : output.fields) {
    EXPECT_TRUE(want.contains(name)) << name << " is not the peer's";
  }
  for (const auto& [name, tensor] : want) {
    const at::Tensor* got = output.find(name);
    ASSERT_NE(got, nullptr) << name << " is missing";
    EXPECT_THAT(*got, IsCloseTo(tensor, tolerance)) << name;
  }
}

TEST(T5ModelTest, ComputesWhatThePeerComputesInEveryCase) {
  const Json cases = ReadJsonFile(absl::StrCat(kFolder, "cases.json"))["cases"];
  ASSERT_GE(cases.size(), 80u);
  for (const Json& golden : cases) {
    SCOPED_TRACE(golden["name"].get<std::string>());
    const std::string folder = golden["model"];
    auto model =
        LoadByHand(golden["class"], kFolder + folder, golden["config"]);
    ASSERT_THAT(model, IsOk());
    const std::string io = kFolder + golden["io"].get<std::string>();
    auto output =
        (*model)->Call(ReadGolden(io, "in."), ForwardOptionsOf(golden));
    ASSERT_THAT(output, IsOk());
    ExpectOutputs(*output, ReadGolden(io, "out."), ToleranceOf(folder));
  }
}

TEST(T5ModelTest, ComputesWhatThePeerComputesForWholeModels) {
  for (const char* name :
       {"T5ForConditionalGeneration", "T5ForConditionalGeneration-v1_1"}) {
    SCOPED_TRACE(name);
    const std::string folder = absl::StrCat("testdata/models/", name);
    auto model = LoadByHand(kLm, folder);
    ASSERT_THAT(model, IsOk());
    const std::string io = folder + "/io.safetensors";
    const NamedTensors want = ReadGolden(io, "out.");
    auto output =
        (*model)->Call(ReadGolden(io, "in."), {.output_attentions = true,
                                               .output_hidden_states = true,
                                               .use_cache = false});
    ASSERT_THAT(output, IsOk());
    ExpectOutputs(*output, want, ToleranceOf(name));
  }
}

TEST(T5ModelTest, RefusesWhatThePeerRefuses) {
  const Json refused =
      ReadJsonFile(absl::StrCat(kFolder, "cases.json"))["refused"];
  const std::map<std::string, std::string> messages = {
      {"no_decoder_inputs", "give decoder_input_ids"},
      {"no_decoder_inputs_of_model", "give decoder_input_ids"},
      {"no_encoder_inputs", "give input_ids, or inputs_embeds"},
      {"ids_and_embeds", "input_ids and inputs_embeds"},
      {"decoder_ids_and_embeds", "decoder_input_ids and decoder_inputs_embeds"},
      {"encoder_without_inputs", "give input_ids, or inputs_embeds"},
      {"labels_without_start_token", "no decoder_start_token_id"},
      {"labels_without_padding_token", "no pad_token_id"},
      {"labels_beyond_vocabulary", "labels: holds 40"},
      {"labels_of_another_length", "labels: has shape [2, 4]"},
      {"labels_to_model", "T5Model has no input 'labels'"},
      {"id_beyond_vocabulary", "input_ids: holds 40"},
      {"decoder_id_beyond_vocabulary", "decoder_input_ids: holds 40"},
      {"mask_4d", "attention_mask: has shape"},
      {"mask_of_another_length", "attention_mask: has shape [2, 4]"},
      {"decoder_mask_of_another_length", "decoder_attention_mask: has shape"},
      {"head_mask_3d", "head_mask: has shape"},
      {"cross_attn_head_mask_of_other_heads", "cross_attn_head_mask: has"},
      {"past_of_two_tensors", "past_key_values.0: holds 2 tensors"},
      {"tied_encoder_alone", "T5EncoderModel has no decoder"},
      {"tied_to_a_deeper_decoder", "the encoder's 1 layers are too few"}};
  EXPECT_EQ(refused.size(), messages.size());
  for (const Json& golden : refused) {
    const std::string name = golden["name"];
    SCOPED_TRACE(name);
    ASSERT_TRUE(messages.contains(name));
    auto model = LoadByHand(golden["class"],
                            kFolder + golden["model"].get<std::string>(),
                            golden["config"]);
    absl::Status status = model.status();
    if (model.ok()) {
      const std::string io = kFolder + golden["io"].get<std::string>();
      status = (*model)->Call(ReadGolden(io, "in.")).status();
    }
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr(messages.at(name))));
  }
}

template <typename Model>
std::shared_ptr<Model> Load(const std::string& folder,
                            const Json& attributes = Json::object()) {
  auto model = LoadByHand(Model::Class().layout->class_name, kFolder + folder,
                          attributes);
  EXPECT_THAT(model, IsOk());
  return std::static_pointer_cast<Model>(*std::move(model));
}

at::Tensor SomeIds(int64_t batch, int64_t length, int64_t start) {
  return (at::arange(batch * length, at::dtype(at::kLong)) * 7 + start)
      .remainder(31)
      .view({batch, length});
}

// A text token by token, each step with the cache of the one before and the
// encoder's output, is the text at once.
TEST(T5ModelTest, ACacheOverSeveralStepsChangesNothing) {
  for (const char* folder : {"base", "gated", "odd_sizes"}) {
    SCOPED_TRACE(folder);
    auto model = Load<T5ForConditionalGeneration>(folder);
    const at::Tensor source = SomeIds(2, 7, 3);
    const at::Tensor target = SomeIds(2, 9, 5);
    auto whole =
        model->Forward({.input_ids = source, .decoder_input_ids = target});
    ASSERT_THAT(whole, IsOk());
    Seq2SeqOutput last;
    int64_t begin = 0;
    for (const int64_t count : {2, 1, 3, 1, 1, 1}) {
      T5Inputs inputs{.decoder_input_ids = target.narrow(1, begin, count),
                      .past_key_values = last.past_key_values};
      if (begin == 0) {
        inputs.input_ids = source;
      } else {
        inputs.encoder_outputs.last_hidden_state =
            last.encoder_last_hidden_state;
      }
      auto step = model->Forward(inputs);
      ASSERT_THAT(step, IsOk());
      EXPECT_THAT(step->logits, IsCloseTo(whole->logits.narrow(1, begin, count),
                                          ToleranceOf(folder)));
      last = *std::move(step);
      begin += count;
    }
    EXPECT_EQ(begin, 9);
    ASSERT_EQ(last.past_key_values.size(), whole->past_key_values.size());
    for (size_t i = 0; i < last.past_key_values.size(); ++i) {
      for (size_t n = 0; n < 4; ++n) {
        EXPECT_THAT(last.past_key_values[i][n],
                    IsCloseTo(whole->past_key_values[i][n], 1e-5));
      }
    }
  }
}

// The fused kernels run where nobody asks for attentions.
TEST(T5ModelTest, TheFusedPathComputesTheSame) {
  for (const char* folder : {"base", "gated"}) {
    auto model = Load<T5ForConditionalGeneration>(folder);
    const T5Inputs inputs{.input_ids = SomeIds(2, 17, 3),
                          .attention_mask = at::ones({2, 17}).tril(12),
                          .decoder_input_ids = SomeIds(2, 13, 5)};
    auto fused = model->Forward(inputs);
    auto shown = model->Forward(inputs, {.output_attentions = true});
    ASSERT_THAT(fused, IsOk());
    ASSERT_THAT(shown, IsOk());
    EXPECT_TRUE(fused->cross_attentions.empty());
    EXPECT_THAT(fused->logits, IsCloseTo(shown->logits, ToleranceOf(folder)));
  }
}

// bfloat16, which rounds at one part in 256, with new weights of half the usual
// size: with the golden ones, which spread scores wide, rounding alone takes
// the peer 0.1 away from its own float32.
TEST(T5ModelTest, HalfPrecisionStaysNearFloat32) {
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16}) {
    for (const char* folder : {"base", "gated"}) {
      SCOPED_TRACE(absl::StrCat(c10::toString(type), " ", folder));
      auto full = Load<T5ForConditionalGeneration>(
          folder, Json{{"initializer_factor", 0.5}});
      if (type == at::kBFloat16) {
        ASSERT_THAT(full->InitWeights(/*seed=*/3), IsOk());
      }
      auto half = std::static_pointer_cast<T5ForConditionalGeneration>(
          RoundAndMakeHalf(*full, type));
      const T5Inputs inputs{.input_ids = SomeIds(2, 9, 3),
                            .attention_mask = at::ones({2, 9}).tril(5),
                            .labels = SomeIds(2, 6, 5)};
      for (const bool attentions : {false, true}) {
        const ForwardOptions options{.output_attentions = attentions};
        auto got = half->Forward(inputs, options);
        auto want = full->Forward(inputs, options);
        ASSERT_THAT(got, IsOk());
        ASSERT_THAT(want, IsOk());
        EXPECT_EQ(got->logits.scalar_type(), type);
        EXPECT_THAT(got->logits.to(at::kFloat), IsCloseTo(want->logits, 2e-2));
        EXPECT_THAT(got->loss.to(at::kFloat), IsCloseTo(want->loss, 2e-2));
        EXPECT_THAT(got->encoder_last_hidden_state.to(at::kFloat),
                    IsCloseTo(want->encoder_last_hidden_state, 2e-2));
      }
    }
  }
}

TEST(T5ModelTest, ATrainingModelDropsAndLosesHaveGradients) {
  auto model = Load<T5ForConditionalGeneration>("base");
  model->train();
  const T5Inputs inputs{.input_ids = SomeIds(2, 9, 3),
                        .labels = SomeIds(2, 6, 5)};
  auto first = model->Forward(inputs);
  auto second = model->Forward(inputs);
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  EXPECT_FALSE(at::equal(first->logits, second->logits));
  first->loss.backward();
  for (const Module::NamedSlot& slot : model->TensorSlots()) {
    EXPECT_TRUE(slot.tensor.grad().defined()) << slot.name;
  }
}

TEST(T5ModelTest, ShiftRightMakesTheDecoderInputsOfLabels) {
  auto model = Load<T5ForConditionalGeneration>("odd_sizes");
  at::Tensor labels = SomeIds(1, 4, 5);
  labels[0][1] = -100;
  auto shifted = model->ShiftRight(labels);
  ASSERT_THAT(shifted, IsOk());
  const at::Tensor source = SomeIds(1, 3, 2);
  auto from_labels = model->Forward({.input_ids = source, .labels = labels});
  auto from_ids =
      model->Forward({.input_ids = source, .decoder_input_ids = *shifted});
  ASSERT_THAT(from_labels, IsOk());
  ASSERT_THAT(from_ids, IsOk());
  EXPECT_TRUE(at::equal(from_labels->logits, from_ids->logits));
  EXPECT_FALSE(from_ids->loss.defined());
}

TEST(T5ModelTest, TheEmbeddingsAreOneModuleEverywhere) {
  auto model = Load<T5Model>("base");
  std::map<std::string, at::Tensor> tensors;
  for (const Module::NamedSlot& slot : model->TensorSlots()) {
    tensors[slot.name] = slot.tensor;
  }
  const at::Tensor other = at::zeros({40, 16});
  EXPECT_TRUE(
      tensors["shared.weight"].is_same(tensors["decoder.embed_tokens.weight"]));
  ASSERT_THAT(model->ReplaceTensor("encoder.embed_tokens.weight", other),
              IsOk());
  auto output = model->Forward(
      {.input_ids = SomeIds(1, 3, 0), .decoder_input_ids = SomeIds(1, 3, 0)},
      {.output_hidden_states = true});
  ASSERT_THAT(output, IsOk());
  EXPECT_EQ(output->decoder_hidden_states[0].abs().max().item().toDouble(), 0);
  EXPECT_EQ(output->encoder_hidden_states[0].abs().max().item().toDouble(), 0);
}

std::map<std::string, at::Tensor> TensorsOf(PretrainedModel& model) {
  std::map<std::string, at::Tensor> tensors;
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    tensors[slot.name] = slot.tensor.detach();
  }
  return tensors;
}

// The mean and deviation of each tensor are those of the peer's new model,
// within what two samples of that size differ by.
TEST(T5ModelTest, NewWeightsAreDrawnAsThePeerDrawsThem) {
  for (const char* name :
       {"T5ForConditionalGeneration", "T5ForConditionalGeneration-v1_1"}) {
    SCOPED_TRACE(name);
    const std::string folder = absl::StrCat("testdata/models/", name);
    auto model = LoadByHand(kLm, folder);
    ASSERT_THAT(model, IsOk());
    ASSERT_THAT((*model)->InitWeights(/*seed=*/5), IsOk());
    const Json golden =
        ReadJsonFile(folder + "/facts.json")["initial_state"]["tensors"];
    const auto tensors = TensorsOf(**model);
    ASSERT_EQ(golden.size(), tensors.size());
    for (const auto& [key, want] : golden.items()) {
      const at::Tensor& tensor = tensors.at(key);
      const double deviation = want["std"].get<double>();
      const double error =
          deviation / std::sqrt(static_cast<double>(tensor.numel()));
      EXPECT_NEAR(tensor.mean().item().toDouble(), want["mean"].get<double>(),
                  6 * error)
          << key;
      EXPECT_NEAR(tensor.std().item().toDouble(), deviation, 5 * error) << key;
    }
  }
}

TEST(T5ModelTest, TheInitializerFactorScalesEveryNewWeight) {
  auto one = Load<T5Model>("base");
  auto quarter = Load<T5Model>("base", Json{{"initializer_factor", 0.25}});
  ASSERT_THAT(one->InitWeights(/*seed=*/1), IsOk());
  ASSERT_THAT(quarter->InitWeights(/*seed=*/1), IsOk());
  const auto large = TensorsOf(*one);
  for (const auto& [name, tensor] : TensorsOf(*quarter)) {
    EXPECT_THAT(tensor * 4, IsCloseTo(large.at(name), 1e-6)) << name;
  }
}

// Rows that are kept give the logits that they gave.
TEST(T5ModelTest, ResizingTheVocabularyTakesTheHeadWithIt) {
  for (const char* folder : {"base", "gated"}) {
    SCOPED_TRACE(folder);
    const bool is_tied = std::string(folder) == "base";
    for (const int64_t size : {47, 35}) {
      auto model = Load<T5ForConditionalGeneration>(folder);
      const T5Inputs inputs{.input_ids = SomeIds(1, 5, 3),
                            .decoder_input_ids = SomeIds(1, 4, 5)};
      auto before = model->Forward(inputs);
      ASSERT_THAT(before, IsOk());
      ASSERT_THAT(model->ResizeTokenEmbeddings(size), IsOk());
      EXPECT_EQ(*model->config().GetInt("vocab_size"), size);
      auto after = model->Forward(inputs);
      ASSERT_THAT(after, IsOk());
      EXPECT_EQ(after->logits.size(2), size);
      EXPECT_THAT(after->logits.narrow(2, 0, 35),
                  IsCloseTo(before->logits.narrow(2, 0, 35), 1e-6));
      std::map<std::string, at::Tensor> tensors;
      for (const Module::NamedSlot& slot : model->TensorSlots()) {
        tensors[slot.name] = slot.tensor;
      }
      EXPECT_EQ(tensors["lm_head.weight"].is_same(tensors["shared.weight"]),
                is_tied);
      EXPECT_THAT(
          model->Forward({.input_ids = at::full({1, 2}, size, at::kLong),
                          .decoder_input_ids = SomeIds(1, 4, 5)}),
          StatusIs(absl::StatusCode::kInvalidArgument,
                   HasSubstr(absl::StrCat("vocab_size is ", size))));
    }
  }
}

TEST(T5ModelTest, LabelsAreForTheModelWithAHead) {
  auto model = Load<T5Model>("base");
  EXPECT_THAT(model->Forward({.input_ids = SomeIds(1, 3, 0),
                              .decoder_input_ids = SomeIds(1, 3, 0),
                              .labels = SomeIds(1, 3, 0)}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("load T5ForConditionalGeneration")));
}

TEST(T5ModelTest, SaysWhereItsEmbeddingsAre) {
  auto model = Load<T5ForConditionalGeneration>("base");
  EXPECT_EQ(model->InputEmbeddingsPath(), "shared");
  EXPECT_EQ(model->OutputEmbeddingsPath(), "lm_head");
  EXPECT_EQ(Load<T5Model>("base")->OutputEmbeddingsPath(), "");
}

}  // namespace
}  // namespace pretrained
