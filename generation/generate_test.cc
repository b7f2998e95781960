#include "generation/generate.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/base/log_severity.h"
#include "absl/log/scoped_mock_log.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_lm_heads.h"
#include "modeling/from_pretrained.h"
#include "modeling/generation_config.h"
#include "modeling/json_testutil.h"
#include "modeling/model_output.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::_;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

constexpr char kGolden[] = "testdata/generation/";
constexpr char kGpt2[] = "GPT2LMHeadModel";
constexpr char kRoberta[] = "RobertaForCausalLM";
constexpr char kT5[] = "T5ForConditionalGeneration";

at::Tensor Tensor(const Json& rows) {
  std::vector<int64_t> flat;
  for (const Json& row : rows) {
    for (const Json& id : row) flat.push_back(id.get<int64_t>());
  }
  return at::tensor(flat, at::kLong)
      .reshape({static_cast<int64_t>(rows.size()), -1});
}

// Where a golden model is, and what its config wants changed.
struct Place {
  std::string folder;
  Json changes = Json::object();
};

// RoBERTa goes on as a decoder, in what the masked model saved.
Place PlaceOf(const std::string& name) {
  if (name == kRoberta) return {"RobertaForMaskedLM", {{"is_decoder", true}}};
  return {name};
}

// A model of testdata/models, which generates as `config` says.
std::shared_ptr<PretrainedModel> Load(const std::string& name,
                                      const Json& config = Json::object()) {
  // What stands after a dash tells models of one class apart.
  const std::vector<std::string> parts = absl::StrSplit(name, '-');
  const auto model_class = FindModel(parts[0]);
  EXPECT_THAT(model_class, IsOk());
  const Place place = PlaceOf(name);
  auto model = LoadPretrained(**model_class,
                              absl::StrCat("testdata/models/", place.folder),
                              {.kwargs = place.changes});
  EXPECT_THAT(model, IsOk()) << name;
  GenerationConfig generation;
  for (const auto& [key, value] : config.items()) generation.Set(key, value);
  (*model)->set_generation_config(generation);
  return *std::move(model);
}

SettingsByName Settings(const Json& json) {
  SettingsByName settings;
  for (const auto& [name, value] : json.items()) {
    settings.emplace_back(name, value);
  }
  return settings;
}

at::Tensor Sequences(PretrainedModel& model, const NamedTensors& inputs,
                     const Json& settings) {
  auto output = Generate(model, inputs, {.settings = Settings(settings)});
  EXPECT_THAT(output, IsOk());
  return output.ok() ? output->sequences : at::Tensor();
}

// What RoBERTa counts positions by.
int64_t PadOf(const std::string& name) { return name == kRoberta ? 1 : 0; }

// Every run of a golden file. There must be `least`.
void ExpectGoldenRuns(const std::string& file, int least) {
  const Json golden = ReadJsonFile(absl::StrCat(kGolden, file, ".json"));
  const auto model = Load(golden["model"], golden["generation_config"]);
  int count = 0;
  for (const Json& input : golden["inputs"]) {
    NamedTensors inputs;
    for (const auto& [name, value] : input.items()) {
      if (name != "runs") inputs[name] = Tensor(value);
    }
    for (const auto& [name, run] : input["runs"].items()) {
      // 4.34's RobertaForCausalLM caches all the same, and then counts its
      // positions past padding on the left.
      if (golden["model"] == kRoberta &&
          inputs.at("input_ids").eq(PadOf(kRoberta)).any().item<bool>() &&
          !run["kwargs"].value("use_cache", true)) {
        continue;
      }
      SCOPED_TRACE(absl::StrCat(file, ": ", name, " ", run["kwargs"].dump()));
      const at::Tensor got = Sequences(*model, inputs, run["kwargs"]);
      if (!got.defined()) continue;
      const at::Tensor want = Tensor(run["ids"]);
      EXPECT_TRUE(at::equal(got, want)) << got << "\n" << want;
      ++count;
    }
  }
  EXPECT_GE(count, least);
}

