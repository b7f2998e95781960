#include "generation/beam_search_scorer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "generation/generation_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/json_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;
using Ids = std::vector<int64_t>;

at::Tensor IdTensor(const Ids& ids) {
  return at::tensor(ids, at::dtype(at::kLong));
}

at::Tensor IdTable(const std::vector<Ids>& rows) {
  std::vector<at::Tensor> tensors;
  for (const Ids& row : rows) tensors.push_back(IdTensor(row));
  return at::stack(tensors);
}

at::Tensor Scores(const std::vector<double>& scores) {
  return at::tensor(scores, at::dtype(at::kDouble)).to(at::kFloat);
}

BeamSearchOptions OptionsOf(const Json& json) {
  BeamSearchOptions options;
  options.batch_size = json["batch_size"];
  options.num_beams = json["num_beams"];
  options.num_beam_groups = json["num_beam_groups"];
  options.length_penalty = json["length_penalty"];
  options.num_beam_hyps_to_keep = json["num_beam_hyps_to_keep"];
  options.max_length = json["max_length"].get<int64_t>();
  const Json& stopping = json["do_early_stopping"];
  options.early_stopping = stopping == "never" ? EarlyStopping::kNever
                           : stopping == true  ? EarlyStopping::kYes
                                               : EarlyStopping::kNo;
  return options;
}

// A search of beam_searches.json, played again: what the caller keeps.
struct Replay {
  explicit Replay(const Json& golden)
      : options(OptionsOf(golden["options"])),
        size(options.num_beams / options.num_beam_groups),
        ids(IdTable(golden["ids"].get<std::vector<Ids>>())),
        scores(at::zeros({ids.size(0)}, at::kFloat)),
        tokens(at::zeros({ids.size(0)}, at::kLong)),
        order(at::zeros({ids.size(0)}, at::kLong)),
        paths(ids.size(0)),
        with_paths(golden["with_beam_indices"].get<bool>()) {
    special.eos_token_ids = golden["eos"].get<Ids>();
    if (!golden["pad"].is_null()) special.pad_token_id = golden["pad"];
  }

  // The rows of a group.
  at::Tensor Rows(int64_t group) const {
    Ids rows;
    for (int64_t batch = 0; batch < options.batch_size; ++batch) {
      for (int64_t i = 0; i < size; ++i) {
        rows.push_back(batch * options.num_beams + group * size + i);
      }
    }
    return IdTensor(rows);
  }

  // All groups have chosen.
  void Append() {
    ids = at::cat({ids.index_select(0, order), tokens.unsqueeze(-1)}, -1);
    BeamIndices next;
    for (int64_t row = 0; row < ids.size(0); ++row) {
      const int64_t from = order[row].item().toLong();
      next.push_back(paths[from]);
      next.back().push_back(from);
    }
    paths = std::move(next);
  }

  BeamSearchOptions options;
  int64_t size;
  BeamTokens special;
  at::Tensor ids, scores, tokens, order;
  BeamIndices paths;
  bool with_paths;
};

absl::StatusOr<BeamStep> StepOf(const Json& step, const Replay& replay,
                                BeamSearchScorer& scorer) {
  const int64_t group = step["group"];
  return scorer.Process(replay.ids.index_select(0, replay.Rows(group)),
                        Scores(step["scores"].get<std::vector<double>>())
                            .view({replay.options.batch_size, -1}),
                        IdTable(step["tokens"].get<std::vector<Ids>>()),
                        IdTable(step["indices"].get<std::vector<Ids>>()),
                        replay.special,
                        replay.with_paths ? &replay.paths : nullptr, group);
}

// Whether the peer's result came, or an error where it has one.
void ExpectResult(const absl::StatusOr<BeamResult>& result,
                  const Json& golden) {
  if (golden.contains("raises")) {
    EXPECT_THAT(result, StatusIs(absl::StatusCode::kInvalidArgument));
    return;
  }
  ASSERT_THAT(result, IsOk());
  EXPECT_TRUE(at::equal(result->sequences,
                        IdTable(golden["sequences"].get<std::vector<Ids>>())))
      << result->sequences;
  EXPECT_TRUE(at::allclose(
      result->sequence_scores,
      Scores(golden["sequence_scores"].get<std::vector<double>>()), 1e-5, 1e-5))
      << result->sequence_scores;
  ASSERT_EQ(result->beam_indices.defined(), golden.contains("beam_indices"));
  if (!golden.contains("beam_indices")) return;
  EXPECT_TRUE(
      at::equal(result->beam_indices,
                IdTable(golden["beam_indices"].get<std::vector<Ids>>())))
      << result->beam_indices;
}

