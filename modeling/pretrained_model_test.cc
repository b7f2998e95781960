#include "modeling/pretrained_model.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/layers.h"
#include "modeling/layout_nodes.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/named_inputs.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

ModelLayout TinyLayout() {
  ModelLayout layout{.class_name = "TinyModel", .base_model_prefix = "tiny"};
  layout.tree.root.class_name = layout.class_name;
  layout.tree.root.children = {EmbeddingNode("embed", 10, 4),
                               LinearNode("head", 4, 10, /*bias=*/true)};
  return layout;
}

// An embedding and a projection whose weights are one tensor.
class TinyModel : public PretrainedModel {
 public:
  explicit TinyModel(const ModuleOptions& options)
      : PretrainedModel(PretrainedConfig({.model_type = "tiny"}), TinyLayout(),
                        options) {
    const ModuleNode& root = layout().tree.root;
    embed_ = AddChild<Embedding>(root, "embed", options);
    head_ = AddChild<TiedLinear>(root, "head", options);
    head_->Tie(embed_->parameter("weight"));
  }

  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions&) override {
    at::Tensor ids, mask;
    NamedInputs named(class_name(), inputs);
    named.Take("input_ids", ids);
    named.Take("mask", mask);
    absl::Status status = named.Finish();
    if (!status.ok()) return status;
    ModelOutput output;
    output.Add("logits", (*head_)((*embed_)(ids)));
    return output;
  }

  void InitializeTensor(const TensorToInitialize& target) const override {
    target.tensor.fill_(7.0);
  }

 protected:
  std::string InputEmbeddingsPath() const override { return "embed"; }

 private:
  class TiedLinear : public Linear {
   public:
    using Linear::Linear;
    void Tie(at::Tensor tensor) { SetOwnTensor("weight", std::move(tensor)); }
  };

  std::shared_ptr<Embedding> embed_;
  std::shared_ptr<TiedLinear> head_;
};

std::shared_ptr<TinyModel> MakeModel(const ModuleOptions& options = {}) {
  return std::make_shared<TinyModel>(options);
}

TEST(PretrainedModelTest, CountsTiedTensorsOnce) {
  const auto model = MakeModel();
  EXPECT_EQ(model->num_parameters(), 40 + 10);
  EXPECT_EQ(model->num_parameters({.exclude_embeddings = true}), 10);
  EXPECT_EQ(model->get_memory_footprint(), 50 * 4);
  EXPECT_EQ(MakeModel({.dtype = at::kHalf})->get_memory_footprint(), 50 * 2);
}

TEST(PretrainedModelTest, SaysWhatAndWhereItIs) {
  const auto model = MakeModel({.device = at::kCPU, .dtype = at::kBFloat16});
  EXPECT_EQ(model->class_name(), "TinyModel");
  EXPECT_EQ(model->dtype(), at::kBFloat16);
  EXPECT_TRUE(model->device().is_cpu());
  EXPECT_TRUE(MakeModel()->device().is_meta());
  EXPECT_EQ(model->layout().base_model_prefix, "tiny");
  EXPECT_THAT(model->hf_device_map(), ElementsAre(Pair("", "cpu")));
}

TEST(PretrainedModelTest, CountsTheElementsOfItsMainInputAsTokens) {
  const auto model = MakeModel();
  const NamedTensors inputs = {
      {"input_ids", at::zeros({3, 5}, at::dtype(at::kLong))}};
  EXPECT_EQ(model->estimate_tokens(inputs), 15);
  EXPECT_EQ(model->floating_point_ops(inputs), 6 * 15 * 10);
  EXPECT_EQ(model->floating_point_ops(inputs, /*exclude_embeddings=*/false),
            6 * 15 * 50);
  EXPECT_EQ(model->estimate_tokens({{"mask", at::zeros({3, 5})}}), 0);
}

TEST(PretrainedModelTest, NamesTheInputItDoesNotKnowAndThoseItDoes) {
  EXPECT_THAT(MakeModel()->Call({{"ids", at::zeros({1})}}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("TinyModel has no input 'ids'"),
                             HasSubstr("input_ids, mask"))));
}

TEST(PretrainedModelTest, ResizingFollowsInTiedTensorsAndTheConfig) {
  const auto model = MakeModel({.device = at::kCPU});
  ASSERT_THAT(model->ResizeTokenEmbeddings(13), IsOk());
  EXPECT_THAT(model->config().GetInt("vocab_size"), IsOkAndHolds(13));
  for (const Module::NamedSlot& slot : model->TensorSlots()) {
    if (slot.name == "head.bias") continue;
    EXPECT_EQ(slot.tensor.size(0), 13) << slot.name;
    EXPECT_TRUE(at::equal(slot.tensor.narrow(0, 10, 3), at::full({3, 4}, 7.0)));
  }
  EXPECT_EQ(model->num_parameters(), 13 * 4 + 10) << "no longer tied";
}

TEST(PretrainedModelTest, HooksAndRequiresGradSurviveResizing) {
  class Counting : public ModuleHook {
   public:
    explicit Counting(int& calls) : calls_(calls) {}
    void PreForward(Module&, absl::Span<at::Tensor* const>) override {
      ++calls_;
    }

   private:
    int& calls_;
  };
  const auto model = MakeModel({.device = at::kCPU, .dtype = at::kBFloat16});
  int calls = 0;
  model->get_input_embeddings()->AddHook(std::make_shared<Counting>(calls));
  at::Tensor(model->get_input_embeddings()->parameter("weight"))
      .set_requires_grad(false);
  ASSERT_THAT(model->ResizeTokenEmbeddings(13, 8), IsOk());
  const at::Tensor& weight = model->get_input_embeddings()->parameter("weight");
  EXPECT_EQ(weight.size(0), 16);
  EXPECT_EQ(weight.scalar_type(), at::kBFloat16);
  EXPECT_FALSE(weight.requires_grad());
  auto* embedding = dynamic_cast<Embedding*>(model->get_input_embeddings());
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ((*embedding)(at::full({1, 2}, 15, at::kLong)).size(2), 4);
  EXPECT_EQ(calls, 1);
}

TEST(PretrainedModelTest, AFamilyWithoutPositionsSaysSo) {
  EXPECT_EQ(MakeModel()->get_position_embeddings(), nullptr);
  EXPECT_EQ(MakeModel()->get_output_embeddings(), nullptr);
  EXPECT_THAT(MakeModel()->ResizePositionEmbeddings(5),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("TinyModel does not resize position")));
}

TEST(PretrainedModelTest, AFamilyWithoutPruningSaysSo) {
  EXPECT_THAT(MakeModel()->PruneHeads({{0, {1}}}),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("TinyModel does not prune heads")));
}

}  // namespace
}  // namespace pretrained
