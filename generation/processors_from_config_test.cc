#include "generation/processors_from_config.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "c10/util/Type.h"
#include "generation/generation_testutil.h"
#include "generation/logits_warpers.h"
#include "generation/token_processors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/generation_config.h"
#include "modeling/json_testutil.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

GenerationConfig ConfigOf(const Json& attributes) {
  GenerationConfig config;
  for (const auto& [name, value] : attributes.items()) config.Set(name, value);
  return config;
}

std::vector<std::string> Names(const LogitsProcessorList& list) {
  std::vector<std::string> names;
  for (const std::shared_ptr<LogitsProcessor>& processor : list.processors()) {
    const LogitsProcessor& one = *processor;
    const std::string name = c10::demangle(typeid(one).name());
    names.emplace_back(absl::StripPrefix(name, "pretrained::"));
  }
  return names;
}

// Equal infinities too.
void ExpectSame(const absl::StatusOr<at::Tensor>& got, const at::Tensor& want) {
  ASSERT_THAT(got, IsOk());
  ASSERT_TRUE(want.defined());
  EXPECT_TRUE(at::equal(got->isfinite(), want.isfinite())) << *got << "\n"
                                                           << want;
  EXPECT_THAT(got->nan_to_num(), IsCloseTo(want.nan_to_num(), 1e-5));
}

void ExpectAsThePeer(const Json& golden, const NamedTensors& tensors) {
  const GenerationConfig config = ConfigOf(golden["config"]);
  ProcessorContext context;
  context.input_ids_seq_length = golden["prompt"];
  context.is_encoder_decoder = golden["is_encoder_decoder"];
  context.encoder_input_ids = TensorOf(tensors, "source");
  absl::StatusOr<LogitsProcessorList> processors =
      MakeLogitsProcessors(config, context);
  if (golden.contains("raises")) {
    EXPECT_THAT(processors, StatusIs(absl::StatusCode::kInvalidArgument));
    return;
  }
  ASSERT_THAT(processors, IsOk());
  EXPECT_EQ(Names(*processors),
            golden["processors"].get<std::vector<std::string>>());
  absl::StatusOr<LogitsProcessorList> warpers = MakeLogitsWarpers(config);
  ASSERT_THAT(warpers, IsOk());
  EXPECT_EQ(Names(*warpers), golden["warpers"].get<std::vector<std::string>>());
  const at::Tensor ids = TensorOf(tensors, "ids");
  const at::Tensor scores = TensorOf(tensors, "scores").clone();
  const at::Tensor tokens = TensorOf(tensors, "tokens");
  const absl::StatusOr<at::Tensor> processed =
      tokens.defined() ? processors->ProcessGroup(ids, scores, {tokens, 1})
                       : processors->Process(ids, scores);
  ExpectSame(processed, TensorOf(tensors, "processed"));
  if (!processed.ok()) return;
  ExpectSame(warpers->Process(ids, processed->clone()),
             TensorOf(tensors, "warped"));
  absl::StatusOr<StoppingCriteriaList> criteria =
      MakeStoppingCriteria(config, 99);
  ASSERT_THAT(criteria, IsOk());
  EXPECT_EQ(criteria->max_length(), config.Get("max_length").get<int64_t>());
  // The ids of a golden group are those of its rows, and as long.
  EXPECT_EQ(criteria->ShouldStop(ids, {}), golden["stops"].get<bool>());
}

TEST(ProcessorsFromConfigTest, AreThePeers) {
  std::map<int64_t, NamedTensors> by_case = TensorsByCase("configs");
  int64_t number = 0, refused = 0;
  for (const Json& golden : ReadJsonFile(CasesFile("processor_configs.json"))) {
    SCOPED_TRACE(absl::StrCat("config ", number, ": ", golden.dump()));
    ExpectAsThePeer(golden, by_case[number++]);
    refused += golden.contains("raises");
  }
  EXPECT_GE(number, 50);
  EXPECT_GE(refused, 3);
}

TEST(ProcessorsFromConfigTest, DefaultsMakeAlmostNothing) {
  const GenerationConfig config;
  EXPECT_TRUE(MakeLogitsProcessors(config, {})->empty());
  EXPECT_THAT(Names(*MakeLogitsWarpers(config)),
              ElementsAre("TopKLogitsWarper"));
  EXPECT_EQ(MakeStoppingCriteria(config)->max_length(), 20);
  GenerationConfig endless;
  endless.Set("max_length", nullptr);
  EXPECT_TRUE(MakeStoppingCriteria(endless)->empty());
}

TEST(ProcessorsFromConfigTest, TheCallersComeBeforeTheLastNormalization) {
  ProcessorContext context;
  context.custom.Add(InfNanRemoveLogitsProcessor());
  context.prefix_allowed_tokens = [](int64_t, const at::Tensor&) {
    return std::vector<int64_t>{1};
  };
  context.guidance = std::make_shared<LogitsProcessorList>();
  GenerationConfig config =
      ConfigOf({{"suppress_tokens", {1}}, {"renormalize_logits", true}});
  EXPECT_THAT(Names(*MakeLogitsProcessors(config, context)),
              ElementsAre("PrefixConstrainedLogitsProcessor",
                          "SuppressTokensLogitsProcessor",
                          "InfNanRemoveLogitsProcessor", "LogitNormalization"));
  config.Set("guidance_scale", 1.5);
  EXPECT_EQ(Names(*MakeLogitsProcessors(config, context))[0],
            "LogitsProcessorList");
  config.Set("remove_invalid_values", true);
  EXPECT_THAT(MakeLogitsProcessors(config, context),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("InfNanRemoveLogitsProcessor is given")));
  StoppingCriteriaList custom;
  custom.Add(MaxTimeCriteria(absl::Seconds(-1)));
  EXPECT_TRUE(MakeStoppingCriteria(config, std::nullopt, custom)
                  ->ShouldStop(at::zeros({1, 1}, at::kLong), {}));
  config.Set("max_time", 3600);
  EXPECT_THAT(MakeStoppingCriteria(config, std::nullopt, custom),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("MaxTimeCriteria is given")));
}

