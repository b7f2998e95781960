#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/json_testutil.h"
#include "modeling/loading_info.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"
#include "modeling/t5/t5_model.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::testing::IsEmpty;
using Json = nlohmann::ordered_json;

constexpr char kFolder[] = "testdata/t5/";

std::map<std::string, at::Tensor> TensorsOf(PretrainedModel& model) {
  std::map<std::string, at::Tensor> tensors;
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    tensors[slot.name] = slot.tensor;
  }
  return tensors;
}

absl::StatusOr<std::shared_ptr<PretrainedModel>> LoadCase(const Json& golden,
                                                          LoadingInfo& info) {
  auto model_class = FindModel(golden["class"].get<std::string>());
  if (!model_class.ok()) return model_class.status();
  FromPretrainedOptions options;
  options.kwargs = golden["config"];
  options.output_loading_info = &info;
  return LoadPretrained(**model_class,
                        kFolder + golden["model"].get<std::string>(), options);
}

TEST(T5LoadingTest, ReportsTheKeysThatThePeerReportsAndComputesTheSame) {
  const Json cases = ReadJsonFile(absl::StrCat(kFolder, "cases.json"))["cases"];
  int with_keys = 0;
  for (const Json& golden : cases) {
    SCOPED_TRACE(golden["name"].get<std::string>());
    LoadingInfo info;
    auto model = LoadCase(golden, info);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ(Json(info.missing_keys),
              golden.value("missing_keys", Json::array()));
    EXPECT_EQ(Json(info.unexpected_keys),
              golden.value("unexpected_keys", Json::array()));
    with_keys += golden.contains("unexpected_keys");
    const std::string io = kFolder + golden["io"].get<std::string>();
    auto output = (*model)->Call(ReadGolden(io, "in."));
    ASSERT_THAT(output, IsOk());
    const bool is_head = golden["class"] == "T5ForConditionalGeneration";
    const std::string name = is_head ? "logits" : "last_hidden_state";
    ASSERT_NE(output->find(name), nullptr);
    EXPECT_THAT(*output->find(name),
                IsCloseTo(ReadGolden(io, "out.").at(name),
                          golden["model"] == "gated" ? 1e-4 : 1e-5));
  }
  EXPECT_GE(with_keys, 3);
}

TEST(T5LoadingTest, HasTheFactsOfThePeer) {
  for (const char* name :
       {"T5ForConditionalGeneration", "T5ForConditionalGeneration-v1_1"}) {
    SCOPED_TRACE(name);
    const std::string folder = absl::StrCat("testdata/models/", name);
    const Json facts = ReadJsonFile(folder + "/facts.json");
    auto model = T5ForConditionalGeneration::FromPretrained(folder);
    ASSERT_THAT(model, IsOk());
    for (const bool trainable : {false, true}) {
      for (const bool no_embeddings : {false, true}) {
        const std::string key = absl::StrCat(
            "only_trainable=", trainable ? "True" : "False",
            ",exclude_embeddings=", no_embeddings ? "True" : "False");
        EXPECT_EQ(
            (*model)->num_parameters({.only_trainable = trainable,
                                      .exclude_embeddings = no_embeddings}),
            facts["num_parameters"][key].get<int64_t>())
            << key;
      }
    }
    EXPECT_EQ((*model)->get_memory_footprint(),
              facts["memory_footprint"]["return_buffers=True"].get<int64_t>());
    const NamedTensors inputs = ReadGolden(folder + "/io.safetensors", "in.");
    EXPECT_EQ((*model)->estimate_tokens(inputs),
              facts["estimate_tokens"].get<int64_t>());
    EXPECT_EQ(
        (*model)->floating_point_ops(inputs),
        facts["floating_point_ops"]["exclude_embeddings=True"].get<int64_t>());
    // What is tied is one tensor, and nothing else is.
    std::map<std::string, std::string> group_of;
    for (const Json& group : facts["tied_parameters"]) {
      for (const Json& member : group) group_of[member] = group[0];
    }
    const auto tensors = TensorsOf(**model);
    for (const auto& [one, tensor] : tensors) {
      for (const auto& [other, other_tensor] : tensors) {
        const bool want = one == other ||
                          (group_of.contains(one) && group_of.contains(other) &&
                           group_of[one] == group_of[other]);
        EXPECT_EQ(tensor.is_same(other_tensor), want) << one << " " << other;
      }
    }
  }
}

TEST(T5LoadingTest, Float16KeepsWoInFloat32) {
  FromPretrainedOptions options;
  options.torch_dtype = "float16";
  for (const char* folder : {"base", "gated"}) {
    auto model = T5ForConditionalGeneration::FromPretrained(
        absl::StrCat(kFolder, folder), options);
    ASSERT_THAT(model, IsOk());
    for (const auto& [name, tensor] : TensorsOf(**model)) {
      EXPECT_EQ(tensor.scalar_type(),
                absl::EndsWith(name, ".wo.weight") ? at::kFloat : at::kHalf)
          << name;
    }
    const at::Tensor ids = at::arange(1, 7, at::kLong).view({1, 6});
    auto output = (*model)->Forward({.input_ids = ids, .labels = ids},
                                    {.output_hidden_states = true});
    ASSERT_THAT(output, IsOk());
    EXPECT_EQ(output->logits.scalar_type(), at::kHalf);
    EXPECT_EQ(output->encoder_hidden_states[1].scalar_type(), at::kFloat);
  }
  options.torch_dtype = "bfloat16";
  auto model = T5Model::FromPretrained(absl::StrCat(kFolder, "base"), options);
  ASSERT_THAT(model, IsOk());
  for (const auto& [name, tensor] : TensorsOf(**model)) {
    EXPECT_EQ(tensor.scalar_type(), at::kBFloat16) << name;
  }
}

TEST(T5LoadingTest, AutoClassesMakeT5) {
  auto base = AutoModel::FromPretrained(absl::StrCat(kFolder, "base"));
  ASSERT_THAT(base, IsOk());
  EXPECT_EQ((*base)->class_name(), "T5Model");
  EXPECT_NE(dynamic_cast<T5Model*>(base->get()), nullptr);
}

// A checkpoint of the whole model holds a decoder, which an encoder ignores.
TEST(T5LoadingTest, AnEncoderLeavesTheDecoderOut) {
  LoadingInfo info;
  FromPretrainedOptions options;
  options.output_loading_info = &info;
  auto model =
      T5EncoderModel::FromPretrained(absl::StrCat(kFolder, "base"), options);
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(info.unexpected_keys, IsEmpty());
  EXPECT_THAT(info.missing_keys, IsEmpty());
}

}  // namespace
}  // namespace pretrained
