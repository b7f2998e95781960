#include "modeling/meta_kernels.h"

#include <cstdint>
#include <functional>
#include <vector>

#include "ATen/ATen.h"
#include "c10/core/InferenceMode.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using Tensors = std::vector<at::Tensor>;
using Function = std::function<Tensors(const Tensors&)>;

at::Tensor Of(at::IntArrayRef shape, at::ScalarType type = at::kFloat) {
  return at::ones(shape, at::dtype(type));
}

struct Call {
  const char* name;
  Tensors inputs;
  Function run;
};

// Shapes and dtypes are what the CPU gives.
TEST(MetaKernelsTest, MakeWhatIsComputedElsewhere) {
  RegisterMetaKernels();
  RegisterMetaKernels();
  const std::vector<Call> calls = {
      {"index_select",
       {Of({4, 3}, at::kHalf), Of({5}, at::kLong)},
       [](const Tensors& t) {
         return Tensors{at::index_select(t[0], 0, t[1] * 0),
                        at::index_select(t[0], -1, t[1] * 0)};
       }},
      {"embedding",
       {Of({4, 3}), Of({2, 5}, at::kLong)},
       [](const Tensors& t) { return Tensors{at::embedding(t[0], t[1])}; }},
      {"where",
       {Of({2, 1, 3}, at::kBool), Of({4, 1}, at::kHalf), Of({}, at::kFloat)},
       [](const Tensors& t) {
         return Tensors{at::where(t[0], t[1], t[2]),
                        at::where(t[0], t[1], t[1])};
       }},
      {"flip",
       {Of({2, 3})},
       [](const Tensors& t) { return Tensors{at::flip(t[0], {1})}; }},
      {"relu",
       {Of({2, 3}, at::kBFloat16)},
       [](const Tensors& t) { return Tensors{at::relu(t[0])}; }},
      {"layer_norm",
       {Of({4, 2, 3}), Of({3})},
       [](const Tensors& t) {
         const auto [result, mean, scale] =
             at::native_layer_norm(t[0], {3}, t[1], t[1], 1e-5);
         return Tensors{result, mean, scale, at::layer_norm(t[0], {2, 3})};
       }},
      {"log_sigmoid",
       {Of({2, 3})},
       [](const Tensors& t) { return Tensors{at::log_sigmoid(t[0])}; }},
      {"native_dropout",
       {Of({2, 3}, at::kHalf)},
       [](const Tensors& t) {
         const auto [result, kept] = at::native_dropout(t[0], 0.5, true);
         return Tensors{result, kept};
       }},
      {"rsub",
       {Of({2, 3}), Of({3})},
       [](const Tensors& t) {
         return Tensors{at::rsub(t[0], t[1]), at::rsub(t[0], 1.0)};
       }},
  };
  c10::InferenceMode no_gradients;
  for (const Call& call : calls) {
    SCOPED_TRACE(call.name);
    Tensors on_meta;
    for (const at::Tensor& input : call.inputs) {
      on_meta.push_back(input.to(at::kMeta));
    }
    const Tensors want = call.run(call.inputs);
    const Tensors got = call.run(on_meta);
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_TRUE(got[i].is_meta());
      EXPECT_EQ(got[i].sizes(), want[i].sizes());
      EXPECT_EQ(got[i].scalar_type(), want[i].scalar_type());
    }
  }
}

}  // namespace
}  // namespace pretrained
