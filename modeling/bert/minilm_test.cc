// The real all-MiniLM-L6-v2, from its files to embeddings of sentences.

#include <string>

#include "ATen/ATen.h"
#include "absl/status/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bert/bert_model.h"
#include "modeling/loading_info.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::testing::IsEmpty;

constexpr char kModel[] = "../minilm/model";
constexpr char kInputs[] = "testdata/minilm/inputs.safetensors";
constexpr char kEmbeddings[] = "testdata/minilm/embeddings.safetensors";
constexpr double kTolerance = 1e-5;

// The mean of the tokens that `mask` keeps, scaled to length one.
at::Tensor SentenceEmbeddings(const at::Tensor& states,
                              const at::Tensor& mask) {
  const at::Tensor kept = mask.unsqueeze(-1).to(states.scalar_type());
  const at::Tensor mean = (states * kept).sum(1) / kept.sum(1);
  return mean / mean.norm(2, 1, /*keepdim=*/true);
}

TEST(MiniLmTest, EmbedsSentencesAsThePeerDoes) {
  LoadingInfo info;
  auto model =
      BertModel::FromPretrained(kModel, {.output_loading_info = &info});
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(info.missing_keys, IsEmpty());
  EXPECT_EQ((*model)->num_parameters(), 22713216);

  const NamedTensors inputs = ReadGolden(kInputs, "");
  const NamedTensors want = ReadGolden(kEmbeddings, "");
  auto output = (*model)->Call(inputs);
  ASSERT_THAT(output, IsOk());
  for (const char* name : {"last_hidden_state", "pooler_output"}) {
    const at::Tensor* got = output->find(name);
    ASSERT_NE(got, nullptr) << name;
    EXPECT_THAT(*got, IsCloseTo(want.at(name), kTolerance)) << name;
  }
  EXPECT_THAT(SentenceEmbeddings(*output->find("last_hidden_state"),
                                 inputs.at("attention_mask")),
              IsCloseTo(want.at("sentence_embeddings"), kTolerance));
}

TEST(MiniLmTest, IsMappedAndNotCopied) {
  auto model = BertModel::FromPretrained(kModel);
  ASSERT_THAT(model, IsOk());
  for (const Module::NamedSlot& slot : (*model)->TensorSlots()) {
    if (slot.is_buffer) continue;
    EXPECT_TRUE(
        IsMappedFrom(slot.tensor, std::string(kModel) + "/model.safetensors"))
        << slot.name;
  }
}

}  // namespace
}  // namespace pretrained
