#include "modeling/memory_hooks.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/layers.h"
#include "modeling/layout_nodes.h"
#include "modeling/module.h"

namespace pretrained {
namespace {

using ::testing::ElementsAre;

constexpr int64_t kMiB = 1 << 20;
// What the test itself and the allocator may take beside.
constexpr int64_t kSlack = 8 * kMiB;

ModuleNode Node() {
  return {.class_name = "Root",
          .children = {{.name = "keeps", .class_name = "Keeps"},
                       LinearNode("linear", 2, 2)}};
}

// Keeps as many MiB as its input says, which it really writes to.
class Keeps : public CallableModule<OneTensor, OneTensor> {
 public:
  using CallableModule::CallableModule;

 protected:
  OneTensor Forward(const OneTensor& input) override {
    const int64_t bytes = input.value.item<int64_t>() * kMiB;
    kept_.push_back(at::ones({bytes}, at::dtype(at::kByte)));
    return input;
  }

 private:
  std::vector<at::Tensor> kept_;
};

class Root : public CallableModule<OneTensor, OneTensor> {
 public:
  explicit Root(const ModuleNode& node = Node())
      : CallableModule(node, {.device = at::kCPU}),
        keeps_(AddChild<Keeps>(node, "keeps", {.device = at::kCPU})),
        linear_(AddChild<Linear>(node, "linear", {.device = at::kCPU})) {}

  Keeps& keeps() { return *keeps_; }

 protected:
  OneTensor Forward(const OneTensor& input) override {
    return keeps_->Call(input);
  }

 private:
  std::shared_ptr<Keeps> keeps_;
  std::shared_ptr<Linear> linear_;
};

OneTensor MiB(int64_t count) { return {at::scalar_tensor(count, at::kLong)}; }

TEST(MemoryHooksTest, ResidentBytesRiseWithWhatIsWritten) {
  at::ones({2}, at::dtype(at::kByte));  // Reads LibTorch's own pages.
  const int64_t before = ResidentBytes();
  EXPECT_GT(before, kMiB);
  const at::Tensor block = at::ones({64 * kMiB}, at::dtype(at::kByte));
  EXPECT_NEAR(ResidentBytes() - before, 64 * kMiB, kSlack);
}

TEST(MemoryHooksTest, TellsWhichModuleGrew) {
  const auto root = std::make_shared<Root>();
  const MemoryHooks hooks(*root);
  root->Call(MiB(64));
  std::vector<std::string> paths;
  for (const ModuleMemory& memory : hooks.memory()) {
    paths.push_back(memory.path + ":" + memory.class_name);
  }
  EXPECT_THAT(paths, ElementsAre(":Root", "keeps:Keeps", "linear:Linear"));
  for (const char* path : {"", "keeps"}) {
    const ModuleMemory* memory = hooks.find(path);
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(memory->calls, 1);
    EXPECT_NEAR(memory->mem_rss_diff, 64 * kMiB, kSlack) << path;
    EXPECT_GT(memory->mem_rss_pre_forward, 0);
    EXPECT_EQ(memory->mem_rss_post_forward - memory->mem_rss_pre_forward,
              memory->mem_rss_diff);
  }
  EXPECT_EQ(hooks.find("linear")->calls, 0);
  EXPECT_EQ(hooks.find("linear")->mem_rss_diff, 0);
  EXPECT_EQ(hooks.find("absent"), nullptr);
}

TEST(MemoryHooksTest, GrowthAddsUpUntilItIsReset) {
  const auto root = std::make_shared<Root>();
  MemoryHooks hooks(*root);
  root->Call(MiB(32));
  root->Call(MiB(48));
  const ModuleMemory* memory = hooks.find("keeps");
  EXPECT_EQ(memory->calls, 2);
  EXPECT_NEAR(memory->mem_rss_diff, 80 * kMiB, kSlack);
  EXPECT_NEAR(memory->mem_rss_post_forward - memory->mem_rss_pre_forward,
              48 * kMiB, kSlack);
  hooks.Reset();
  for (const ModuleMemory& zero : hooks.memory()) {
    EXPECT_EQ(zero.mem_rss_diff, 0);
    EXPECT_EQ(zero.mem_rss_pre_forward, 0);
    EXPECT_EQ(zero.mem_rss_post_forward, 0);
    EXPECT_EQ(zero.calls, 0);
  }
  EXPECT_EQ(hooks.find("keeps")->class_name, "Keeps");
  root->Call(MiB(32));
  EXPECT_NEAR(hooks.find("keeps")->mem_rss_diff, 32 * kMiB, kSlack);
}

TEST(MemoryHooksTest, TakesItsHooksAwayAndNoOthers) {
  const auto root = std::make_shared<Root>();
  const auto other = std::make_shared<ModuleHook>();
  root->keeps().AddHook(other);
  {
    const MemoryHooks hooks(*root);
    EXPECT_TRUE(root->has_hooks());
  }
  EXPECT_FALSE(root->has_hooks());
  EXPECT_TRUE(root->keeps().has_hooks());
  EXPECT_TRUE(root->keeps().RemoveHook(other.get()));
  EXPECT_FALSE(root->keeps().RemoveHook(other.get()));
  EXPECT_FALSE(root->keeps().has_hooks());
}

TEST(MemoryHooksTest, TwoRecordingsAreApart) {
  const auto root = std::make_shared<Root>();
  const MemoryHooks first(*root);
  root->Call(MiB(16));
  const MemoryHooks second(*root);
  root->Call(MiB(32));
  EXPECT_EQ(first.find("")->calls, 2);
  EXPECT_EQ(second.find("")->calls, 1);
  EXPECT_NEAR(second.find("")->mem_rss_diff, 32 * kMiB, kSlack);
}

TEST(MemoryHooksTest, MayOutliveTheModel) {
  auto root = std::make_shared<Root>();
  const MemoryHooks hooks(*root);
  root->Call(MiB(1));
  root.reset();
  EXPECT_EQ(hooks.find("")->calls, 1);
}

}  // namespace
}  // namespace pretrained
