// Every processor held to the peer's: testdata/generation/processors.json.

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "generation/beam_processors.h"
#include "generation/generation_testutil.h"
#include "generation/logits_processor.h"
#include "generation/logits_warpers.h"
#include "generation/repetition_processors.h"
#include "generation/sequence_bias_processors.h"
#include "generation/token_processors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/json_testutil.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using Json = nlohmann::ordered_json;
using Ids = std::vector<int64_t>;
using Made = absl::StatusOr<std::shared_ptr<LogitsProcessor>>;

template <typename Processor>
Made Shared(absl::StatusOr<Processor> processor) {
  if (!processor.ok()) return processor.status();
  return std::make_shared<Processor>(*std::move(processor));
}

template <typename Warper, typename Number>
Made Filter(const Json& args, const char* name) {
  return Shared(Warper::Create(args[name].get<Number>(),
                               args.value("filter_value", kFilteredScore),
                               args.value("min_tokens_to_keep", 1)));
}

Made SequenceBiasOf(const Json& args) {
  SequenceBias bias;
  for (const Json& pair : args["sequence_bias"]) {
    bias[pair[0].get<Ids>()] = pair[1].get<double>();
  }
  return Shared(SequenceBiasLogitsProcessor::Create(std::move(bias)));
}

Made ForcedOf(const Json& args) {
  std::map<int64_t, int64_t> forced;
  for (const Json& pair : args["force_token_map"]) {
    forced[pair[0].get<int64_t>()] = pair[1].get<int64_t>();
  }
  return Shared(absl::StatusOr<ForceTokensLogitsProcessor>(
      ForceTokensLogitsProcessor(std::move(forced))));
}

// As `allowed_tokens` in pieces.py.
Made PrefixConstrainedOf(const Json& args) {
  const auto table = args["allowed"].get<std::vector<Ids>>();
  return Shared(PrefixConstrainedLogitsProcessor::Create(
      [table](int64_t batch_id, const at::Tensor& sentence) {
        const int64_t last = sentence[-1].item().toLong();
        return table[(batch_id + last) % table.size()];
      },
      args["num_beams"].get<int64_t>()));
}

using Maker = std::function<Made(const Json& args, const at::Tensor& source)>;