class GoldenGenerations : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenGenerations, GivesThePeersIds) {
  ExpectGoldenRuns(absl::StrCat(GetParam(), ".more"), 60);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenGenerations,
                         ::testing::Values(kGpt2, "LlamaForCausalLM",
                                           "MistralForCausalLM",
                                           "GPTNeoXForCausalLM",
                                           "OPTForCausalLM", "BloomForCausalLM",
                                           kRoberta, kT5,
                                           "T5ForConditionalGeneration-v1_1"));

class FixtureGenerations : public ::testing::TestWithParam<const char*> {};

TEST_P(FixtureGenerations, GivesThePeersIds) {
  ExpectGoldenRuns(GetParam(), 30);
}

INSTANTIATE_TEST_SUITE_P(Models, FixtureGenerations,
                         ::testing::Values(kGpt2, "LlamaForCausalLM", kT5,
                                           "T5ForConditionalGeneration-v1_1"));

// Texts of 7, 5 and 2 tokens, padded on the left.
NamedTensors PaddedRows(int64_t pad = 0) {
  const at::Tensor mask = at::tensor({1, 1, 1, 1, 1, 1, 1,  //
                                      0, 0, 1, 1, 1, 1, 1,  //
                                      0, 0, 0, 0, 0, 1, 1},
                                     at::kLong)
                              .reshape({3, 7});
  const at::Tensor ids =
      (at::arange(21, at::dtype(at::kLong)).reshape({3, 7}) * 5 + 2) * mask +
      pad * (1 - mask);
  return {{"input_ids", ids}, {"attention_mask", mask}};
}

// Not of RoBERTa: a cache counts its positions past padding, as in 4.34.
TEST(GenerateTest, EachRowOfABatchGivesWhatItGivesAlone) {
  for (const char* name :
       {kGpt2, "LlamaForCausalLM", "MistralForCausalLM", "GPTNeoXForCausalLM",
        "OPTForCausalLM", "BloomForCausalLM"}) {
    for (const Json& settings :
         {Json{{"max_new_tokens", 10}},
          Json{{"max_new_tokens", 10}, {"num_beams", 3}}}) {
      SCOPED_TRACE(absl::StrCat(name, " ", settings.dump()));
      const auto model = Load(name, {{"pad_token_id", PadOf(name)}});
      const NamedTensors rows = PaddedRows(PadOf(name));
      const at::Tensor all = Sequences(*model, rows, settings);
      ASSERT_TRUE(all.defined());
      for (int64_t i = 0; i < 3; ++i) {
        const at::Tensor kept =
            rows.at("attention_mask").select(0, i).nonzero().squeeze(1);
        const at::Tensor alone =
            Sequences(*model,
                      {{"input_ids", rows.at("input_ids")
                                         .select(0, i)
                                         .index_select(0, kept)
                                         .unsqueeze(0)}},
                      settings);
        ASSERT_TRUE(alone.defined());
        EXPECT_TRUE(at::equal(all.select(0, i).narrow(0, 7, 10),
                              alone.select(0, 0).narrow(0, kept.size(0), 10)));
      }
    }
  }
}

TEST(GenerateTest, TheCacheChangesNothing) {
  for (const char* name : {kGpt2, "LlamaForCausalLM", "GPTNeoXForCausalLM",
                           "OPTForCausalLM", "BloomForCausalLM", kT5}) {
    for (Json settings : {Json{{"max_new_tokens", 20}},
                          Json{{"max_new_tokens", 20}, {"num_beams", 4}}}) {
      SCOPED_TRACE(absl::StrCat(name, " ", settings.dump()));
      const auto model = Load(
          name, {{"pad_token_id", PadOf(name)}, {"decoder_start_token_id", 0}});
      const NamedTensors rows = PaddedRows(PadOf(name));
      const at::Tensor with = Sequences(*model, rows, settings);
      settings["use_cache"] = false;
      EXPECT_TRUE(at::equal(with, Sequences(*model, rows, settings)));
    }
  }
}

