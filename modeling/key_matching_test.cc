#include "modeling/key_matching.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Names = std::vector<std::string>;

// Tensors of one shape each.
std::vector<NamedShape> Tensors(const Names& names) {
  std::vector<NamedShape> tensors;
  for (const std::string& name : names) tensors.push_back({name, {2, 3}});
  return tensors;
}

KeyMatches Match(const std::vector<NamedShape>& model,
                 const std::vector<NamedShape>& checkpoint,
                 const KeyMatchingOptions& options) {
  absl::StatusOr<KeyMatches> matches = MatchKeys(model, checkpoint, options);
  EXPECT_THAT(matches, IsOk());
  return matches.ok() ? *std::move(matches) : KeyMatches();
}

// "model_name<-stored_name".
Names Matched(const KeyMatches& matches) {
  Names shown;
  for (const MatchedKey& key : matches.matched) {
    shown.push_back(absl::StrCat(key.model_name, "<-", key.stored_name));
  }
  return shown;
}

TEST(ModernKeyNameTest, RenamesAWholeLastPartOnly) {
  struct Renaming {
    const char* old_name;
    const char* name;
  };
  constexpr Renaming kRenamings[] = {
      {"LayerNorm.gamma", "LayerNorm.weight"},
      {"a.b.LayerNorm.beta", "a.b.LayerNorm.bias"},
      {"gamma", "weight"},
      {"beta", "bias"},
      {"layer.weight", "layer.weight"},
      {"gamma.weight", "gamma.weight"},
      {"betamax", "betamax"},
      {"layer.gammas", "layer.gammas"},
      {"alphabeta.bias", "alphabeta.bias"},
      {"", ""},
      {".", "."},
      {"x.", "x."},
  };
  for (const Renaming& renaming : kRenamings) {
    EXPECT_EQ(ModernKeyName(renaming.old_name), renaming.name);
  }
}

struct PrefixCase {
  const char* what;
  Names model;
  Names checkpoint;
  Names matched;
  Names missing;
  Names unexpected;
};

TEST(MatchKeysTest, GivesKeysTheBaseModelPrefixOrTakesIt) {
  const PrefixCase cases[] = {
      {"both without", {"a", "b"}, {"a", "b"}, {"a<-a", "b<-b"}, {}, {}},
      {"both with", {"bert.a"}, {"bert.a"}, {"bert.a<-bert.a"}, {}, {}},
      {"a head's checkpoint into the base model",
       {"a", "pooler"},
       {"bert.a", "cls.x"},
       {"a<-bert.a"},
       {"bert.pooler"},
       {"cls.x"}},
      {"the base model's checkpoint into a head's model",
       {"bert.a", "bert.b", "cls.x"},
       {"a", "c"},
       {"bert.a<-a"},
       {"b", "cls.x"},
       {"c"}},
      {"a head's checkpoint into another head's model",
       {"bert.a", "classifier"},
       {"bert.a", "cls.x"},
       {"bert.a<-bert.a"},
       {"classifier"},
       {"cls.x"}},
      {"a prefix nobody knows", {"a"}, {"module.a"}, {}, {"a"}, {"module.a"}},
      {"a prefix that only looks alike",
       {"a"},
       {"bertie.a"},
       {},
       {"a"},
       {"bertie.a"}},
      {"an empty checkpoint", {"b", "a"}, {}, {}, {"a", "b"}, {}},
      {"an empty model", {}, {"b", "a"}, {}, {}, {"a", "b"}},
  };
  for (const PrefixCase& test : cases) {
    SCOPED_TRACE(test.what);
    const KeyMatches matches =
        Match(Tensors(test.model), Tensors(test.checkpoint),
              {.base_model_prefix = "bert"});
    EXPECT_EQ(Matched(matches), test.matched);
    EXPECT_EQ(matches.missing, test.missing);
    EXPECT_EQ(matches.unexpected, test.unexpected);
    EXPECT_THAT(matches.mismatched, IsEmpty());
    EXPECT_EQ(matches.without_value.size(), test.missing.size());
  }
}

