// What every model says of itself, against facts.json of one model of each
// class, and what conversions make of it.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "c10/util/Exception.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/json_testutil.h"
#include "modeling/memory_hooks.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_bridge.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;
using ModelPtr = std::shared_ptr<PretrainedModel>;

constexpr char kModels[] = "testdata/models";

struct Golden {
  std::string folder;
  Json facts;
  ModelPtr model;
};

// One of each class; fails the test where one cannot be loaded.
std::vector<Golden> Models() {
  std::set<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(kModels)) {
    if (entry.is_directory()) folders.insert(entry.path().string());
  }
  EXPECT_EQ(folders.size(), 13u);
  std::vector<Golden> models;
  for (const std::string& folder : folders) {
    Golden golden{.folder = folder,
                  .facts = ReadJsonFile(folder + "/facts.json")};
    absl::StatusOr<ModelPtr> model = LoadPretrained(
        **FindModel(golden.facts["class"].get<std::string>()), folder);
    EXPECT_THAT(model, IsOk()) << folder;
    if (!model.ok()) continue;
    golden.model = *std::move(model);
    models.push_back(std::move(golden));
  }
  return models;
}

NamedTensors InputsOf(const Golden& golden) {
  return ReadGolden(golden.folder + "/io.safetensors", "in.");
}

TEST(ModelAttributesTest, AreThePeers) {
  for (const Golden& golden : Models()) {
    SCOPED_TRACE(golden.folder);
    const Json& facts = golden.facts;
    PretrainedModel& model = *golden.model;
    EXPECT_EQ(model.class_name(), facts["class"]);
    EXPECT_EQ(model.base_model_prefix(), facts["base_model_prefix"]);
    EXPECT_EQ(model.main_input_name(), facts["main_input_name"]);
    EXPECT_EQ(model.base_model().class_name(), facts["base_model_class"]);
    EXPECT_EQ(model.can_generate(), facts["can_generate"].get<bool>());
    EXPECT_EQ(model.framework(), facts["framework"].get<std::string>());
    EXPECT_EQ(model.is_parallelizable(),
              facts["is_parallelizable"].get<bool>());
    EXPECT_EQ(
        model.dtype(),
        ToScalarType(**ParseTorchDtype(facts["dtype"].get<std::string>())));
    EXPECT_TRUE(model.device().is_cpu());
    EXPECT_EQ(model.num_labels(), model.config().num_labels());
    EXPECT_EQ(model.config_class().model_type, model.config().model_type());
    EXPECT_EQ(model.generation_config().has_value(), model.can_generate());

    const NamedTensors dummies = model.dummy_inputs();
    EXPECT_EQ(dummies.size(), facts["dummy_inputs"].size());
    for (const auto& [name, rows] : facts["dummy_inputs"].items()) {
      const auto dummy = dummies.find(name);
      ASSERT_NE(dummy, dummies.end()) << name;
      Json got = Json::array();
      for (int64_t i = 0; i < dummy->second.size(0); ++i) {
        const at::Tensor row = dummy->second[i].contiguous();
        const int64_t* first = row.const_data_ptr<int64_t>();
        got.push_back(std::vector<int64_t>(first, first + row.numel()));
      }
      EXPECT_EQ(got, rows) << name;
    }
    EXPECT_THAT(model.Call(dummies), IsOk());
  }
}

TEST(ModelAttributesTest, WhatIsNotThereIsSaidClearly) {
  for (const Golden& golden : Models()) {
    EXPECT_THAT(golden.model->active_adapters(),
                StatusIs(absl::StatusCode::kUnimplemented,
                         AllOf(HasSubstr(golden.model->class_name()),
                               HasSubstr("PEFT"))));
    EXPECT_THAT(
        golden.model->LoadTfWeights("model.ckpt"),
        StatusIs(absl::StatusCode::kNotFound,
                 AllOf(HasSubstr("'model.ckpt'"), HasSubstr("TensorFlow"))));
  }
}

at::Tensor& Find(std::map<std::string, at::Tensor>& slots,
                 const std::string& name) {
  return slots.at(name);
}

// Ties, integer buffers and everything that is no tensor stay; the outputs stay
// close.
TEST(ModelAttributesTest, AWholeModelIsConvertedAndBack) {
  for (const Golden& golden : Models()) {
    SCOPED_TRACE(golden.folder);
    PretrainedModel& model = *golden.model;
    std::map<std::string, at::ScalarType> before;
    for (const Module::NamedSlot& slot : model.TensorSlots()) {
      before[slot.name] = slot.tensor.scalar_type();
    }
    const int64_t parameters = model.num_parameters();
    const auto check = [&](at::ScalarType dtype) {
      EXPECT_EQ(model.dtype(), dtype);
      std::map<std::string, at::Tensor> slots;
      for (const Module::NamedSlot& slot : model.TensorSlots()) {
        const bool floating = at::isFloatingType(before.at(slot.name));
        EXPECT_EQ(slot.tensor.scalar_type(),
                  floating ? dtype : before.at(slot.name))
            << slot.name;
        slots[slot.name] = slot.tensor;
      }
      for (const Json& group : golden.facts["tied_parameters"]) {
        for (const Json& name : group) {
          EXPECT_TRUE(Find(slots, name).is_same(Find(slots, group[0])));
        }
      }
      EXPECT_EQ(model.num_parameters(), parameters);
      EXPECT_EQ(model.generation_config().has_value(), model.can_generate());
    };
    ASSERT_THAT(model.Half(), IsOk());
    check(at::kHalf);
    ASSERT_THAT(model.BFloat16(), IsOk());
    check(at::kBFloat16);
    model.to(at::kDouble);
    check(at::kDouble);
    ASSERT_THAT(model.Float(), IsOk());
    check(at::kFloat);
    // float16 and bfloat16 cost bits of the weights.
    EXPECT_THAT(model.Call(InputsOf(golden)), IsOk());
  }
}

