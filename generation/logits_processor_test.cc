#include "generation/logits_processor.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "generation/beam_processors.h"
#include "generation/logits_warpers.h"
#include "generation/repetition_processors.h"
#include "generation/sequence_bias_processors.h"
#include "generation/token_processors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

at::Tensor Ids(int64_t rows, int64_t tokens) {
  return at::arange(rows * tokens, at::kLong).remainder(5).view({rows, tokens});
}

at::Tensor Scores(int64_t rows) {
  return at::linspace(-2, 2, rows * 6, at::dtype(at::kFloat)).view({rows, 6});
}

// Adds its number to every score, and counts.
class Adds : public LogitsProcessor {
 public:
  explicit Adds(double number) : number_(number) {}
  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override {
    return scores * 2 + number_;
  }

 private:
  double number_;
};

class Fails : public LogitsProcessor {
 public:
  absl::StatusOr<at::Tensor> Process(const at::Tensor&, at::Tensor) override {
    return absl::OutOfRangeError("enough");
  }
};

TEST(LogitsProcessorListTest, RunsInOrderUntilAnError) {
  LogitsProcessorList list;
  EXPECT_TRUE(list.empty());
  EXPECT_TRUE(at::equal(*list.Process(Ids(2, 3), Scores(2)), Scores(2)));
  list.Add(Adds(1));
  list.Add(std::make_unique<Adds>(10));
  EXPECT_EQ(list.size(), 2);
  const at::Tensor want = (Scores(2) * 2 + 1) * 2 + 10;
  EXPECT_TRUE(at::equal(*list.Process(Ids(2, 3), Scores(2)), want));
  EXPECT_TRUE(at::equal(*list.ProcessGroup(Ids(2, 3), Scores(2), {}), want));
  list.Add(Fails());
  list.Add(Adds(1));
  EXPECT_THAT(list.Process(Ids(2, 3), Scores(2)),
              StatusIs(absl::StatusCode::kOutOfRange, "enough"));
}

TEST(LogitsProcessorListTest, TakesNoSecondOfAClass) {
  LogitsProcessorList own, other, same;
  own.Add(Adds(1));
  other.Add(Fails());
  same.Add(LogitNormalization());
  same.Add(Adds(2));
  EXPECT_THAT(own.Merge(same), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("Adds is given")));
  EXPECT_EQ(own.size(), 1);
  EXPECT_THAT(own.Merge(other), IsOk());
  EXPECT_EQ(own.size(), 2);
}

TEST(LogitsProcessorTest, TellsWhichGroupOfBeamsOnlyToThoseWhoAsk) {
  absl::StatusOr<HammingDiversityLogitsProcessor> hamming =
      HammingDiversityLogitsProcessor::Create(0.5, 4, 2);
  ASSERT_THAT(hamming, IsOk());
  EXPECT_THAT(hamming->Process(Ids(2, 3), Scores(2)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("ProcessGroup")));
  const at::Tensor tokens = at::tensor({1, 1, 9, 9}, at::dtype(at::kLong));
  LogitsProcessorList list;
  list.Add(*hamming);
  at::Tensor want = Scores(2);
  want.select(1, 1).sub_(1);
  EXPECT_TRUE(at::allclose(
      *list.ProcessGroup(Ids(2, 3), Scores(2), {tokens, 1}), want));
  EXPECT_TRUE(at::equal(*list.ProcessGroup(Ids(2, 3), Scores(2), {tokens, 0}),
                        Scores(2)));
  const auto is_bad = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(list.ProcessGroup(Ids(2, 3), Scores(2), {tokens, 2}), is_bad);
  EXPECT_THAT(list.ProcessGroup(Ids(2, 3), Scores(2), {tokens, -1}), is_bad);
  EXPECT_THAT(list.ProcessGroup(Ids(2, 3), Scores(2), {{}, 1}), is_bad);
  EXPECT_THAT(list.ProcessGroup(Ids(4, 3), Scores(4), {tokens, 1}), is_bad);
  EXPECT_THAT(list.ProcessGroup(Ids(2, 3), Scores(2), {tokens.flip(0), 1}),
              is_bad);
}

template <typename Processor>
void ExpectBad(const absl::StatusOr<Processor>& made, const char* message) {
  EXPECT_THAT(made, StatusIs(absl::StatusCode::kInvalidArgument,
                             AllOf(HasSubstr(message), HasSubstr("expected"))));
}