const std::map<std::string, Maker>& Makers() {
  static const auto* const makers = new std::map<std::string, Maker>{
      {"TemperatureLogitsWarper",
       [](const Json& args, const at::Tensor&) {
         return Shared(TemperatureLogitsWarper::Create(
             args["temperature"].get<double>()));
       }},
      {"TopKLogitsWarper",
       [](const Json& args, const at::Tensor&) {
         return Filter<TopKLogitsWarper, int64_t>(args, "top_k");
       }},
      {"TopPLogitsWarper",
       [](const Json& args, const at::Tensor&) {
         return Filter<TopPLogitsWarper, double>(args, "top_p");
       }},
      {"TypicalLogitsWarper",
       [](const Json& args, const at::Tensor&) {
         return Filter<TypicalLogitsWarper, double>(args, "mass");
       }},
      {"EpsilonLogitsWarper",
       [](const Json& args, const at::Tensor&) {
         return Filter<EpsilonLogitsWarper, double>(args, "epsilon");
       }},
      {"EtaLogitsWarper",
       [](const Json& args, const at::Tensor&) {
         return Filter<EtaLogitsWarper, double>(args, "epsilon");
       }},
      {"LogitNormalization",
       [](const Json& args, const at::Tensor&) -> Made {
         return std::make_shared<LogitNormalization>();
       }},
      {"RepetitionPenaltyLogitsProcessor",
       [](const Json& args, const at::Tensor&) {
         return Shared(RepetitionPenaltyLogitsProcessor::Create(
             args["penalty"].get<double>()));
       }},
      {"EncoderRepetitionPenaltyLogitsProcessor",
       [](const Json& args, const at::Tensor& source) {
         return Shared(EncoderRepetitionPenaltyLogitsProcessor::Create(
             args["penalty"].get<double>(), source));
       }},
      {"NoRepeatNGramLogitsProcessor",
       [](const Json& args, const at::Tensor&) {
         return Shared(NoRepeatNGramLogitsProcessor::Create(
             args["ngram_size"].get<int64_t>()));
       }},
      {"EncoderNoRepeatNGramLogitsProcessor",
       [](const Json& args, const at::Tensor& source) {
         return Shared(EncoderNoRepeatNGramLogitsProcessor::Create(
             args["encoder_ngram_size"].get<int64_t>(), source));
       }},
      {"SequenceBiasLogitsProcessor",
       [](const Json& args, const at::Tensor&) {
         return SequenceBiasOf(args);
       }},
      {"NoBadWordsLogitsProcessor",
       [](const Json& args, const at::Tensor&) {
         return Shared(NoBadWordsLogitsProcessor::Create(
             args["bad_words_ids"].get<std::vector<Ids>>(),
             args["eos_token_id"].get<Ids>()));
       }},
      {"MinLengthLogitsProcessor",
       [](const Json& args, const at::Tensor&) {
         return Shared(
             MinLengthLogitsProcessor::Create(args["min_length"].get<int64_t>(),
                                              args["eos_token_id"].get<Ids>()));
       }},
      {"MinNewTokensLengthLogitsProcessor",
       [](const Json& args, const at::Tensor&) {
         return Shared(MinNewTokensLengthLogitsProcessor::Create(
             args["prompt_length_to_skip"].get<int64_t>(),
             args["min_new_tokens"].get<int64_t>(),
             args["eos_token_id"].get<Ids>()));
       }},
      {"ForcedBOSTokenLogitsProcessor",
       [](const Json& args, const at::Tensor&) -> Made {
         return std::make_shared<ForcedBOSTokenLogitsProcessor>(
             args["bos_token_id"].get<int64_t>());
       }},
      {"ForcedEOSTokenLogitsProcessor",
       [](const Json& args, const at::Tensor&) -> Made {
         return std::make_shared<ForcedEOSTokenLogitsProcessor>(
             args["max_length"].get<int64_t>(),
             args["eos_token_id"].get<Ids>());
       }},
      {"ExponentialDecayLengthPenalty",
       [](const Json& args, const at::Tensor&) -> Made {
         const Json& pair = args["exponential_decay_length_penalty"];
         return std::make_shared<ExponentialDecayLengthPenalty>(
             pair[0].get<int64_t>(), pair[1].get<double>(),
             args["eos_token_id"].get<Ids>(),
             args["input_ids_seq_length"].get<int64_t>());
       }},
      {"InfNanRemoveLogitsProcessor",
       [](const Json& args, const at::Tensor&) -> Made {
         return std::make_shared<InfNanRemoveLogitsProcessor>();
       }},
      {"SuppressTokensLogitsProcessor",
       [](const Json& args, const at::Tensor&) -> Made {
         return std::make_shared<SuppressTokensLogitsProcessor>(
             args["suppress_tokens"].get<Ids>());
       }},
      {"SuppressTokensAtBeginLogitsProcessor",
       [](const Json& args, const at::Tensor&) -> Made {
         return std::make_shared<SuppressTokensAtBeginLogitsProcessor>(
             args["begin_suppress_tokens"].get<Ids>(),
             args["begin_index"].get<int64_t>());
       }},
      {"ForceTokensLogitsProcessor",
       [](const Json& args, const at::Tensor&) { return ForcedOf(args); }},
      {"PrefixConstrainedLogitsProcessor",
       [](const Json& args, const at::Tensor&) {
         return PrefixConstrainedOf(args);
       }},
      {"HammingDiversityLogitsProcessor",
       [](const Json& args, const at::Tensor&) {
         return Shared(HammingDiversityLogitsProcessor::Create(
             args["diversity_penalty"].get<double>(),
             args["num_beams"].get<int64_t>(),
             args["num_beam_groups"].get<int64_t>()));
       }},
  };
  return *makers;
}

