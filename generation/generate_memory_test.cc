// What is held while a text grows: the cache, which is made for the whole text
// or doubles, and nothing else that grows with it but the ids themselves.

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "c10/core/Allocator.h"
#include "c10/core/CPUAllocator.h"
#include "generation/generate.h"
#include "gtest/gtest.h"
#include "modeling/gpt2/gpt2_config.h"
#include "modeling/gpt2/gpt2_heads.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;

int64_t held_bytes = 0;  // By tensors. Generation allocates in one thread.

struct Block {
  void* data;
  int64_t bytes;
};

void Free(void* context) {
  auto* const block = static_cast<Block*>(context);
  held_bytes -= block->bytes;
  std::free(block->data);
  delete block;
}

class CountingAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    const size_t whole = (bytes + 64) / 64 * 64;
    auto* const block = new Block{.data = std::aligned_alloc(64, whole),
                                  .bytes = static_cast<int64_t>(bytes)};
    held_bytes += block->bytes;
    return {block->data, block, &Free, at::Device(at::kCPU)};
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};

TEST(GenerateMemoryTest, ATokenMoreTakesItsIdAlone) {
  static CountingAllocator allocator;
  c10::SetCPUAllocator(&allocator, /*priority=*/1);
  PretrainedConfig config(GPT2ConfigClass());
  config.Set("n_embd", 32);
  config.Set("n_head", 2);
  config.Set("n_layer", 3);
  config.Set("vocab_size", 70);
  config.Set("n_positions", 400);
  auto model = GPT2LMHeadModel::FromConfig(config, {.seed = 3});
  ASSERT_THAT(model, IsOk());
  const at::Tensor ids = at::ones({2, 4}, at::kLong);
  for (const bool masked : {false, true}) {
    NamedTensors inputs = {{"input_ids", ids}};
    if (masked) {
      inputs["attention_mask"] =
          at::tensor({0, 1, 1, 1, 1, 1, 1, 1}, at::kLong).view({2, 4});
    }
    std::vector<int64_t> held;
    GenerateOptions options = {
        .settings = {{"max_new_tokens", 300}, {"eos_token_id", nullptr}}};
    options.on_tokens = [&](const at::Tensor&) {
      held.push_back(held_bytes);
      return absl::OkStatus();
    };
    const int64_t before = held_bytes;
    ASSERT_THAT(Generate(**model, inputs, options), IsOk());
    ASSERT_EQ(held.size(), 300u);
    // Keys and values of all tokens, both rows, in float32.
    const int64_t cache = int64_t{3} * 2 * 2 * 32 * 4 * 304;
    int growths = 0;
    for (size_t i = 2; i < held.size(); ++i) {
      const int64_t grown = held[i] - held[i - 1];
      // The ids and, where there is one, the mask: a number for each row.
      if (grown > 4 * 2 * 8) ++growths;
    }
    EXPECT_LE(growths, 1);  // The cache, once from 260 on.
    EXPECT_LE(held.back() - before, 2 * cache);
    EXPECT_LE(held_bytes - before, 4096);  // The cache is gone.
  }
}

}  // namespace
}  // namespace pretrained