TEST(GenerateTest, BertGenerates) {
  for (const bool is_decoder : {true, false}) {
    const Json settings = {
        {"hidden_size", 16},      {"num_attention_heads", 2},
        {"num_hidden_layers", 2}, {"intermediate_size", 20},
        {"vocab_size", 50},       {"is_decoder", is_decoder}};
    PretrainedConfig config(BertConfigClass());
    for (const auto& [name, value] : settings.items()) config.Set(name, value);
    auto model = BertLMHeadModel::FromConfig(config, {.seed = 4});
    ASSERT_THAT(model, IsOk());
    const at::Tensor ids = PaddedRows().at("input_ids").remainder(50);
    const at::Tensor sequences =
        Sequences(**model, {{"input_ids", ids}}, {{"max_new_tokens", 5}});
    // By hand.
    at::Tensor text = ids;
    for (int64_t i = 0; i < 5; ++i) {
      auto output = (*model)->Call(
          {{"input_ids", text}, {"attention_mask", at::ones_like(text)}});
      ASSERT_THAT(output, IsOk());
      text = at::cat({text, output->find("logits")->select(1, -1).argmax(
                                -1, /*keepdim=*/true)},
                     1);
    }
    EXPECT_TRUE(at::equal(sequences, text));
  }
}

TEST(GenerateTest, EmbeddingsStandForAPrompt) {
  const auto model = Load("LlamaForCausalLM", {{"bos_token_id", 1}});
  const at::Tensor ids = at::tensor({5, 9, 13}, at::kLong).unsqueeze(0);
  const auto slots = model->TensorSlots();
  at::Tensor weight;
  for (const auto& slot : slots) {
    if (slot.name == "model.embed_tokens.weight") weight = slot.tensor;
  }
  const Json settings = {{"max_new_tokens", 6}};
  const at::Tensor by_ids = Sequences(*model, {{"input_ids", ids}}, settings);
  const at::Tensor by_embeds = Sequences(
      *model, {{"inputs_embeds", at::embedding(weight, ids).detach()}},
      settings);
  EXPECT_TRUE(at::equal(by_ids.narrow(1, 3, 6), by_embeds.narrow(1, 1, 6)));
  EXPECT_EQ(by_embeds[0][0].item().toLong(), 1);
}

struct BadCall {
  const char* model;
  NamedTensors inputs;
  Json settings;
  const char* message;
};

TEST(GenerateTest, SaysWhatDoesNotFit) {
  const at::Tensor ids = at::ones({2, 3}, at::kLong);
  const BadCall calls[] = {
      {kGpt2, {{"input_ids", ids * 1000}}, {}, "input_ids: holds 1000"},
      {kGpt2,
       {{"input_ids", ids.to(at::kFloat)}},
       {},
       "input_ids: is of dtype"},
      {kGpt2, {{"input_ids", ids.narrow(0, 0, 0)}}, {}, "input_ids: has shape"},
      {kGpt2, {{"input_ids", ids.narrow(1, 0, 0)}}, {}, "input_ids: has shape"},
      {kGpt2,
       {{"input_ids", ids}, {"attention_mask", ids.narrow(1, 0, 2)}},
       {},
       "attention_mask: has shape [2, 2], but [2, 3] is expected"},
      {kGpt2, {{"input_ids", ids}, {"labels", ids}}, {}, "'labels'"},
      {kGpt2,
       {{"input_ids", ids}, {"position_ids", ids}},
       {},
       "'position_ids'"},
      {kGpt2, {}, {}, "bos_token_id"},
      {kGpt2, {}, {{"bos_token_id", 5000}}, "bos_token_id"},
      {kGpt2, {{"input_ids", ids}}, {{"beams", 4}}, "'beams'"},
      {kGpt2, {{"input_ids", ids}}, {{"num_beams", 0}}, "num_beams"},
      {kGpt2, {{"input_ids", ids}}, {{"num_beams", "many"}}, "num_beams"},
      {kGpt2, {{"input_ids", ids}}, {{"max_new_tokens", 0}}, "max_new_tokens"},
      {kGpt2, {{"input_ids", ids}}, {{"max_new_tokens", 1000}}, "n_positions"},
      {kGpt2,
       {{"input_ids", ids}},
       {{"num_return_sequences", 2}},
       "num_return_sequences"},
      {kGpt2,
       {{"input_ids", ids}},
       {{"num_beams", 2}, {"num_return_sequences", 3}},
       "num_return_sequences"},
      {kGpt2,
       {{"input_ids", ids}},
       {{"num_beams", 4},
        {"num_beam_groups", 2},
        {"diversity_penalty", 1.0},
        {"do_sample", true}},
       "do_sample"},
      {kT5, {{"input_ids", ids}}, {}, "decoder_start_token_id"},
      {kT5,
       {{"input_ids", ids}},
       {{"decoder_start_token_id", -1}},
       "decoder_start_token_id"},
      {kT5,
       {{"input_ids", ids}, {"attention_mask", ids.narrow(0, 0, 1)}},
       {{"decoder_start_token_id", 0}},
       "attention_mask"},
      {kT5,
       {{"input_ids", ids}, {"decoder_input_ids", ids.narrow(0, 0, 1)}},
       {{"decoder_start_token_id", 0}},
       "decoder_input_ids"},
  };
  for (const BadCall& call : calls) {
    SCOPED_TRACE(absl::StrCat(call.model, ": ", call.message));
    const auto model = Load(call.model);
    EXPECT_THAT(
        Generate(*model, call.inputs, {.settings = Settings(call.settings)}),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(call.message)));
  }
}

