#ifndef PRETRAINED_MODELING_BERT_BERT_TESTUTIL_H_
#define PRETRAINED_MODELING_BERT_BERT_TESTUTIL_H_

#include "ATen/core/Tensor.h"
#include "device_map/module_tree.h"
#include "modeling/bert/bert_config.h"
#include "modeling/module.h"

namespace pretrained {

// A BERT of three layers, three heads of four, 24 positions and 30 tokens.
BertConfig TinyBertConfig();

// The first layer's node of that config's layout.
ModuleNode FirstLayerNode(const BertConfig& config);

// Fills every parameter below `module`, which stands on the CPU, with numbers
// that differ from one another, the same in each run, and computes its buffers.
void FillParameters(Module& module);

// Numbers between -1 and 1 that differ from one another.
at::Tensor SomeNumbers(at::IntArrayRef shape, double start);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_TESTUTIL_H_