at::Tensor Processed(const Json& golden, const NamedTensors& tensors,
                     at::Tensor scores) {
  Made processor = Makers().at(golden["class"].get<std::string>())(
      golden["args"], TensorOf(tensors, "source"));
  EXPECT_THAT(processor, IsOk());
  if (!processor.ok()) return {};
  const at::Tensor ids = TensorOf(tensors, "ids");
  absl::StatusOr<at::Tensor> out =
      golden.contains("group")
          ? (*processor)
                ->ProcessGroup(ids, std::move(scores),
                               {TensorOf(tensors, "tokens"),
                                golden["group"].get<int64_t>()})
          : (*processor)->Process(ids, std::move(scores));
  EXPECT_THAT(out, IsOk());
  return out.ok() ? *out : at::Tensor();
}

// Infinities and what is no number stand where they do in the peer's.
void ExpectSame(const at::Tensor& got, const at::Tensor& want,
                double tolerance) {
  ASSERT_TRUE(got.defined());
  ASSERT_EQ(got.sizes(), want.sizes());
  const at::Tensor finite = want.isfinite();
  ASSERT_TRUE(at::equal(got.isfinite(), finite)) << got << "\n" << want;
  EXPECT_TRUE(at::allclose(got.masked_fill(finite, 0).to(at::kFloat),
                           want.masked_fill(finite, 0), /*rtol=*/0, /*atol=*/0,
                           /*equal_nan=*/true))
      << got << "\n"
      << want;
  const at::Tensor rest = finite.logical_not();
  EXPECT_THAT(got.masked_fill(rest, 0).to(at::kFloat),
              IsCloseTo(want.masked_fill(rest, 0), tolerance));
}

TEST(GoldenProcessorsTest, AreThePeers) {
  std::map<std::string, int> seen;
  std::map<int64_t, NamedTensors> by_case = TensorsByCase("processors");
  int number = 0;
  for (const Json& golden : ReadJsonFile(CasesFile("processors.json"))) {
    SCOPED_TRACE(absl::StrCat("case ", number, ": ", golden.dump()));
    const NamedTensors& tensors = by_case[number++];
    const at::Tensor scores = TensorOf(tensors, "scores");
    ASSERT_TRUE(scores.defined());
    ExpectSame(Processed(golden, tensors, scores.clone()),
               TensorOf(tensors, "out"), 1e-5);
    ++seen[golden["class"].get<std::string>()];
  }
  EXPECT_EQ(seen.size(), Makers().size());
}

// In bfloat16 they agree with themselves in float32, but for the filters, whose
// thresholds rounding may cross.
TEST(GoldenProcessorsTest, TakeHalfPrecision) {
  std::map<int64_t, NamedTensors> by_case = TensorsByCase("processors");
  int number = 0;
  for (const Json& golden : ReadJsonFile(CasesFile("processors.json"))) {
    const NamedTensors& tensors = by_case[number++];
    const std::string name = golden["class"];
    if (name == "InfNanRemoveLogitsProcessor") continue;  // Another maximum.
    SCOPED_TRACE(absl::StrCat("case ", number - 1, ": ", golden.dump()));
    const at::Tensor half = TensorOf(tensors, "scores").to(at::kBFloat16);
    const at::Tensor got = Processed(golden, tensors, half.clone());
    ASSERT_TRUE(got.defined());
    EXPECT_EQ(got.scalar_type(), at::kBFloat16);
    if (absl::EndsWith(name, "Warper") && name != "TemperatureLogitsWarper") {
      continue;
    }
    ExpectSame(got, Processed(golden, tensors, half.to(at::kFloat)), 2e-2);
  }
}

}  // namespace
}  // namespace pretrained
