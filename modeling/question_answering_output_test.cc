#include "modeling/question_answering_output.h"

#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/model_output.h"

namespace pretrained {
namespace {

using ::testing::ElementsAre;

TEST(QuestionAnsweringOutputTest, IsNamedAsThePeersFields) {
  QuestionAnsweringOutput output = AnswerOf(at::arange(12).reshape({2, 3, 2}));
  EXPECT_TRUE(at::equal(output.start_logits,
                        at::tensor({0, 2, 4, 6, 8, 10}).reshape({2, 3})));
  EXPECT_TRUE(at::equal(output.end_logits,
                        at::tensor({1, 3, 5, 7, 9, 11}).reshape({2, 3})));
  output.attentions = {at::ones({1})};
  std::vector<std::string> names;
  for (const auto& [name, tensor] : output.ToNamed().fields) {
    names.push_back(name);
  }
  EXPECT_THAT(names, ElementsAre("start_logits", "end_logits", "attentions.0"));
}

}  // namespace
}  // namespace pretrained
