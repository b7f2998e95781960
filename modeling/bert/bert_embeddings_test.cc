#include "modeling/bert/bert_embeddings.h"

#include <memory>
#include <string>

#include "ATen/ATen.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_layout.h"
#include "modeling/bert/bert_testutil.h"
#include "modeling/module.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

constexpr double kTolerance = 1e-5;

std::shared_ptr<BertEmbeddings> Make(const std::string& position_type) {
  BertConfig config = TinyBertConfig();
  config.position_embedding_type = position_type;
  const ModelLayout layout = BertModelLayout(config);
  auto embeddings = std::make_shared<BertEmbeddings>(
      layout.tree.root.child("embeddings"), ModuleOptions{.device = at::kCPU},
      config);
  FillParameters(*embeddings);
  return embeddings;
}

at::Tensor Row(BertEmbeddings& embeddings, const std::string& table,
               const at::Tensor& ids) {
  return at::embedding(embeddings.named_parameters()[table + ".weight"], ids);
}

at::Tensor Normed(BertEmbeddings& embeddings, const at::Tensor& sum) {
  const auto parameters = embeddings.named_parameters();
  return at::layer_norm(sum, {12}, parameters["LayerNorm.weight"],
                        parameters["LayerNorm.bias"], 1e-12);
}

at::Tensor Ids() {
  return at::tensor({3, 0, 29, 7, 7, 1}, at::dtype(at::kLong)).reshape({2, 3});
}

TEST(BertEmbeddingsTest, BuffersCountPositionsAndAreAllTypeZero) {
  const auto embeddings = Make("absolute");
  const auto buffers = embeddings->named_buffers();
  EXPECT_TRUE(at::equal(buffers["position_ids"],
                        at::arange(24, at::dtype(at::kLong)).unsqueeze(0)));
  EXPECT_TRUE(at::equal(buffers["token_type_ids"],
                        at::zeros({1, 24}, at::dtype(at::kLong))));
}

TEST(BertEmbeddingsTest, SumsWordTypeAndPositionAndNormsThem) {
  const auto embeddings = Make("absolute");
  const at::Tensor types = at::tensor({0, 1, 1, 1, 0, 1}).reshape({2, 3});
  const at::Tensor positions = at::tensor({23, 4, 0}).reshape({1, 3});
  const at::Tensor want = Normed(
      *embeddings, Row(*embeddings, "word_embeddings", Ids()) +
                       Row(*embeddings, "token_type_embeddings", types) +
                       Row(*embeddings, "position_embeddings", positions));
  EXPECT_THAT(embeddings
                  ->Call({.input_ids = Ids(),
                          .token_type_ids = types,
                          .position_ids = positions})
                  .value,
              IsCloseTo(want, kTolerance));
}

TEST(BertEmbeddingsTest, WithoutIdsTypesAreZeroAndPositionsCountUp) {
  const auto embeddings = Make("absolute");
  const at::Tensor given =
      embeddings
          ->Call({.input_ids = Ids(),
                  .token_type_ids = at::zeros({2, 3}, at::dtype(at::kLong)),
                  .position_ids = at::arange(5, 8).unsqueeze(0)})
          .value;
  EXPECT_TRUE(at::equal(
      embeddings->Call({.input_ids = Ids(), .past_length = 5}).value, given));
}

TEST(BertEmbeddingsTest, TakesEmbeddingsInsteadOfIds) {
  const auto embeddings = Make("absolute");
  const at::Tensor embeds = embeddings->word_embeddings()(Ids());
  EXPECT_TRUE(at::equal(embeddings->Call({.inputs_embeds = embeds}).value,
                        embeddings->Call({.input_ids = Ids()}).value));
}

TEST(BertEmbeddingsTest, RelativePositionsAreNotAddedHere) {
  for (const char* type : {"relative_key", "relative_key_query"}) {
    const auto embeddings = Make(type);
    const at::Tensor zeros = at::zeros({2, 3}, at::dtype(at::kLong));
    const at::Tensor want = Normed(
        *embeddings, Row(*embeddings, "word_embeddings", Ids()) +
                         Row(*embeddings, "token_type_embeddings", zeros));
    EXPECT_THAT(embeddings
                    ->Call({.input_ids = Ids(),
                            .position_ids = at::arange(3).unsqueeze(0)})
                    .value,
                IsCloseTo(want, kTolerance));
  }
}

}  // namespace
}  // namespace pretrained
