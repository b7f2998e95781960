#include "modeling/t5/t5_testutil.h"

#include <cstdint>

#include "ATen/ATen.h"
#include "absl/status/statusor.h"
#include "device_map/module_tree.h"
#include "modeling/model_layout.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/t5/t5_config.h"
#include "modeling/t5/t5_layout.h"

namespace pretrained {

T5Config TinyT5Config() {
  T5Config config;
  config.vocab_size = 30;
  config.d_model = 10;
  config.d_kv = 4;
  config.d_ff = 9;
  config.num_heads = 3;
  config.num_layers = 2;
  config.num_decoder_layers = 2;
  config.relative_attention_num_buckets = 8;
  config.relative_attention_max_distance = 12;
  return config;
}

ModuleNode StackNode(const T5Config& config, bool is_decoder) {
  const absl::StatusOr<ModelLayout> layout =
      T5ModelLayout(PretrainedConfig(T5ConfigClass()), config);
  return layout->tree.root.child(is_decoder ? "decoder" : "encoder");
}

ModuleNode FirstBlockNode(const T5Config& config, bool is_decoder) {
  return StackNode(config, is_decoder).child("block").child("0");
}

at::Tensor SomeNumbers(at::IntArrayRef shape, double start) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return (at::arange(count) * 0.737 + start).sin().reshape(shape);
}

void FillParameters(Module& module) {
  at::NoGradGuard no_grad;
  double start = 0;
  for (const Module::NamedSlot& slot : module.TensorSlots()) {
    at::Tensor tensor = slot.tensor;
    tensor.copy_(SomeNumbers(tensor.sizes(), start) * 0.5);
    start += 0.1;
  }
  module.eval();
}

}  // namespace pretrained