TEST(GenerateTest, EveryFamilyRefusesWhatItCannotRead) {
  const at::Tensor ids = at::full({2, 3}, 5, at::dtype(at::kLong));
  for (const char* name :
       {kGpt2, "LlamaForCausalLM", "MistralForCausalLM", "GPTNeoXForCausalLM",
        "OPTForCausalLM", "BloomForCausalLM", kRoberta, kT5}) {
    const auto model = Load(name, {{"decoder_start_token_id", 0}});
    const BadCall calls[] = {
        {name, {{"input_ids", ids * 1000}}, {}, "input_ids: holds 5000"},
        {name, {{"input_ids", -ids}}, {}, "input_ids: holds -5"},
        {name, {{"input_ids", ids.narrow(0, 0, 0)}}, {}, "input_ids: has sha"},
        {name,
         {{"input_ids", ids}, {"attention_mask", ids.narrow(1, 0, 2)}},
         {},
         "attention_mask: has shape [2, 2], but [2, 3] is expected"},
        {name,
         {{"input_ids", ids}},
         {{"num_beams", 2}, {"num_return_sequences", 3}},
         "num_return_sequences"},
        {name,
         {{"input_ids", ids}},
         {{"num_beams", 4},
          {"num_beam_groups", 2},
          {"diversity_penalty", 1.0},
          {"do_sample", true}},
         "do_sample"}};
    for (const BadCall& call : calls) {
      SCOPED_TRACE(absl::StrCat(name, ": ", call.message));
      EXPECT_THAT(
          Generate(*model, call.inputs, {.settings = Settings(call.settings)}),
          StatusIs(absl::StatusCode::kInvalidArgument,
                   HasSubstr(call.message)));
    }
  }
}

TEST(GenerateTest, SaysWhatIsNotDone) {
  const auto model = Load(kGpt2);
  const NamedTensors inputs = {{"input_ids", at::ones({1, 3}, at::kLong)}};
  for (const Json& settings :
       {Json{{"penalty_alpha", 0.6}, {"top_k", 4}},
        Json{{"force_words_ids", Json::array({Json::array({5})})},
             {"num_beams", 2}}}) {
    EXPECT_THAT(Generate(*model, inputs, {.settings = Settings(settings)}),
                StatusIs(absl::StatusCode::kUnimplemented));
  }
  const auto base = Load("BertModel");
  EXPECT_THAT(
      Generate(*base, inputs),
      StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("BertModel")));
}