TEST(MatchKeysTest, WithoutAPrefixKeysAreComparedAsTheyAre) {
  const KeyMatches matches =
      Match(Tensors({"a"}), Tensors({"bert.a", ".a"}), {});
  EXPECT_THAT(matches.missing, ElementsAre("a"));
  EXPECT_THAT(matches.unexpected, ElementsAre(".a", "bert.a"));
}

TEST(MatchKeysTest, ReadsLegacyNamesAndReportsTodays) {
  const KeyMatches matches =
      Match(Tensors({"n.weight", "n.bias", "m.weight"}),
            Tensors({"n.gamma", "n.beta", "old.gamma"}), {});
  EXPECT_THAT(Matched(matches),
              ElementsAre("n.weight<-n.gamma", "n.bias<-n.beta"));
  EXPECT_THAT(matches.missing, ElementsAre("m.weight"));
  EXPECT_THAT(matches.unexpected, ElementsAre("old.weight"));
}

TEST(MatchKeysTest, OfBothSpellingsTodaysWinsInWhateverOrder) {
  for (const Names& stored :
       {Names{"n.gamma", "n.weight"}, Names{"n.weight", "n.gamma"}}) {
    const KeyMatches matches =
        Match(Tensors({"n.weight"}), Tensors(stored), {});
    EXPECT_THAT(Matched(matches), ElementsAre("n.weight<-n.weight"));
    EXPECT_THAT(matches.unexpected, IsEmpty());
  }
}

TEST(MatchKeysTest, LegacyNamesAndPrefixesGoTogether) {
  const KeyMatches matches =
      Match(Tensors({"n.weight"}), Tensors({"bert.n.gamma"}),
            {.base_model_prefix = "bert"});
  EXPECT_THAT(Matched(matches), ElementsAre("n.weight<-bert.n.gamma"));
}

TEST(MatchKeysTest, OtherShapesAreMismatchedAndGetNoValue) {
  const std::vector<NamedShape> model = {
      {"same", {2, 3}}, {"rows", {7, 3}}, {"rank", {6}}, {"scalar", {}}};
  const std::vector<NamedShape> checkpoint = {{"bert.scalar", {1}},
                                              {"bert.rank", {2, 3}},
                                              {"bert.rows", {2, 3}},
                                              {"bert.same", {2, 3}}};
  const KeyMatches matches =
      Match(model, checkpoint, {.base_model_prefix = "bert"});
  EXPECT_THAT(Matched(matches), ElementsAre("same<-bert.same"));
  ASSERT_EQ(matches.mismatched.size(), 3u);
  EXPECT_EQ(matches.mismatched[0].name, "bert.rows");
  EXPECT_THAT(matches.mismatched[0].checkpoint_shape, ElementsAre(2, 3));
  EXPECT_THAT(matches.mismatched[0].model_shape, ElementsAre(7, 3));
  EXPECT_EQ(matches.mismatched[1].name, "bert.rank");
  EXPECT_EQ(matches.mismatched[2].name, "bert.scalar");
  EXPECT_THAT(matches.without_value, ElementsAre("rows", "rank", "scalar"));
  EXPECT_THAT(matches.missing, IsEmpty());
  EXPECT_THAT(matches.unexpected, IsEmpty());
}

TEST(MatchKeysTest, OldBuffersAreIgnoredUnderTheCheckpointsName) {
  KeyMatchingOptions options{.base_model_prefix = "bert"};
  options.ignored_buffers = {"embeddings.position_ids"};
  for (const char* prefix : {"", "bert."}) {
    const KeyMatches matches =
        Match(Tensors({"a"}),
              Tensors({absl::StrCat(prefix, "a"),
                       absl::StrCat(prefix, "embeddings.position_ids"),
                       absl::StrCat(prefix, "other.position_ids")}),
              options);
    EXPECT_THAT(matches.missing, IsEmpty());
    EXPECT_THAT(matches.unexpected,
                ElementsAre(absl::StrCat(prefix, "other.position_ids")));
  }
}