void PlayAgain(const Json& golden) {
  Replay replay(golden);
  absl::StatusOr<BeamSearchScorer> scorer =
      BeamSearchScorer::Create(replay.options);
  ASSERT_THAT(scorer, IsOk());
  for (const Json& step : golden["steps"]) {
    absl::StatusOr<BeamStep> next = StepOf(step, replay, *scorer);
    if (!step.contains("out")) {
      EXPECT_THAT(next, StatusIs(absl::StatusCode::kInvalidArgument));
      return;
    }
    ASSERT_THAT(next, IsOk());
    const Json& want = step["out"];
    const at::Tensor tokens = IdTensor(want["tokens"].get<Ids>());
    const at::Tensor indices = IdTensor(want["indices"].get<Ids>());
    ASSERT_TRUE(at::equal(next->next_beam_scores,
                          Scores(want["scores"].get<std::vector<double>>())));
    ASSERT_TRUE(at::equal(next->next_beam_tokens, tokens));
    ASSERT_TRUE(at::equal(next->next_beam_indices, indices));
    ASSERT_EQ(scorer->is_done(), want["is_done"].get<bool>());
    const at::Tensor rows = replay.Rows(step["group"]);
    replay.scores.index_put_({rows}, next->next_beam_scores);
    replay.tokens.index_put_({rows}, tokens);
    replay.order.index_put_({rows}, rows.index_select(0, indices));
    if (step["group"] == replay.options.num_beam_groups - 1) replay.Append();
  }
  ExpectResult(scorer->Finalize(replay.ids, replay.scores,
                                replay.options.max_length, replay.special,
                                replay.with_paths ? &replay.paths : nullptr),
               golden);
}

TEST(BeamSearchScorerTest, SearchesAsThePeer) {
  int searches = 0, refused = 0;
  for (const Json& golden : ReadJsonFile(CasesFile("beam_searches.json"))) {
    SCOPED_TRACE(
        absl::StrCat("search ", searches, ": ", golden["options"].dump()));
    PlayAgain(golden);
    if (HasFatalFailure()) return;
    ++searches;
    refused += golden.contains("raises");
  }
  EXPECT_GE(searches - refused, 30);
  EXPECT_GE(refused, 5);
}

BeamHypotheses Hypotheses(EarlyStopping stopping, double length_penalty = 1) {
  absl::StatusOr<BeamHypotheses> made =
      BeamHypotheses::Create(2, length_penalty, stopping, 10);
  EXPECT_THAT(made, IsOk());
  return *std::move(made);
}

TEST(BeamHypothesesTest, KeepsTheBestByLength) {
  BeamHypotheses kept = Hypotheses(EarlyStopping::kNo);
  EXPECT_EQ(kept.worst_score(), 1e9);
  const at::Tensor tokens = at::arange(4, at::kLong);
  kept.Add(tokens, -4);                  // -1
  kept.Add(tokens.narrow(0, 0, 2), -6);  // -3
  kept.Add(tokens.narrow(0, 0, 2), -8);  // -4: not kept
  EXPECT_EQ(kept.worst_score(), -3);
  kept.Add(tokens.narrow(0, 0, 1), -2, Ids{5});  // -2
  ASSERT_EQ(kept.size(), 2);
  EXPECT_EQ(kept.worst_score(), -2);
  EXPECT_EQ(kept.beams()[0].score, -1);
  EXPECT_THAT(*kept.beams()[1].beam_indices, ElementsAre(5));
  tokens.fill_(9);  // It has copies.
  EXPECT_EQ(kept.beams()[0].tokens[3].item().toLong(), 3);
}

TEST(BeamHypothesesTest, IsDoneByTheRule) {
  const at::Tensor tokens = at::zeros({2}, at::kLong);
  struct Rule {
    EarlyStopping stopping;
    double length_penalty;
    double best;
    bool done;
  };
  // The worst kept is -2 / 2^penalty; the running best has 4 tokens, and may
  // come to 10.
  for (const Rule& rule : std::vector<Rule>{
           {EarlyStopping::kYes, 1, 0, true},
           {EarlyStopping::kNo, 1, -4, true},
           {EarlyStopping::kNo, 1, -3.9, false},
           {EarlyStopping::kNever, 1, -4, false},
           {EarlyStopping::kNever, 1, -10, true},
           {EarlyStopping::kNever, 0, -2, true},
           {EarlyStopping::kNever, -1, -1, true},
           {EarlyStopping::kNever, -1, -0.9, false},
       }) {
    BeamHypotheses kept = Hypotheses(rule.stopping, rule.length_penalty);
    kept.Add(tokens, -1);
    EXPECT_FALSE(kept.IsDone(rule.best, 4));  // One is missing.
    kept.Add(tokens, -2);
    EXPECT_EQ(kept.IsDone(rule.best, 4), rule.done)
        << rule.length_penalty << " " << rule.best;
  }
}

