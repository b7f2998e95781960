#include "modeling/gradient_checkpointing.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/base/log_severity.h"
#include "absl/log/scoped_mock_log.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/layers.h"
#include "modeling/layout_nodes.h"
#include "modeling/module.h"
#include "modeling/training_testutil.h"
#include "torch/csrc/autograd/autograd.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::_;
using ::testing::HasSubstr;

const ModuleOptions kOnCpu = {.device = at::kCPU};

struct Pair {
  at::Tensor x;
  at::Tensor mask = at::Tensor();  // May be undefined.

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(x);
    visit(mask);
  }
};

// dropout(tanh(x W + b)) + mask, `depth` times; hands the mask on.
class Block : public CheckpointedBlock<Pair, Pair> {
 public:
  explicit Block(int64_t depth, int64_t size = 4)
      : CheckpointedBlock(LinearNode("block", size, size), kOnCpu),
        depth_(depth) {
    at::NoGradGuard no_grad;
    for (at::Tensor& parameter : parameters()) parameter.normal_(0.0, 0.3);
  }

  bool throws = false;
  int64_t runs = 0;
  std::shared_ptr<Block> inner;

 protected:
  Pair Forward(const Pair& input) override {
    ++runs;
    if (throws) TORCH_CHECK(false, "as asked");
    at::Tensor x = input.x;
    for (int64_t i = 0; i < depth_; ++i) {
      x = at::linear(x, parameter("weight"), parameter("bias")).tanh();
      x = at::dropout(x, 0.5, is_training());
      if (input.mask.defined()) x = x + input.mask;
    }
    if (inner != nullptr) x = inner->Call({x, input.mask}).x;
    return {x, input.mask};
  }

 private:
  const int64_t depth_;
};

std::shared_ptr<Block> MakeBlock(int64_t depth = 2, int64_t size = 4) {
  at::manual_seed(3);
  return std::make_shared<Block>(depth, size);
}

// The gradients of x, the mask, weight and bias for a run with seed 5.
std::vector<at::Tensor> GradientsOf(Block& block) {
  at::manual_seed(4);
  at::Tensor x = at::randn({3, 4}).set_requires_grad(true);
  at::Tensor mask = at::randn({3, 4}).set_requires_grad(true);
  at::manual_seed(5);
  const Pair y = block.Call({x, mask});
  LossOf(y.x * y.mask).backward();
  std::vector<at::Tensor> gradients = {x.grad(), mask.grad()};
  for (auto& [name, gradient] : TakeGradients(block)) {
    gradients.push_back(gradient);
  }
  return gradients;
}

void ExpectSame(const std::vector<at::Tensor>& got,
                const std::vector<at::Tensor>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(got[i].defined() && want[i].defined()) << i;
    EXPECT_TRUE(at::allclose(got[i], want[i], 1e-6, 1e-7)) << i;
  }
}

TEST(GradientCheckpointingTest, GradientsAreTheSame) {
  std::shared_ptr<Block> block = MakeBlock();
  const std::vector<at::Tensor> want = GradientsOf(*block);
  EXPECT_EQ(block->runs, 1);
  block->set_checkpoints_gradients(true);
  ExpectSame(GradientsOf(*block), want);
  EXPECT_EQ(block->runs, 3);
}

TEST(GradientCheckpointingTest, BlocksMayHoldBlocks) {
  std::shared_ptr<Block> block = MakeBlock();
  block->inner = block->register_module("inner", MakeBlock(3));
  const std::vector<at::Tensor> want = GradientsOf(*block);
  block->set_checkpoints_gradients(true);
  block->inner->set_checkpoints_gradients(true);
  ExpectSame(GradientsOf(*block), want);
}

TEST(GradientCheckpointingTest, RandomNumbersGoOnAsIfNothingHappened) {
  std::shared_ptr<Block> block = MakeBlock();
  at::manual_seed(5);
  block->Call({at::ones({3, 4})});
  const at::Tensor want = at::rand({3});
  block->set_checkpoints_gradients(true);
  at::manual_seed(5);
  const Pair y = block->Call({at::ones({3, 4})});
  const at::Tensor after_forward = at::rand({3});
  EXPECT_TRUE(after_forward.equal(want));
  const at::Tensor next = at::rand({3});
  at::manual_seed(5);
  block->Call({at::ones({3, 4})});
  at::rand({3});
  y.x.sum().backward();
  EXPECT_TRUE(at::rand({3}).equal(next));
}

TEST(GradientCheckpointingTest, ResultsThatAreArgumentsStayThem) {
  std::shared_ptr<Block> block = MakeBlock();
  block->set_checkpoints_gradients(true);
  const at::Tensor mask = at::zeros({4});
  const Pair y = block->Call({at::ones({3, 4}), mask});
  EXPECT_TRUE(y.mask.is_same(mask));
  EXPECT_FALSE(y.mask.requires_grad());
}

TEST(GradientCheckpointingTest, NoArgumentNeedsToWantGradients) {
  std::shared_ptr<Block> block = MakeBlock();
  block->set_checkpoints_gradients(true);
  LossOf(block->Call({at::ones({3, 4})}).x).backward();
  EXPECT_TRUE(block->parameter("weight").grad().defined());
}

TEST(GradientCheckpointingTest, AutogradGradWorks) {
  std::shared_ptr<Block> block = MakeBlock();
  block->set_checkpoints_gradients(true);
  const at::Tensor x = at::ones({3, 4}).set_requires_grad(true);
  at::manual_seed(5);
  const auto got = torch::autograd::grad({LossOf(block->Call({x}).x)},
                                         {x, block->parameter("weight")});
  block->set_checkpoints_gradients(false);
  at::manual_seed(5);
  const auto want = torch::autograd::grad({LossOf(block->Call({x}).x)},
                                          {x, block->parameter("weight")});
  ExpectSame(got, want);
  EXPECT_FALSE(block->parameter("weight").grad().defined());
}