TEST(MatchKeysTest, WhatIsTiedToSomethingStoredIsNotMissing) {
  const std::vector<NamedShape> model = Tensors({"bert.in", "out", "other"});
  KeyMatchingOptions options{.base_model_prefix = "bert",
                             .tied = {{"bert.in", "out"}}};
  for (const char* stored : {"bert.in", "out"}) {
    SCOPED_TRACE(stored);
    const KeyMatches matches =
        Match(model, Tensors({stored, "bert.x"}), options);
    EXPECT_THAT(matches.missing, ElementsAre("other"));
    EXPECT_THAT(matches.without_value, ElementsAre("other"));
  }
  const KeyMatches neither = Match(model, Tensors({"bert.x"}), options);
  EXPECT_THAT(neither.missing, ElementsAre("bert.in", "other", "out"));
  EXPECT_THAT(neither.without_value, ElementsAre("bert.in", "out", "other"));
}

TEST(MatchKeysTest, OfATieWhoseStoredShapeIsAnotherNothingIsDrawnTwice) {
  const KeyMatches matches =
      Match(Tensors({"in", "out"}), {{"in", {2, 3}}, {"out", {9, 9}}},
            {.tied = {{"in", "out"}}});
  ASSERT_EQ(matches.mismatched.size(), 1u);
  EXPECT_EQ(matches.mismatched[0].name, "out");
  EXPECT_THAT(matches.without_value, IsEmpty());
}

TEST(MatchKeysTest, IgnoredKeysAreNotReported) {
  const KeyMatches matches =
      Match(Tensors({"a.bias", "a.weight"}), Tensors({"a.ghost", "a.old.bias"}),
            {.ignore_missing = {R"(\.bias$)"}, .ignore_unexpected = {"old"}});
  EXPECT_THAT(matches.missing, ElementsAre("a.weight"));
  EXPECT_THAT(matches.unexpected, ElementsAre("a.ghost"));
  EXPECT_THAT(matches.without_value, ElementsAre("a.bias", "a.weight"));
  EXPECT_THAT(MatchKeys({}, {}, {.ignore_missing = {"("}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'('")));
}

TEST(MatchKeysTest, AnIndexDecidesWhatIsReported) {
  KeyMatchingOptions options;
  options.reported_keys = {"kept", "ghost", "promised"};
  const KeyMatches matches = Match(Tensors({"kept", "unlisted", "promised"}),
                                   Tensors({"kept", "unlisted"}), options);
  EXPECT_THAT(matches.missing, ElementsAre("unlisted"));
  EXPECT_THAT(matches.unexpected, ElementsAre("ghost"));
  EXPECT_THAT(Matched(matches), ElementsAre("kept<-kept", "unlisted<-unlisted"))
      << "what a shard holds is taken all the same";
  EXPECT_THAT(matches.absent_from_shards, ElementsAre("promised"));
}

TEST(MatchKeysTest, AHeadBesideABaseWithoutPrefixIsNoticed) {
  const KeyMatches matches =
      Match(Tensors({"bert.a", "classifier"}), Tensors({"a", "classifier"}),
            {.base_model_prefix = "bert"});
  EXPECT_EQ(matches.head_without_prefix, "classifier");
  EXPECT_EQ(Match(Tensors({"bert.a", "classifier"}), Tensors({"a", "b"}),
                  {.base_model_prefix = "bert"})
                .head_without_prefix,
            "");
}

// Every name of the model is matched, or without a value; every stored one
// taken, unexpected, or ignored: nothing is lost.
TEST(MatchKeysTest, EveryNameIsAccountedFor) {
  Names model;
  Names stored;
  for (int i = 0; i < 300; ++i) {
    if (i % 2 == 0) model.push_back(absl::StrCat("layer.", i));
    if (i % 3 == 0) stored.push_back(absl::StrCat("bert.layer.", i));
  }
  const KeyMatches matches =
      Match(Tensors(model), Tensors(stored), {.base_model_prefix = "bert"});
  EXPECT_EQ(matches.matched.size(), 50u);  // Multiples of six.
  EXPECT_EQ(matches.matched.size() + matches.without_value.size(),
            model.size());
  EXPECT_EQ(matches.matched.size() + matches.unexpected.size(), stored.size());
}

}  // namespace
}  // namespace pretrained
