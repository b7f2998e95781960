#include "modeling/bert/bert_head_model.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/json_testutil.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

constexpr char kFolder[] = "testdata/bert_heads/";

using Model = std::shared_ptr<PretrainedModel>;

absl::StatusOr<Model> Load(const std::string& class_name,
                           const std::string& folder,
                           const FromPretrainedOptions& options = {}) {
  absl::StatusOr<const ModelClass*> model_class = FindModel(class_name);
  if (!model_class.ok()) return model_class.status();
  return LoadPretrained(**model_class, absl::StrCat(kFolder, folder), options);
}

at::Tensor TensorOf(PretrainedModel& model, absl::string_view name) {
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    if (slot.name == name) return slot.tensor;
  }
  ADD_FAILURE() << "no tensor " << name;
  return at::Tensor();
}

void ExpectTied(PretrainedModel& model, bool weights) {
  EXPECT_EQ(TensorOf(model, "bert.embeddings.word_embeddings.weight")
                .is_same(TensorOf(model, "cls.predictions.decoder.weight")),
            weights);
  EXPECT_TRUE(TensorOf(model, "cls.predictions.bias")
                  .is_same(TensorOf(model, "cls.predictions.decoder.bias")));
}

// Rows that both sizes have are kept, further biases are 0, and what was tied
// still is.
TEST(BertHeadModelTest, ResizingTakesTheOutputAlong) {
  for (const char* folder : {"masked", "lm", "pretraining", "masked_untied",
                             "lm_untied", "pretraining_untied"}) {
    SCOPED_TRACE(folder);
    const bool tied = !absl::EndsWith(folder, "_untied");
    const Json facts =
        ReadJsonFile(absl::StrCat(kFolder, folder, "/facts.json"));
    for (const int64_t tokens : {37, 19}) {
      absl::StatusOr<Model> model = Load(facts["class"], folder);
      ASSERT_THAT(model, IsOk());
      ExpectTied(**model, tied);
      const at::Tensor weight =
          TensorOf(**model, "cls.predictions.decoder.weight");
      const at::Tensor bias = TensorOf(**model, "cls.predictions.bias");
      ASSERT_THAT((*model)->ResizeTokenEmbeddings(tokens), IsOk());
      ExpectTied(**model, tied);
      const int64_t kept = std::min<int64_t>(tokens, 30);
      const at::Tensor new_weight =
          TensorOf(**model, "cls.predictions.decoder.weight");
      const at::Tensor new_bias = TensorOf(**model, "cls.predictions.bias");
      EXPECT_EQ(new_weight.sizes(), at::IntArrayRef({tokens, 16}));
      ASSERT_EQ(new_bias.sizes(), at::IntArrayRef({tokens}));
      EXPECT_TRUE(new_weight.requires_grad());
      EXPECT_TRUE(new_bias.requires_grad());
      EXPECT_TRUE(
          at::equal(new_weight.narrow(0, 0, kept), weight.narrow(0, 0, kept)));
      EXPECT_TRUE(
          at::equal(new_bias.narrow(0, 0, kept), bias.narrow(0, 0, kept)));
      if (tokens > kept) {
        EXPECT_TRUE(new_bias.narrow(0, kept, tokens - kept)
                        .eq(0)
                        .all()
                        .item()
                        .toBool());
      }
      // Ids up to the new size are taken, and scored.
      auto output = (*model)->Call(
          {{"input_ids", at::full({1, 3}, tokens - 1, at::kLong)}});
      ASSERT_THAT(output, IsOk());
      const char* logits = absl::StartsWith(folder, "pretraining")
                               ? "prediction_logits"
                               : "logits";
      EXPECT_EQ(output->find(logits)->size(2), tokens);
      EXPECT_THAT(
          (*model)->Call({{"input_ids", at::full({1, 3}, tokens, at::kLong)}}),
          StatusIs(absl::StatusCode::kInvalidArgument,
                   HasSubstr(absl::StrCat("vocab_size is ", tokens))));
    }
  }
}

// A copy, not a tie, for TorchScript; it follows the embeddings all the same.
TEST(BertHeadModelTest, ForTorchScriptTheMatrixIsACopy) {
  absl::StatusOr<Model> model =
      Load("BertForMaskedLM", "masked", {.kwargs = {{"torchscript", true}}});
  ASSERT_THAT(model, IsOk());
  for (const int64_t tokens : {30, 33}) {
    ASSERT_THAT((*model)->ResizeTokenEmbeddings(tokens), IsOk());
    ExpectTied(**model, false);
    EXPECT_TRUE(
        at::equal(TensorOf(**model, "bert.embeddings.word_embeddings.weight"),
                  TensorOf(**model, "cls.predictions.decoder.weight")));
  }
}

TEST(BertHeadModelTest, PruningIsRememberedByTheConfig) {
  absl::StatusOr<Model> model = Load("BertForTokenClassification", "token");
  ASSERT_THAT(model, IsOk());
  const int64_t before = (*model)->num_parameters();
  ASSERT_THAT((*model)->PruneHeads({{0, {1}}}), IsOk());
  // Three projections of 8 rows of 16 and a bias, and 8 columns of the output.
  EXPECT_EQ(before - (*model)->num_parameters(), 3 * 8 * 17 + 8 * 16);
  EXPECT_EQ((*model)->config().Get("pruned_heads").dump(), R"({"0":[1]})");
  EXPECT_THAT((*model)->PruneHeads({{0, {0}}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("would leave none")));
  EXPECT_THAT((*model)->PruneHeads({{1, {0}}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("layer 1 has no heads")));
  EXPECT_EQ((*model)->config().Get("pruned_heads").dump(), R"({"0":[1]})");
}

TEST(BertHeadModelTest, ResizingRefusesWhatIsNoSize) {
  absl::StatusOr<Model> model = Load("BertForMaskedLM", "masked");
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT((*model)->ResizeTokenEmbeddings(0),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT((*model)->ResizeTokenEmbeddings(5, 0),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("pad_to_multiple_of is 0")));
  EXPECT_EQ(*(*model)->config().GetInt("vocab_size"), 30);
  ASSERT_THAT((*model)->ResizeTokenEmbeddings(std::nullopt, 16), IsOk());
  EXPECT_EQ(*(*model)->config().GetInt("vocab_size"), 32);
  EXPECT_EQ(TensorOf(**model, "cls.predictions.decoder.bias").size(0), 32);
}

}  // namespace
}  // namespace pretrained