TEST(GradientCheckpointingTest, BackwardTwiceNeedsTheGraph) {
  std::shared_ptr<Block> block = MakeBlock();
  block->set_checkpoints_gradients(true);
  const at::Tensor loss = LossOf(block->Call({at::ones({3, 4})}).x);
  loss.backward({}, /*retain_graph=*/true);
  const at::Tensor once = block->parameter("weight").grad().clone();
  loss.backward();
  EXPECT_TRUE(
      at::allclose(block->parameter("weight").grad(), 2 * once, 1e-6, 1e-7));
  EXPECT_THROW(loss.backward(), c10::Error);
}

template <typename Work>
std::string ErrorOf(Work work) {
  try {
    work();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "";
}

TEST(GradientCheckpointingTest, RefusesWhatWouldBeWrong) {
  std::shared_ptr<Block> block = MakeBlock();
  block->set_checkpoints_gradients(true);
  const auto loss = [&] { return LossOf(block->Call({at::ones({3, 4})}).x); };
  at::Tensor of_graph = loss();
  EXPECT_THAT(ErrorOf([&] {
                of_graph.backward({}, /*retain_graph=*/true,
                                  /*create_graph=*/true);
              }),
              HasSubstr("second derivatives"));
  at::Tensor of_training = loss();
  block->eval();
  EXPECT_THAT(ErrorOf([&] { of_training.backward(); }), HasSubstr("eval mode"));
  block->train();
  at::Tensor of_old = loss();
  ASSERT_THAT(block->ReplaceTensor("bias", at::zeros({4})), IsOk());
  EXPECT_THAT(ErrorOf([&] { of_old.backward(); }), HasSubstr("replaced"));
  at::Tensor of_throwing = loss();
  block->throws = true;
  const at::Tensor before = at::rand({2});
  EXPECT_THAT(ErrorOf([&] { of_throwing.backward(); }), HasSubstr("as asked"));
  EXPECT_THAT(ErrorOf([&] { loss(); }), HasSubstr("as asked"));
  block->throws = false;
  LossOf(block->Call({at::ones({3, 4})}).x).backward();
}

TEST(GradientCheckpointingTest, RefusesOffloadedWeights) {
  std::shared_ptr<Block> block = MakeBlock();
  block->set_checkpoints_gradients(true);
  ASSERT_THAT(block->ReplaceTensor("weight", at::empty({4, 4}, at::kMeta)),
              IsOk());
  EXPECT_THAT(ErrorOf([&] {
                block->Call({at::ones({3, 4})});
              }),
              HasSubstr("offloaded"));
}

// Eight blocks of eight activations each: what is kept is one in eight, and
// the most that lives at once is a third.
TEST(GradientCheckpointingTest, KeepsArgumentsAlone) {
  constexpr int64_t kSize = 64;
  constexpr int64_t kRows = 512;
  std::vector<std::shared_ptr<Block>> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(MakeBlock(8, kSize));
  const auto measure = [&](int64_t& kept) {
    const MemoryCounter memory;
    at::Tensor x = at::ones({kRows, kSize});
    for (const auto& block : blocks) x = block->Call({x}).x;
    kept = memory.live_bytes();
    x.sum().backward();
    return memory.peak_bytes();
  };
  int64_t kept_plain = 0;
  const int64_t peak_plain = measure(kept_plain);
  for (const auto& block : blocks) block->set_checkpoints_gradients(true);
  int64_t kept = 0;
  const int64_t peak = measure(kept);
  EXPECT_GT(kept_plain, 64 * kRows * kSize * 4);
  EXPECT_LT(kept, kept_plain / 8);
  EXPECT_LT(peak, peak_plain / 3);
}

TEST(GradientCheckpointingTest, AModelWithoutBlocksIsRefused) {
  auto linear = std::make_shared<Linear>(LinearNode("x", 4, 3), kOnCpu);
  EXPECT_FALSE(SupportsGradientCheckpointing(*linear));
  EXPECT_THAT(EnableGradientCheckpointing(*linear),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("Linear")));
  std::shared_ptr<Block> block = MakeBlock();
  ASSERT_THAT(EnableGradientCheckpointing(*block), IsOk());
  EXPECT_TRUE(IsGradientCheckpointing(*block));
  DisableGradientCheckpointing(*block);
  EXPECT_FALSE(IsGradientCheckpointing(*block));
}

TEST(GradientCheckpointingTest, CachesAreForOtherTimes) {
  std::vector<std::shared_ptr<Block>> blocks = {MakeBlock()};
  EXPECT_TRUE(MayUseCache(true, blocks));
  blocks[0]->set_checkpoints_gradients(true);
  absl::ScopedMockLog log(absl::MockLogDefault::kDisallowUnexpected);
  EXPECT_CALL(log, Log(absl::LogSeverity::kWarning, _, HasSubstr("use_cache")))
      .Times(1);
  log.StartCapturingLogs();
  EXPECT_FALSE(MayUseCache(true, blocks));
  EXPECT_FALSE(MayUseCache(true, blocks));
  EXPECT_FALSE(MayUseCache(false, blocks));
  blocks[0]->eval();
  EXPECT_TRUE(MayUseCache(true, blocks));
  EXPECT_TRUE(MayUseCache(true, std::vector<std::shared_ptr<Block>>()));
}

}  // namespace
}  // namespace pretrained
