#include "modeling/module.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ModuleNode ScaleNode(std::string name) {
  return {.name = std::move(name),
          .class_name = "Scale",
          .parameters = {{.name = "weight", .shape = {3}}},
          .buffers = {{.name = "ids",
                       .shape = {1, 3},
                       .dtype = Dtype::kInt64,
                       .persistent = false}}};
}

// x times weight.
class Scale : public CallableModule<OneTensor, OneTensor> {
 public:
  using CallableModule::CallableModule;

  void ComputeBuffers(at::Device device) override {
    SetOwnTensor(
        "ids", at::arange(3, at::dtype(at::kLong).device(device)).unsqueeze(0));
  }

  void Tie(at::Tensor tensor) { SetOwnTensor("weight", std::move(tensor)); }

 protected:
  OneTensor Forward(const OneTensor& input) override {
    return {input.value * parameter("weight")};
  }
};

ModuleNode RootNode() {
  return {.class_name = "Root",
          .children = {{.name = "layer",
                        .class_name = "ModuleList",
                        .children = {ScaleNode("0"), ScaleNode("1")}}}};
}

// Two scales one after the other.
class Root : public Module {
 public:
  Root(const ModuleNode& node, const ModuleOptions& options)
      : Module(node, options) {
    auto list = AddChild<Container>(node, "layer", options);
    first = list->Add<Scale>(node.child("layer"), "0", options);
    second = list->Add<Scale>(node.child("layer"), "1", options);
  }

  std::shared_ptr<Scale> first;
  std::shared_ptr<Scale> second;
};

std::shared_ptr<Root> MakeRoot(const ModuleOptions& options = {}) {
  return std::make_shared<Root>(RootNode(), options);
}

TEST(ModuleTest, StandsOnMetaWithShapesAndDtypesAndNoMemory) {
  const auto root = MakeRoot();
  std::vector<std::string> shown;
  for (const Module::NamedSlot& slot : root->TensorSlots()) {
    EXPECT_TRUE(slot.tensor.is_meta()) << slot.name;
    EXPECT_EQ(slot.tensor.const_data_ptr(), nullptr);
    EXPECT_EQ(slot.tensor.requires_grad(), !slot.is_buffer);
    EXPECT_EQ(slot.owner->class_name(), "Scale");
    shown.push_back(
        absl::StrCat(slot.name, ":", c10::toString(slot.tensor.scalar_type())));
  }
  EXPECT_THAT(shown, ElementsAre("layer.0.weight:Float", "layer.0.ids:Long",
                                 "layer.1.weight:Float", "layer.1.ids:Long"));
}

TEST(ModuleTest, TakesADtypeForFloatingTensorsAndADevice) {
  const auto root = MakeRoot({.device = at::kCPU, .dtype = at::kBFloat16});
  for (const Module::NamedSlot& slot : root->TensorSlots()) {
    EXPECT_TRUE(slot.tensor.is_cpu());
    EXPECT_EQ(slot.tensor.scalar_type(),
              slot.is_buffer ? at::kLong : at::kBFloat16);
  }
}

TEST(ModuleTest, VisitsModulesInPreOrderWithTheirPaths) {
  std::vector<std::string> shown;
  MakeRoot()->ForEachModule([&](const std::string& path, Module& module) {
    shown.push_back(absl::StrCat(path, ":", module.class_name()));
  });
  EXPECT_THAT(shown, ElementsAre(":Root", "layer:ModuleList", "layer.0:Scale",
                                 "layer.1:Scale"));
}

TEST(ModuleTest, ReplacesATensorWhereverTheModuleReadsIt) {
  const auto root = MakeRoot();
  const at::Tensor weight = at::full({3}, 2.0);
  ASSERT_THAT(root->ReplaceTensor("layer.1.weight", weight), IsOk());
  EXPECT_TRUE(root->second->parameter("weight").is_same(weight));
  EXPECT_TRUE(root->named_parameters()["layer.1.weight"].is_same(weight));
  EXPECT_TRUE(root->first->parameter("weight").is_meta());
  EXPECT_TRUE(
      at::equal(root->second->Call({at::ones({3})}).value, at::full({3}, 2.0)));
}

TEST(ModuleTest, ReplacingKeepsRequiresGradOnOrOff) {
  const auto root = MakeRoot();
  root->first->named_parameters()["weight"].set_requires_grad(false);
  ASSERT_THAT(root->ReplaceTensors({{"layer.0.weight", at::ones({3})},
                                    {"layer.1.weight", at::ones({3})}}),
              IsOk());
  EXPECT_FALSE(root->first->parameter("weight").requires_grad());
  EXPECT_TRUE(root->second->parameter("weight").requires_grad());
  EXPECT_TRUE(root->second->parameter("weight").is_leaf());
}

