// One model out of every form of checkpoint.

#include <string>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bert/bert_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/loading_info.h"
#include "modeling/model_output.h"
#include "modeling/module.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::WriteTestFile;
using ::testing::HasSubstr;

constexpr char kBase[] = "testdata/bert/base";

NamedTensors StateDictOfModel(BertModel& model) {
  NamedTensors state;
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    if (!slot.is_buffer) state.emplace(slot.name, slot.tensor.detach());
  }
  return state;
}

// One model, saved by the peer in every format that PyTorch has.
TEST(FromPretrainedFormatsTest, EveryFormatGivesTheSameWeights) {
  const std::string formats = "testdata/formats/BertForMaskedLM/";
  LoadingInfo info;
  auto golden = BertModel::FromPretrained(formats + "safetensors",
                                          {.output_loading_info = &info});
  ASSERT_THAT(golden, IsOk());
  NamedTensors want = StateDictOfModel(**golden);
  // The checkpoint, of BertForMaskedLM, has no pooler.
  ASSERT_EQ(info.missing_keys.size(), 2);
  EXPECT_EQ(want.erase("pooler.dense.weight"), 1);
  EXPECT_EQ(want.erase("pooler.dense.bias"), 1);
  EXPECT_EQ(want.size(), 37);
  for (const char* format :
       {"bin", "bin-legacy", "bin-sharded", "safetensors-sharded"}) {
    SCOPED_TRACE(format);
    auto model = BertModel::FromPretrained(formats + format,
                                           {.output_loading_info = &info});
    ASSERT_THAT(model, IsOk());
    // In legacy files tensors lie where no dtype is aligned.
    EXPECT_EQ(info.engine,
              format == std::string("bin-legacy") ? "buffered" : "mapped");
    const NamedTensors state = StateDictOfModel(**model);
    for (const auto& [name, tensor] : want) {
      EXPECT_TRUE(at::equal(state.at(name), tensor)) << name;
    }
  }
}

TEST(FromPretrainedFormatsTest, TakesConfigAndWeightsOfASubfolder) {
  const std::string folder = MakeTestFolder("outer");
  MakeTestFolder("outer/unet");
  MakeTestFolder("outer/unet/inner");
  for (const char* name : {"/config.json", "/model.safetensors"}) {
    WriteTestFile(std::string("outer/unet/inner") + name,
                  ReadTestFile(std::string(kBase) + name));
  }
  auto model = BertModel::FromPretrained(folder, {.subfolder = "unet/inner"});
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ((*model)->num_parameters(), 23392);
  EXPECT_THAT(BertModel::FromPretrained(folder, {.subfolder = "absent"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
  EXPECT_THAT(BertModel::FromPretrained(folder),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace pretrained
