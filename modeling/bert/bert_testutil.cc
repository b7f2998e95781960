#include "modeling/bert/bert_testutil.h"

#include <cstdint>
#include <string>

#include "ATen/ATen.h"
#include "device_map/module_tree.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_layout.h"
#include "modeling/module.h"

namespace pretrained {

BertConfig TinyBertConfig() {
  BertConfig config;
  config.vocab_size = 30;
  config.hidden_size = 12;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 3;
  config.intermediate_size = 10;
  config.max_position_embeddings = 24;
  return config;
}

ModuleNode FirstLayerNode(const BertConfig& config) {
  const ModelLayout layout = BertModelLayout(config);
  return layout.tree.root.child("encoder").child("layer").child("0");
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
    if (slot.is_buffer) continue;
    at::Tensor tensor = slot.tensor;
    tensor.copy_(SomeNumbers(tensor.sizes(), start) * 0.5);
    start += 0.1;
  }
  module.ForEachModule(
      [](const std::string&, Module& each) { each.ComputeBuffers(at::kCPU); });
  module.eval();
}

}  // namespace pretrained