TEST(GenerateTest, TellsEachStepsTokens) {
  const auto model = Load(kGpt2);
  const NamedTensors inputs = {{"input_ids", at::ones({2, 3}, at::kLong)}};
  std::vector<at::Tensor> steps;
  GenerateOptions options = {.settings = {{"max_new_tokens", 5}}};
  options.on_tokens = [&](const at::Tensor& ids) {
    steps.push_back(ids.clone());
    return absl::OkStatus();
  };
  auto output = Generate(*model, inputs, options);
  ASSERT_THAT(output, IsOk());
  EXPECT_TRUE(
      at::equal(at::stack(steps, 1), output->sequences.narrow(1, 3, 5)));
  EXPECT_EQ(output->new_tokens, 5);
  options.on_tokens = [&](const at::Tensor&) {
    return absl::CancelledError("enough");
  };
  EXPECT_THAT(Generate(*model, inputs, options),
              StatusIs(absl::StatusCode::kCancelled));
  options.settings.emplace_back("num_beams", 2);
  EXPECT_THAT(
      Generate(*model, inputs, options),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("on_tokens")));
}

TEST(GenerateTest, DrawsAgainWhatASeedDrew) {
  const auto model = Load(kGpt2, {{"do_sample", true}, {"max_new_tokens", 12}});
  const NamedTensors inputs = {{"input_ids", at::ones({2, 3}, at::kLong)}};
  for (const int beams : {1, 3}) {
    const auto draw = [&](uint64_t seed) {
      auto output = Generate(
          *model, inputs, {.settings = {{"num_beams", beams}}, .seed = seed});
      EXPECT_THAT(output, IsOk());
      return output->sequences;
    };
    EXPECT_TRUE(at::equal(draw(1), draw(1)));
    EXPECT_FALSE(at::equal(draw(1), draw(2)));
  }
}

TEST(GenerateTest, KeepsWhatTheSettingsAskFor) {
  const NamedTensors inputs = {{"input_ids", at::ones({2, 3}, at::kLong)}};
  for (const char* name : {kGpt2, kT5}) {
    const bool has_encoder = name == std::string(kT5);
    for (const int64_t beams : {1, 3}) {
      SCOPED_TRACE(absl::StrCat(name, " ", beams));
      const auto model = Load(name, {{"decoder_start_token_id", 0}});
      auto output = Generate(*model, inputs,
                             {.settings = {{"max_new_tokens", 4},
                                           {"num_beams", beams},
                                           {"output_scores", true},
                                           {"output_attentions", true},
                                           {"output_hidden_states", true}}});
      ASSERT_THAT(output, IsOk());
      const int64_t rows = 2 * beams;
      ASSERT_EQ(output->scores.size(), 4u);
      for (const at::Tensor& scores : output->scores) {
        EXPECT_EQ(scores.size(0), rows);
      }
      ASSERT_EQ(output->hidden_states.size(), 4u);
      ASSERT_EQ(output->attentions.size(), 4u);
      EXPECT_EQ(output->hidden_states[0][0].size(0), rows);
      EXPECT_EQ(output->hidden_states[0][0].size(1), has_encoder ? 1 : 3);
      EXPECT_EQ(output->hidden_states[3][0].size(1), 1);
      EXPECT_EQ(output->attentions[3][0].size(3), has_encoder ? 4 : 6);
      EXPECT_EQ(output->cross_attentions.size(), has_encoder ? 4u : 0u);
      EXPECT_EQ(output->encoder_hidden_states.empty(), !has_encoder);
      EXPECT_EQ(output->sequences_scores.defined(), beams > 1);
      EXPECT_EQ(output->beam_indices.defined(), beams > 1);
    }
  }
}

TEST(GenerateTest, TokensOutsideOfTheVocabularyNeverMatch) {
  const auto model = Load(kGpt2);
  const NamedTensors inputs = PaddedRows();
  const at::Tensor plain = Sequences(*model, inputs, {{"max_new_tokens", 6}});
  EXPECT_TRUE(at::equal(plain, Sequences(*model, inputs,
                                         {{"max_new_tokens", 6},
                                          {"eos_token_id", 1 << 20},
                                          {"pad_token_id", 1 << 20}})));
  // A text that ended is padded with what no model can read.
  const int64_t first = plain[0][7].item().toLong();
  const at::Tensor padded = Sequences(
      *model, inputs,
      {{"max_new_tokens", 6}, {"eos_token_id", first}, {"pad_token_id", -7}});
  EXPECT_TRUE(padded.select(0, 0).narrow(0, 8, 5).eq(-7).all().item().toBool());
}

