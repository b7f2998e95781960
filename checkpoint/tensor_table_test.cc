#include "checkpoint/tensor_table.h"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "checkpoint/checkpoint.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Optional;

std::vector<TensorInfo> Named(const std::vector<std::string>& names) {
  std::vector<TensorInfo> tensors;
  for (const std::string& name : names) tensors.emplace_back().name = name;
  return tensors;
}

absl::StatusOr<TensorTable> Table(const std::vector<std::string>& names) {
  return TensorTable::Create(
      Named(names), [](const TensorInfo& a, const TensorInfo&) {
        return absl::DataLossError(absl::StrCat("twice: ", a.name));
      });
}

TEST(TensorTableTest, FindsByNameAlsoAfterAMove) {
  absl::StatusOr<TensorTable> made = Table({"wte.weight", "a b", ""});
  ASSERT_THAT(made, IsOk());
  const TensorTable table = *std::move(made);
  for (const TensorInfo& tensor : table.tensors()) {
    absl::StatusOr<const TensorInfo*> found = table.Find(tensor.name, "f");
    ASSERT_THAT(found, IsOk());
    EXPECT_EQ(*found, &tensor);
  }
}

TEST(TensorTableTest, RefusesANameThatOccursTwice) {
  EXPECT_THAT(Table({"a", "b", "a"}),
              StatusIs(absl::StatusCode::kDataLoss, "twice: a"));
}

TEST(TensorTableTest, SuggestsTheClosestNameForOneThatIsAbsent) {
  absl::StatusOr<TensorTable> table =
      Table({"wpe.weight", "wte.weight", "ln_f.weight"});
  ASSERT_THAT(table, IsOk());
  EXPECT_THAT(table->Find("wte.weihgt", "m.safetensors"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("m.safetensors: "),
                             HasSubstr("no tensor 'wte.weihgt' among its 3"),
                             HasSubstr("did you mean 'wte.weight'?"))));
  EXPECT_THAT(table->Find("something else", "m.safetensors"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("tensors()")));
}

TEST(ClosestNameTest, PrefersANameThatDiffersByAPrefix) {
  const std::vector<TensorInfo> tensors =
      Named({"pooler.dense.bias", "bert.encoder.layer.0.weight"});
  EXPECT_THAT(ClosestName("encoder.layer.0.weight", tensors),
              Optional(absl::string_view("bert.encoder.layer.0.weight")));
  EXPECT_THAT(ClosestName("model.bert.encoder.layer.0.weight", tensors),
              Optional(absl::string_view("bert.encoder.layer.0.weight")));
}

TEST(ClosestNameTest, FindsNoneAmongNone) {
  EXPECT_EQ(ClosestName("x", {}), std::nullopt);
}

// A hostile header may hold a million names, each of them near the one asked
// for.
TEST(ClosestNameTest, GivesUpInBoundedTime) {
  std::vector<TensorInfo> tensors(300'000);
  for (size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].name = absl::StrCat(std::string(240, 'x'), i);
  }
  const absl::Time start = absl::Now();
  ClosestName(std::string(240, 'x') + "aaaaaa", tensors);
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
}

}  // namespace
}  // namespace pretrained
