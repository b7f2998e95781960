#include "checkpoint/variant_name.h"

#include "gtest/gtest.h"

namespace pretrained {
namespace {

// Each as `_add_variant` of transformers 4.34.0 answers.
TEST(VariantNameTest, GoesBeforeTheExtension) {
  EXPECT_EQ(AddVariant("model.safetensors", "fp16"), "model.fp16.safetensors");
  EXPECT_EQ(AddVariant("model.safetensors.index.json", "fp16"),
            "model.safetensors.index.fp16.json");
  EXPECT_EQ(AddVariant("pytorch_model.bin", "8bit.v2"),
            "pytorch_model.8bit.v2.bin");
  EXPECT_EQ(AddVariant("weights", "fp16"), "fp16.weights");
}

TEST(VariantNameTest, IsTheNameItselfWithoutAVariant) {
  EXPECT_EQ(AddVariant("model.safetensors", ""), "model.safetensors");
}

}  // namespace
}  // namespace pretrained
