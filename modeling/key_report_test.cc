#include "modeling/key_report.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/log/scoped_mock_log.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::ManyTensors;
using checkpoint_testing::SafetensorsFileWith;
using checkpoint_testing::WriteTestFile;
using ::testing::_;
using ::testing::AllOf;
using ::testing::HasSubstr;

const ModelLayout& Layout() {
  static const auto* const layout =
      new ModelLayout{.class_name = "BertModel", .base_model_prefix = "bert"};
  return *layout;
}

std::unique_ptr<Checkpoint> FiveTensors() {
  const std::string path =
      WriteTestFile("five.safetensors", SafetensorsFileWith(ManyTensors(5)));
  return *OpenCheckpoint(path);
}

TEST(CheckKeyMatchesTest, NothingInCommonShowsBothSides) {
  const auto checkpoint = FiveTensors();
  const std::string stored = checkpoint->tensors()[0].name;
  EXPECT_THAT(
      CheckKeyMatches(Layout(), *checkpoint,
                      {.missing = {"embeddings.w", "pooler.b"}}, false),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr("five.safetensors"), HasSubstr("5 tensors"),
                     HasSubstr("BertModel"), HasSubstr("'embeddings.w'"),
                     HasSubstr("prefix 'bert.'"), HasSubstr(stored),
                     HasSubstr("check that config"))));
}

TEST(CheckKeyMatchesTest, EveryOtherShapeIsListed) {
  const auto checkpoint = FiveTensors();
  const KeyMatches matches = {
      .mismatched = {{"a", {2, 3}, {7, 3}}, {"b", {}, {1}}}};
  EXPECT_THAT(
      CheckKeyMatches(Layout(), *checkpoint, matches, false),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("2 tensors"),
                     HasSubstr("'a': [2, 3] in the checkpoint, [7, 3] in"),
                     HasSubstr("'b': [] in the checkpoint, [1] in"),
                     HasSubstr("ignore_mismatched_sizes"))));
  EXPECT_THAT(CheckKeyMatches(Layout(), *checkpoint, matches, true), IsOk());
}

TEST(CheckKeyMatchesTest, WronglyMadeCheckpointsAreRefused) {
  const auto checkpoint = FiveTensors();
  const std::vector<MatchedKey> some = {{"a", "a"}};
  EXPECT_THAT(
      CheckKeyMatches(Layout(), *checkpoint,
                      {.matched = some, .head_without_prefix = "classifier.w"},
                      true),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr("'classifier.w'"), HasSubstr("'bert.'"))));
  EXPECT_THAT(
      CheckKeyMatches(Layout(), *checkpoint,
                      {.matched = some, .absent_from_shards = {"x.y"}}, true),
      StatusIs(absl::StatusCode::kDataLoss,
               AllOf(HasSubstr("'x.y'"), HasSubstr("no shard"))));
}

TEST(WarnAboutKeysTest, WarnsOnceOfEachKind) {
  absl::ScopedMockLog log;
  EXPECT_CALL(log, Log(absl::LogSeverity::kWarning, _,
                       AllOf(HasSubstr("does not use"), HasSubstr("cls.x"))));
  EXPECT_CALL(log, Log(absl::LogSeverity::kWarning, _,
                       AllOf(HasSubstr("drawn at random"), HasSubstr("p.w"),
                             HasSubstr("c [2] instead of [7]"))));
  log.StartCapturingLogs();
  WarnAboutKeys(Layout(), {.missing_keys = {"p.w"},
                           .unexpected_keys = {"cls.x"},
                           .mismatched_keys = {{"c", {2}, {7}}}});
  WarnAboutKeys(Layout(), {});
}

}  // namespace
}  // namespace pretrained