TEST(BeamSearchScorerTest, RefusesOptionsThatMakeNoSearch) {
  const auto refused = [](auto change, const char* message) {
    BeamSearchOptions options;
    options.num_beams = 4;
    change(options);
    EXPECT_THAT(
        BeamSearchScorer::Create(options),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  };
  using Options = BeamSearchOptions;
  refused([](Options& o) { o.batch_size = 0; }, "'batch_size' is 0");
  refused([](Options& o) { o.num_beams = 1; }, "'num_beams' is 1");
  refused([](Options& o) { o.num_beam_groups = 3; }, "'num_beam_groups' is 3");
  refused([](Options& o) { o.num_beam_groups = 0; }, "'num_beam_groups' is 0");
  refused([](Options& o) { o.num_beam_hyps_to_keep = 5; }, "_keep' is 5");
  refused([](Options& o) { o.early_stopping = EarlyStopping::kNever; },
          "max_length");
}

TEST(BeamSearchScorerTest, RefusesInputsThatDoNotFit) {
  absl::StatusOr<BeamSearchScorer> scorer = BeamSearchScorer::Create({});
  ASSERT_THAT(scorer, IsOk());
  const at::Tensor ids = at::zeros({2, 3}, at::kLong);
  const at::Tensor scores = Scores({-1, -2, -3, -4}).unsqueeze(0);
  const at::Tensor tokens = IdTable({{5, 6, 7, 8}});
  const at::Tensor beams = IdTable({{0, 1, 0, 1}});
  const BeamTokens special{.pad_token_id = 0, .eos_token_ids = {5, 6, 7}};
  const auto is_bad = [](const char* message) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message));
  };
  EXPECT_THAT(scorer->Process(ids.narrow(0, 0, 1), scores, tokens, beams, {}),
              is_bad("input_ids is [1, 3]"));
  EXPECT_THAT(scorer->Process({}, scores, tokens, beams, {}),
              is_bad("input_ids is undefined"));
  EXPECT_THAT(scorer->Process(ids, tokens, tokens, beams, {}),
              is_bad("next_scores"));
  EXPECT_THAT(scorer->Process(ids, scores, tokens.narrow(1, 0, 3), beams, {}),
              is_bad("next_tokens"));
  EXPECT_THAT(scorer->Process(ids, scores, tokens, scores, {}),
              is_bad("next_indices"));
  EXPECT_THAT(scorer->Process(ids, scores, tokens, beams + 1, {}),
              is_bad("'next_indices' is 2"));
  EXPECT_THAT(scorer->Process(ids, scores, tokens, beams, {}, nullptr, 1),
              is_bad("'group_index' is 1"));
  const BeamIndices short_paths(1);
  EXPECT_THAT(scorer->Process(ids, scores, tokens, beams, {}, &short_paths),
              is_bad("beam_indices have 1"));
  EXPECT_THAT(scorer->Process(ids, scores, tokens, beams, special),
              is_bad("only 1 are no end of sequence"));
  EXPECT_THAT(scorer->Finalize(ids, scores, 10, special),
              is_bad("final_beam_scores"));
  EXPECT_THAT(scorer->Finalize(ids, Scores({-1, -2}), 2, special),
              is_bad("a hypothesis has 3 tokens, but 'max_length' is 2"));
}

// Where nothing ends a sequence and something else stops the search.
TEST(BeamSearchScorerTest, NeedsNoEndOfSequence) {
  absl::StatusOr<BeamSearchScorer> scorer = BeamSearchScorer::Create({});
  ASSERT_THAT(scorer, IsOk());
  const at::Tensor ids = IdTable({{1, 2, 3}, {1, 2, 4}});
  absl::StatusOr<BeamResult> result =
      scorer->Finalize(ids, Scores({-3, -1.5}), 10, {});
  ASSERT_THAT(result, IsOk());
  EXPECT_TRUE(at::equal(result->sequences, IdTable({{1, 2, 4}})));
  EXPECT_THAT(result->sequence_scores[0].item().toDouble(),
              DoubleNear(-0.5, 1e-6));
  EXPECT_FALSE(result->beam_indices.defined());
}

}  // namespace
}  // namespace pretrained