TEST(GenerateTest, GoesOnFromAPromptThatIsTooLongAndWarns) {
  const auto model = Load(kGpt2);
  absl::ScopedMockLog log;
  EXPECT_CALL(log, Log(_, _, _)).Times(::testing::AnyNumber());
  EXPECT_CALL(
      log, Log(absl::LogSeverity::kWarning, _, HasSubstr("max_length is 2")));
  log.StartCapturingLogs();
  const at::Tensor sequences =
      Sequences(*model, {{"input_ids", at::ones({1, 3}, at::kLong)}},
                {{"max_length", 2}});
  EXPECT_EQ(sequences.size(1), 4);
}

// Allows one token and what follows it.
class OnlyThese : public LogitsProcessor {
 public:
  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override {
    const at::Tensor last = input_ids.select(1, -1).unsqueeze(1);
    return at::full_like(scores, -1e9).scatter(1, (last + 1).remainder(50), 0);
  }
};

class StopsAt : public StoppingCriteria {
 public:
  explicit StopsAt(int64_t length) : length_(length) {}
  bool ShouldStop(const at::Tensor& input_ids, const at::Tensor&) override {
    return input_ids.size(1) >= length_;
  }

 private:
  int64_t length_;
};

TEST(GenerateTest, TakesProcessorsAndCriteria) {
  const auto model = Load(kGpt2);
  GenerateOptions options = {.settings = {{"max_new_tokens", 20}}};
  options.logits_processor.Add(OnlyThese());
  options.stopping_criteria.Add(StopsAt(8));
  for (const int beams : {1, 2}) {
    options.settings.emplace_back("num_beams", beams);
    auto output =
        Generate(*model, {{"input_ids", at::ones({1, 3}, at::kLong)}}, options);
    ASSERT_THAT(output, IsOk());
    EXPECT_TRUE(at::equal(output->sequences[0],
                          at::tensor({1, 1, 1, 2, 3, 4, 5, 6}, at::kLong)));
  }
}

TEST(GenerateTest, TakesWhatMayFollow) {
  const auto model = Load(kGpt2);
  GenerateOptions options = {.settings = {{"max_new_tokens", 4}}};
  options.prefix_allowed_tokens_fn = [](int64_t row, const at::Tensor& ids) {
    return std::vector<int64_t>{10 * row + ids.size(0)};
  };
  for (const int beams : {1, 3}) {
    options.settings.emplace_back("num_beams", beams);
    auto output =
        Generate(*model, {{"input_ids", at::ones({2, 3}, at::kLong)}}, options);
    ASSERT_THAT(output, IsOk());
    EXPECT_TRUE(at::equal(
        output->sequences.narrow(1, 3, 4),
        at::tensor({3, 4, 5, 6, 13, 14, 15, 16}, at::kLong).reshape({2, 4})));
  }
}

TEST(GenerateTest, WarnsOfPaddingWithoutAMaskOnce) {
  const auto model = Load(kGpt2);
  absl::ScopedMockLog log;
  EXPECT_CALL(log, Log(_, _, _)).Times(::testing::AnyNumber());
  EXPECT_CALL(log, Log(absl::LogSeverity::kWarning, _,
                       HasSubstr("no attention_mask says")))
      .Times(::testing::AtMost(1));
  log.StartCapturingLogs();
  const at::Tensor ids = PaddedRows().at("input_ids");
  for (int i = 0; i < 2; ++i) {
    model->WarnIfPaddingAndNoAttentionMask(ids, at::Tensor());
    model->WarnIfPaddingAndNoAttentionMask(ids, at::ones_like(ids));
  }
}

}  // namespace
}  // namespace pretrained