TEST(LogitsProcessorTest, RefusesSettingsThatMakeNone) {
  for (const double bad : {0.0, -1.0, kNan}) {
    ExpectBad(TemperatureLogitsWarper::Create(bad), "'temperature' is");
    ExpectBad(RepetitionPenaltyLogitsProcessor::Create(bad), "'penalty' is");
    ExpectBad(EncoderRepetitionPenaltyLogitsProcessor::Create(bad, Ids(1, 2)),
              "'penalty' is");
    ExpectBad(HammingDiversityLogitsProcessor::Create(bad, 4, 2),
              "'diversity_penalty' is");
  }
  EXPECT_THAT(TemperatureLogitsWarper::Create(0).status().message(),
              HasSubstr("do_sample"));
  for (const double bad : {0.0, 1.0, -0.5, kNan}) {
    ExpectBad(TypicalLogitsWarper::Create(bad), "'typical_p' is");
    ExpectBad(EpsilonLogitsWarper::Create(bad), "'epsilon_cutoff' is");
    ExpectBad(EtaLogitsWarper::Create(bad), "'eta_cutoff' is");
  }
  for (const double bad : {-0.1, 1.1, kNan}) {
    ExpectBad(TopPLogitsWarper::Create(bad), "'top_p' is");
  }
  ExpectBad(TopKLogitsWarper::Create(0), "'top_k' is 0");
  ExpectBad(TopPLogitsWarper::Create(0.5, 0, 0), "'min_tokens_to_keep' is 0");
  ExpectBad(TypicalLogitsWarper::Create(0.5, 0, 0), "'min_tokens_to_keep'");
  ExpectBad(EpsilonLogitsWarper::Create(0.5, 0, 0), "'min_tokens_to_keep'");
  ExpectBad(EtaLogitsWarper::Create(0.5, 0, 0), "'min_tokens_to_keep'");
  ExpectBad(NoRepeatNGramLogitsProcessor::Create(0), "'ngram_size' is 0");
  ExpectBad(EncoderNoRepeatNGramLogitsProcessor::Create(0, Ids(1, 2)),
            "'encoder_ngram_size' is 0");
  ExpectBad(EncoderNoRepeatNGramLogitsProcessor::Create(1, {}),
            "encoder_input");
  ExpectBad(EncoderRepetitionPenaltyLogitsProcessor::Create(1, Scores(1)),
            "encoder_input");
  ExpectBad(SequenceBiasLogitsProcessor::Create({}), "'sequence_bias'");
  ExpectBad(SequenceBiasLogitsProcessor::Create({{{}, 1.0}}), "[]");
  ExpectBad(SequenceBiasLogitsProcessor::Create({{{3, -1}, 1.0}}), "[3, -1]");
  ExpectBad(NoBadWordsLogitsProcessor::Create({}, {}), "'bad_words_ids'");
  ExpectBad(NoBadWordsLogitsProcessor::Create({{}}, {}), "[]");
  ExpectBad(MinLengthLogitsProcessor::Create(-1, {0}), "'min_length' is -1");
  ExpectBad(MinNewTokensLengthLogitsProcessor::Create(-1, 0, {}),
            "'prompt_length_to_skip' is -1");
  ExpectBad(MinNewTokensLengthLogitsProcessor::Create(0, -1, {}),
            "'min_new_tokens' is -1");
  ExpectBad(HammingDiversityLogitsProcessor::Create(1, 1, 2), "'num_beams' is");
  ExpectBad(HammingDiversityLogitsProcessor::Create(1, 4, 1), "'num_beam_gr");
  ExpectBad(HammingDiversityLogitsProcessor::Create(1, 4, 5), "'num_beam_gr");
  ExpectBad(PrefixConstrainedLogitsProcessor::Create(nullptr, 1), "callback");
  ExpectBad(
      PrefixConstrainedLogitsProcessor::Create(
          [](int64_t, const at::Tensor&) { return std::vector<int64_t>(); }, 0),
      "'num_beams' is 0");
}

// Whatever is asked of ids that are none, scores stay as they are.
TEST(LogitsProcessorTest, IdsOutsideTheVocabularyNeverMatch) {
  const std::vector<int64_t> none = {-1, 6, kHuge, -kHuge};
  LogitsProcessorList list;
  list.Add(*MinLengthLogitsProcessor::Create(99, none));
  list.Add(*MinNewTokensLengthLogitsProcessor::Create(0, 99, none));
  list.Add(ForcedEOSTokenLogitsProcessor(3, none));
  list.Add(ExponentialDecayLengthPenalty(0, 2, none, 0));
  list.Add(SuppressTokensLogitsProcessor(none));
  list.Add(SuppressTokensAtBeginLogitsProcessor(none, 2));
  list.Add(ForceTokensLogitsProcessor(std::map<int64_t, int64_t>{{2, 6}}));
  list.Add(*SequenceBiasLogitsProcessor::Create(
      {{{6}, 1.0}, {{1, 6}, 2.0}, {{kHuge, 2}, 3.0}}));
  list.Add(*NoBadWordsLogitsProcessor::Create({{6}, {1, kHuge}}, {}));
  EXPECT_TRUE(at::equal(*list.Process(Ids(1, 2), Scores(1)), Scores(1)));
  ForcedBOSTokenLogitsProcessor bos(6);
  EXPECT_TRUE(at::equal(*bos.Process(Ids(1, 1), Scores(1)), Scores(1)));
  // Where rows hold such ids, they are not banned, but nor do they crash.
  const at::Tensor ids = at::full({1, 3}, 6, at::kLong);
  EXPECT_TRUE(at::equal(
      *NoRepeatNGramLogitsProcessor::Create(1)->Process(ids, Scores(1)),
      Scores(1)));
  EXPECT_THAT(
      RepetitionPenaltyLogitsProcessor::Create(2)->Process(ids, Scores(1)),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("RepetitionPenaltyLogitsProcessor")));
}

