#ifndef PRETRAINED_MODELING_T5_T5_TESTUTIL_H_
#define PRETRAINED_MODELING_T5_T5_TESTUTIL_H_

#include "ATen/core/Tensor.h"
#include "device_map/module_tree.h"
#include "modeling/module.h"
#include "modeling/t5/t5_config.h"

namespace pretrained {

// A T5 of two layers, three heads of four and 30 tokens, whose hidden size is
// not what its heads fill: 10.
T5Config TinyT5Config();

// The encoder, or the decoder, in that config's layout.
ModuleNode StackNode(const T5Config& config, bool is_decoder);

// Block 0 of the encoder, or of the decoder, in that config's layout.
ModuleNode FirstBlockNode(const T5Config& config, bool is_decoder);

// Fills every parameter below `module`, which stands on the CPU, with numbers
// that differ from one another, the same in each run; eval mode.
void FillParameters(Module& module);

// Numbers between -1 and 1 that differ from one another.
at::Tensor SomeNumbers(at::IntArrayRef shape, double start);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_T5_T5_TESTUTIL_H_