TEST(ModelAttributesTest, InDoubleItComputesWhatThePeerComputes) {
  for (const Golden& golden : Models()) {
    SCOPED_TRACE(golden.folder);
    ASSERT_THAT(golden.model->To({.dtype = at::kDouble}), IsOk());
    absl::StatusOr<ModelOutput> output =
        golden.model->Call(InputsOf(golden), {.output_attentions = true,
                                              .output_hidden_states = true,
                                              .use_cache = false});
    ASSERT_THAT(output, IsOk());
    const NamedTensors want =
        ReadGolden(golden.folder + "/io.safetensors", "out.");
    for (const auto& [name, tensor] : want) {
      const at::Tensor* got = output->find(name);
      ASSERT_NE(got, nullptr) << name;
      EXPECT_THAT(got->to(at::kFloat), IsCloseTo(tensor, 1e-4)) << name;
    }
  }
}

// Mapped from the file until it is converted.
TEST(ModelAttributesTest, MappedTensorsAreConverted) {
  const std::string folder = absl::StrCat(kModels, "/BertModel");
  const absl::StatusOr<ModelPtr> model =
      LoadPretrained(**FindModel("BertModel"), folder);
  ASSERT_THAT(model, IsOk());
  const std::string file = folder + "/model.safetensors";
  const auto first = [&] {  // Buffers are computed.
    for (const Module::NamedSlot& slot : (*model)->TensorSlots()) {
      if (!slot.is_buffer) return slot.tensor;
    }
    return at::Tensor();
  };
  ASSERT_TRUE(IsMappedFrom(first(), file));
  ASSERT_THAT((*model)->To({.device = at::kCPU}), IsOk());
  EXPECT_TRUE(IsMappedFrom(first(), file)) << "there was nothing to do";
  ASSERT_THAT((*model)->BFloat16(), IsOk());
  EXPECT_FALSE(IsMappedFrom(first(), file));
  EXPECT_TRUE(at::isfinite(first()).all().item<bool>());
}

TEST(ModelAttributesTest, TrainAndEvalReachEveryModule) {
  for (const Golden& golden : Models()) {
    for (const bool training : {true, false}) {
      golden.model->train(training);
      for (const auto& module : golden.model->modules()) {
        EXPECT_EQ(module->is_training(), training);
      }
    }
  }
}

TEST(ModelAttributesTest, ConversionsThatMakeNoSenseAreRefused) {
  const Golden golden = Models()[0];
  EXPECT_THAT(golden.model->To({.dtype = at::kInt}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("floating dtype")));
  EXPECT_THROW(golden.model->to(at::kInt), c10::Error);
  golden.model->to(at::kMeta);
  EXPECT_TRUE(golden.model->device().is_meta());
  EXPECT_THAT(golden.model->To({.device = at::kCPU}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

// The first floating parameter decides; a first parameter of integers does not.
TEST(ModelAttributesTest, TheDtypeIsThatOfTheFirstFloatingParameter) {
  const Golden golden = Models()[0];
  PretrainedModel& model = *golden.model;
  const std::vector<Module::NamedSlot> slots = model.TensorSlots();
  std::vector<std::string> parameters;
  for (const Module::NamedSlot& slot : slots) {
    if (!slot.is_buffer) parameters.push_back(slot.name);
  }
  const auto replace = [&](const std::string& name, at::ScalarType dtype) {
    for (const Module::NamedSlot& slot : model.TensorSlots()) {
      if (slot.name != name) continue;
      ASSERT_THAT(model.ReplaceTensor(
                      name, at::empty(slot.tensor.sizes(), at::dtype(dtype))),
                  IsOk());
      return;
    }
  };
  replace(parameters[0], at::kHalf);
  EXPECT_EQ(model.dtype(), at::kHalf);
  replace(parameters[1], at::kDouble);
  EXPECT_EQ(model.dtype(), at::kHalf);
  replace(parameters[0], at::kLong);
  EXPECT_EQ(model.dtype(), at::kDouble);
}

TEST(ModelAttributesTest, MemoryHooksAreKeptByTheModel) {
  for (const Golden& golden : Models()) {
    SCOPED_TRACE(golden.folder);
    PretrainedModel& model = *golden.model;
    EXPECT_EQ(model.memory_hooks(), nullptr);
    model.reset_memory_hooks_state();
    model.add_memory_hooks();
    model.add_memory_hooks();
    ASSERT_THAT(model.Call(InputsOf(golden)), IsOk());
    int64_t calls = 0;
    for (const ModuleMemory& memory : model.memory_hooks()->memory()) {
      calls += memory.calls;
      EXPECT_EQ(memory.mem_rss_pre_forward > 0, memory.calls > 0);
      EXPECT_EQ(memory.mem_rss_post_forward > 0, memory.calls > 0);
    }
    EXPECT_GT(calls, 10);
    model.reset_memory_hooks_state();
    for (const ModuleMemory& memory : model.memory_hooks()->memory()) {
      EXPECT_EQ(memory.calls, 0);
    }
  }
}

}  // namespace
}  // namespace pretrained
