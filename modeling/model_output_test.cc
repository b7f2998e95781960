#include "modeling/model_output.h"

#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::testing::ElementsAre;

TEST(ModelOutputTest, KeepsTheOrderAndNumbersTuplesFromZero) {
  ModelOutput output;
  output.Add("logits", at::ones({1}));
  output.Add("hidden_states",
             std::vector<at::Tensor>{at::ones({2}), at::ones({3})});
  output.Add("attentions", std::vector<at::Tensor>{});
  std::vector<std::string> names;
  for (const auto& [name, tensor] : output.fields) names.push_back(name);
  EXPECT_THAT(names,
              ElementsAre("logits", "hidden_states.0", "hidden_states.1"));
}

TEST(ModelOutputTest, LeavesOutWhatIsUndefined) {
  ModelOutput output;
  output.Add("loss", at::Tensor());
  output.Add("attentions",
             std::vector<at::Tensor>{at::Tensor(), at::ones({1})});
  ASSERT_EQ(output.fields.size(), 1u);
  EXPECT_EQ(output.fields[0].first, "attentions.1");
}

TEST(ModelOutputTest, FindsByWholeName) {
  ModelOutput output;
  const at::Tensor logits = at::ones({1});
  output.Add("logits", logits);
  ASSERT_NE(output.find("logits"), nullptr);
  EXPECT_TRUE(output.find("logits")->is_same(logits));
  EXPECT_EQ(output.find("logit"), nullptr);
  EXPECT_EQ(output.find(""), nullptr);
}

}  // namespace
}  // namespace pretrained