struct BadConfig {
  const char* attributes;
  const char* message;
};

constexpr BadConfig kBadProcessors[] = {
    {R"({"repetition_penalty": -2.0})", "'penalty' is -2"},
    {R"({"repetition_penalty": "2"})", "'repetition_penalty' is \"2\""},
    {R"({"no_repeat_ngram_size": 1.5})", "'no_repeat_ngram_size' is 1.5"},
    {R"({"sequence_bias": {"1": 2.0}})", "'sequence_bias' is {"},
    {R"({"sequence_bias": [[[1], "2"]]})", "a list of pairs"},
    {R"({"sequence_bias": []})", "'sequence_bias' is empty"},
    {R"({"bad_words_ids": [1]})", "a list of lists of ids"},
    {R"({"bad_words_ids": 1})", "a list of lists of ids"},
    {R"({"bad_words_ids": {"a": [1]}})", "a list of lists of ids"},
    {R"({"bad_words_ids": []})", "'bad_words_ids' is empty"},
    {R"({"encoder_repetition_penalty": 2.0})", "input_ids of a source"},
    {R"({"encoder_no_repeat_ngram_size": 2})", "the model has no encoder"},
    {R"({"diversity_penalty": 1.0})", "'num_beams' is 1"},
    {R"({"forced_eos_token_id": 1, "max_length": null})",
     "'max_length' is null"},
    {R"({"exponential_decay_length_penalty": [1]})", "a start and a factor"},
    {R"({"exponential_decay_length_penalty": [1, 1.5]})",
     "'eos_token_id' is null"},
    {R"({"forced_decoder_ids": []})", "a list of positions and ids"},
    {R"({"forced_decoder_ids": [[1, "a"]]})", "a list of positions and ids"},
    {R"({"forced_decoder_ids": 3})", "a list of positions and ids"},
    {R"({"suppress_tokens": ["a"]})", "'suppress_tokens' is"},
};

constexpr BadConfig kBadWarpers[] = {
    {R"({"temperature": 0.0})", "'temperature' is 0"},
    {R"({"top_k": -1})", "'top_k' is -1"},
    {R"({"top_p": -0.5})", "'top_p' is -0.5"},
    {R"({"typical_p": 0.0})", "'typical_p' is 0"},
    {R"({"num_beams": null})", "'num_beams' is null"},
    {R"({"top_k": "x", "top_p": -1})", "'top_k' is \"x\""},
};

TEST(ProcessorsFromConfigTest, ErrorsNameFileAndAttribute) {
  const auto is_bad = [](const char* message) {
    return StatusIs(
        absl::StatusCode::kInvalidArgument,
        AllOf(HasSubstr("generation_config.json: "), HasSubstr(message)));
  };
  for (const BadConfig& bad : kBadProcessors) {
    SCOPED_TRACE(bad.attributes);
    EXPECT_THAT(MakeLogitsProcessors(ConfigOf(Json::parse(bad.attributes)), {}),
                is_bad(bad.message));
  }
  for (const BadConfig& bad : kBadWarpers) {
    SCOPED_TRACE(bad.attributes);
    EXPECT_THAT(MakeLogitsWarpers(ConfigOf(Json::parse(bad.attributes))),
                is_bad(bad.message));
  }
  EXPECT_THAT(MakeStoppingCriteria(ConfigOf({{"max_time", "1"}})),
              is_bad("'max_time' is \"1\""));
  EXPECT_THAT(MakeLogitsProcessors(ConfigOf({{"guidance_scale", 1.5}}), {}),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("'guidance_scale' is 1.5")));
}

// Null in forced_decoder_ids forces nothing, but moves where the text begins.
TEST(ProcessorsFromConfigTest, ForcedIdsMayBeNull) {
  const GenerationConfig config = ConfigOf(Json::parse(
      R"({"forced_decoder_ids": [[1, 3], [2, null]],
          "begin_suppress_tokens": [0]})"));
  ProcessorContext context;
  context.input_ids_seq_length = 1;
  absl::StatusOr<LogitsProcessorList> list =
      MakeLogitsProcessors(config, context);
  ASSERT_THAT(list, IsOk());
  const auto finite = [&](int64_t tokens) {
    return list->Process(at::zeros({1, tokens}, at::kLong), at::zeros({1, 4}))
        ->isfinite()
        .sum()
        .item()
        .toLong();
  };
  EXPECT_EQ(finite(1), 1);
  EXPECT_EQ(finite(2), 4);
  EXPECT_EQ(finite(3), 3);
}

TEST(ProcessorsFromConfigTest, EarlyStoppingIsABooleanOrNever) {
  const auto of = [](const Json& value) {
    return EarlyStoppingOf(ConfigOf({{"early_stopping", value}}));
  };
  EXPECT_EQ(of(true), EarlyStopping::kYes);
  EXPECT_EQ(of(false), EarlyStopping::kNo);
  EXPECT_EQ(of("never"), EarlyStopping::kNever);
  EXPECT_EQ(of(1), EarlyStopping::kNever);
  EXPECT_EQ(EarlyStoppingOf(GenerationConfig()), EarlyStopping::kNo);
}

}  // namespace
}  // namespace pretrained
