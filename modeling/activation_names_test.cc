#include "modeling/activation_names.h"

#include <string>

#include "absl/algorithm/container.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

TEST(ActivationNamesTest, FindsEveryNameAndItsClass) {
  for (const ActivationName& activation : ActivationNames()) {
    const ActivationName* found = FindActivation(activation.name);
    ASSERT_NE(found, nullptr) << activation.name;
    EXPECT_EQ(found->class_name, activation.class_name);
    EXPECT_FALSE(found->class_name.empty());
  }
}

TEST(ActivationNamesTest, NamesAreSortedAndUnique) {
  const auto names = ActivationNames();
  for (size_t i = 1; i < names.size(); ++i) {
    EXPECT_LT(names[i - 1].name, names[i].name);
  }
}

TEST(ActivationNamesTest, ClassesAreThePeers) {
  EXPECT_EQ(FindActivation("gelu")->class_name, "GELUActivation");
  EXPECT_EQ(FindActivation("gelu_new")->class_name, "NewGELUActivation");
  EXPECT_EQ(FindActivation("swish")->class_name, "SiLUActivation");
  EXPECT_EQ(FindActivation("relu")->class_name, "ReLU");
  EXPECT_EQ(FindActivation("tanh")->class_name, "Tanh");
}

TEST(ActivationNamesTest, KnowsNoOthers) {
  for (const char* name : {"", "GELU", "gelu ", "swoosh", "gelu_"}) {
    EXPECT_EQ(FindActivation(name), nullptr) << name;
  }
}

TEST(ActivationNamesTest, ListNamesEveryOne) {
  const std::string list = ListActivations();
  EXPECT_THAT(list, ::testing::StartsWith("gelu, gelu_10, "));
  EXPECT_THAT(list, ::testing::EndsWith(", swish, tanh"));
  EXPECT_EQ(absl::c_count(list, ','), ActivationNames().size() - 1);
}

}  // namespace
}  // namespace pretrained