TEST(ModuleTest, AComputedReplacementBecomesALeaf) {
  const auto root = MakeRoot({.device = at::kCPU});
  at::Tensor source = at::ones({3}).set_requires_grad(true);
  ASSERT_THAT(root->ReplaceTensor("layer.0.weight", source * 2), IsOk());
  EXPECT_TRUE(root->first->parameter("weight").is_leaf());
  EXPECT_TRUE(root->first->parameter("weight").requires_grad());
}

TEST(ModuleTest, ReplacingOneTiedTensorReplacesAll) {
  const auto root = MakeRoot();
  root->second->Tie(root->first->parameter("weight"));
  const at::Tensor weight = at::ones({5});  // Another shape is allowed.
  ASSERT_THAT(root->ReplaceTensor("layer.1.weight", weight), IsOk());
  EXPECT_TRUE(root->first->parameter("weight").is_same(weight));
  EXPECT_TRUE(root->second->parameter("weight").is_same(weight));
}

TEST(ModuleTest, AnUnknownNameIsNotFoundAndChangesNothing) {
  const auto root = MakeRoot();
  for (const char* name :
       {"", "weight", "layer.2.weight", "layer.0.weights", "layer.0"}) {
    EXPECT_THAT(root->ReplaceTensors(
                    {{"layer.0.weight", at::ones({3})}, {name, at::ones({3})}}),
                StatusIs(absl::StatusCode::kNotFound,
                         HasSubstr(absl::StrCat(
                             "Root has no parameter or buffer '", name, "'"))));
    EXPECT_TRUE(root->first->parameter("weight").is_meta());
  }
}

TEST(ModuleTest, BuffersComputedOnTheCpuAreSeenByTorch) {
  const auto root = MakeRoot();
  root->ForEachModule([](const std::string&, Module& module) {
    module.ComputeBuffers(at::kCPU);
  });
  const at::Tensor ids = root->named_buffers()["layer.1.ids"];
  EXPECT_TRUE(ids.is_cpu());
  EXPECT_TRUE(at::equal(ids, at::arange(3, at::dtype(at::kLong)).unsqueeze(0)));
  EXPECT_TRUE(root->second->buffer("ids").is_same(ids));
  EXPECT_FALSE(ids.requires_grad());
}

TEST(ModuleTest, TorchsToMovesWhatWasReplaced) {
  const auto root = MakeRoot();
  ASSERT_THAT(root->ReplaceTensors({{"layer.0.weight", at::full({3}, 2.0)},
                                    {"layer.1.weight", at::full({3}, 3.0)},
                                    {"layer.0.ids", at::ones({1, 3})},
                                    {"layer.1.ids", at::ones({1, 3})}}),
              IsOk());
  root->to(at::kDouble);
  EXPECT_EQ(root->first->parameter("weight").scalar_type(), at::kDouble);
  EXPECT_EQ(root->first->buffer("ids").scalar_type(), at::kDouble);
  const at::Tensor x = at::ones({3}, at::kDouble);
  EXPECT_TRUE(at::equal(root->second->Call(root->first->Call({x})).value,
                        at::full({3}, 6.0, at::kDouble)));
}

TEST(ModuleTest, HasOnlyItsOwnParameters) {
  const auto root = MakeRoot();
  EXPECT_TRUE(root->first->has_parameter("weight"));
  EXPECT_FALSE(root->first->has_parameter("ids"));
  EXPECT_FALSE(root->has_parameter("weight"));
  EXPECT_DEATH(root->first->parameter("bias"), "Scale has no parameter bias");
  EXPECT_DEATH(root->first->buffer("weight"), "Scale has no buffer weight");
}

TEST(ModuleTest, TellsWhichBuffersTheStateDictHas) {
  ModuleNode node = ScaleNode("scale");
  node.buffers.push_back({.name = "mean", .shape = {3}});
  const auto scale = std::make_shared<Scale>(node, ModuleOptions{});
  EXPECT_FALSE(scale->is_persistent("ids"));
  EXPECT_TRUE(scale->is_persistent("mean"));
  ASSERT_THAT(scale->ReplaceTensor("ids", at::ones({1, 3})), IsOk());
  EXPECT_FALSE(scale->is_persistent("ids")) << "after replacing it";
  // As in torch, where nothing else is said.
  scale->register_buffer("own", at::zeros({1}));
  EXPECT_TRUE(scale->is_persistent("own"));
}

// Writes down when it runs, and adds to what passes.
class AddingHook : public ModuleHook {
 public:
  AddingHook(std::string name, double amount, std::vector<std::string>& log)
      : name_(std::move(name)), amount_(amount), log_(log) {}