TEST(LogitsProcessorTest, CallbacksMayFailOrAllowNothing) {
  absl::StatusOr<PrefixConstrainedLogitsProcessor> constrained =
      PrefixConstrainedLogitsProcessor::Create(
          [](int64_t batch,
             const at::Tensor&) -> absl::StatusOr<std::vector<int64_t>> {
            if (batch == 2) return absl::AbortedError("no");
            return batch == 0 ? std::vector<int64_t>{1, 6, -1}
                              : std::vector<int64_t>();
          },
          2);
  ASSERT_THAT(constrained, IsOk());
  absl::StatusOr<at::Tensor> out = constrained->Process(Ids(4, 2), Scores(4));
  ASSERT_THAT(out, IsOk());
  EXPECT_EQ(out->isfinite().sum().item().toLong(), 2);
  EXPECT_TRUE(at::equal(out->select(1, 1).narrow(0, 0, 2),
                        Scores(4).select(1, 1).narrow(0, 0, 2)));
  EXPECT_THAT(constrained->Process(Ids(6, 2), Scores(6)),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(constrained->Process(Ids(3, 2), Scores(3)),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(LogitsProcessorTest, RefusesInputsThatDoNotFit) {
  MinLengthLogitsProcessor one = *MinLengthLogitsProcessor::Create(9, {1});
  const auto is_bad = [](const char* message) {
    return StatusIs(
        absl::StatusCode::kInvalidArgument,
        AllOf(HasSubstr("MinLengthLogitsProcessor: "), HasSubstr(message)));
  };
  EXPECT_THAT(one.Process(Ids(2, 3), Scores(1)),
              is_bad("input_ids are Long[2, 3], but int64 [1, tokens]"));
  EXPECT_THAT(one.Process({}, Scores(1)), is_bad("input_ids are undefined"));
  EXPECT_THAT(one.Process(Ids(1, 3).to(at::kInt), Scores(1)), is_bad("Int"));
  EXPECT_THAT(one.Process(Ids(1, 3)[0], Scores(1)), is_bad("Long[3]"));
  EXPECT_THAT(one.Process(Ids(1, 3), Ids(1, 3)), is_bad("scores are Long"));
  EXPECT_THAT(one.Process(Ids(1, 3), {}), is_bad("scores are undefined"));
  EXPECT_THAT(one.Process(Ids(1, 3), Scores(1)[0]), is_bad("Float[6]"));
  EXPECT_THAT(one.Process(Ids(1, 3), Scores(1).narrow(1, 0, 0)),
              is_bad("Float[1, 0]"));
  absl::StatusOr<EncoderNoRepeatNGramLogitsProcessor> source =
      EncoderNoRepeatNGramLogitsProcessor::Create(1, Ids(2, 3));
  EXPECT_THAT(source->Process(Ids(3, 3), Scores(3)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("a multiple of the sources, 2")));
}

// As in generation/README.md.
TEST(LogitsProcessorTest, WorksAloneAsTheReadmeShows) {
  at::Tensor logits = at::tensor({1.0f, 4.0f, 2.0f, 3.0f}).unsqueeze(0);
  absl::StatusOr<TopKLogitsWarper> top_k = TopKLogitsWarper::Create(2);
  ASSERT_THAT(top_k, IsOk());
  absl::StatusOr<at::Tensor> kept = top_k->Process(/*input_ids=*/{}, logits);
  ASSERT_THAT(kept, IsOk());
  EXPECT_TRUE(at::equal(
      *kept, at::tensor({-INFINITY, 4.0f, -INFINITY, 3.0f}).unsqueeze(0)));
}

// Ends of sequence are never forbidden; where there is nothing else, nothing
// is.
TEST(LogitsProcessorTest, BadWordsThatAreAllEndsForbidNothing) {
  absl::StatusOr<NoBadWordsLogitsProcessor> processor =
      NoBadWordsLogitsProcessor::Create({{2}, {3}}, {3, 2});
  ASSERT_THAT(processor, IsOk());
  const at::Tensor scores = at::arange(10, at::dtype(at::kFloat)).view({2, 5});
  auto processed = processor->Process(at::full({2, 3}, 2, at::dtype(at::kLong)),
                                      scores.clone());
  ASSERT_THAT(processed, IsOk());
  EXPECT_TRUE(at::equal(*processed, scores));
}

}  // namespace
}  // namespace pretrained