  void PreForward(Module& module,
                  absl::Span<at::Tensor* const> arguments) override {
    log_.push_back(absl::StrCat("pre ", name_, " ", module.class_name()));
    for (at::Tensor* tensor : arguments) *tensor = *tensor + amount_;
  }
  void PostForward(Module&, absl::Span<at::Tensor* const> results) override {
    log_.push_back(absl::StrCat("post ", name_));
    for (at::Tensor* tensor : results) *tensor = *tensor * 10;
  }

 private:
  const std::string name_;
  const double amount_;
  std::vector<std::string>& log_;
};

TEST(ModuleTest, HooksRunAroundForwardOutsideInAndMayReplaceTensors) {
  const auto root = MakeRoot();
  ASSERT_THAT(root->ReplaceTensor("layer.0.weight", at::full({3}, 2.0)),
              IsOk());
  std::vector<std::string> log;
  root->first->AddHook(std::make_shared<AddingHook>("a", 1.0, log));
  root->first->AddHook(std::make_shared<AddingHook>("b", 3.0, log));
  EXPECT_TRUE(root->first->has_hooks());
  const at::Tensor x = at::zeros({3});
  // (0 + 1 + 3) * 2, times ten twice.
  EXPECT_TRUE(at::equal(root->first->Call({x}).value, at::full({3}, 800.0)));
  EXPECT_THAT(log,
              ElementsAre("pre a Scale", "pre b Scale", "post b", "post a"));
  EXPECT_TRUE(at::equal(x, at::zeros({3}))) << "the caller's tensor changed";
  root->first->RemoveHooks();
  EXPECT_FALSE(root->first->has_hooks());
  EXPECT_TRUE(at::equal(root->first->Call({x}).value, at::zeros({3})));
  EXPECT_EQ(log.size(), 4u);
}

TEST(ModuleTest, AHookIsTakenAwayAlone) {
  const auto root = MakeRoot();
  std::vector<std::string> log;
  const auto a = std::make_shared<AddingHook>("a", 1.0, log);
  const auto b = std::make_shared<AddingHook>("b", 3.0, log);
  root->first->AddHook(a);
  root->first->AddHook(b);
  EXPECT_TRUE(root->first->RemoveHook(a.get()));
  EXPECT_FALSE(root->first->RemoveHook(a.get()));
  EXPECT_THAT(root->first->hooks(), ElementsAre(b));
}

TEST(ModuleTest, HooksRunAroundModulesThatAreCalled) {
  const auto root = MakeRoot();
  EXPECT_TRUE(root->first->runs_hooks());
  EXPECT_FALSE(root->runs_hooks());
}

// Has a weight of its own during calls, and may refuse to begin one.
class LendingHook : public ModuleHook {
 public:
  explicit LendingHook(std::vector<std::string>& log) : log_(log) {}

  void PreForward(Module&, absl::Span<at::Tensor* const>) override {
    if (refuses) throw std::runtime_error("refused");
    lends_ = true;
  }
  void PostForward(Module&, absl::Span<at::Tensor* const>) override {
    lends_ = false;
    log_.push_back("post");
  }
  void AbandonForward(Module&) override {
    lends_ = false;
    log_.push_back("abandon");
  }
  const at::Tensor* FindParameter(const Module&,
                                  absl::string_view name) const override {
    return lends_ && name == "weight" ? &weight : nullptr;
  }

  at::Tensor weight = at::full({3}, 7.0);
  bool refuses = false;

 private:
  bool lends_ = false;
  std::vector<std::string>& log_;
};

TEST(ModuleTest, AHookMayLendParametersToACall) {
  const auto root = MakeRoot();  // On meta.
  std::vector<std::string> log;
  root->first->AddHook(std::make_shared<LendingHook>(log));
  EXPECT_TRUE(root->first->parameter("weight").is_meta());
  EXPECT_TRUE(
      at::equal(root->first->Call({at::ones({3})}).value, at::full({3}, 7.0)));
  EXPECT_TRUE(root->first->parameter("weight").is_meta());
  EXPECT_THAT(log, ElementsAre("post"));
}

TEST(ModuleTest, HooksThatBeganAreAbandonedWhereACallFails) {
  const auto root = MakeRoot();
  std::vector<std::string> log;
  root->first->AddHook(std::make_shared<LendingHook>(log));
  EXPECT_THROW(root->first->Call({at::ones({4})}), c10::Error) << "4 times 3";
  EXPECT_THAT(log, ElementsAre("abandon"));
  const auto refusing = std::make_shared<LendingHook>(log);
  refusing->refuses = true;
  root->first->AddHook(refusing);
  EXPECT_THROW(root->first->Call({at::ones({3})}), std::runtime_error);
  EXPECT_THAT(log, ElementsAre("abandon", "abandon")) << "of the first alone";
  refusing->refuses = false;
  root->first->Call({at::ones({3})});
  EXPECT_THAT(log, ElementsAre("abandon", "abandon", "post", "post"));
}

}  // namespace
}  // namespace pretrained
