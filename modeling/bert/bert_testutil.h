#ifndef PRETRAINED_MODELING_BERT_BERT_TESTUTIL_H_
#define PRETRAINED_MODELING_BERT_BERT_TESTUTIL_H_

#include "ATen/core/Tensor.h"
#include "device_map/module_tree.h"
#include "modeling/bert/bert_config.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"

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

// The largest |got - want| / (1 + |want|) of what `half`, a model of a half
// dtype, makes of `inputs`, where `want` is what `full` does: the same class in
// float32, which is given the weights of `half`. Infinite where outputs differ
// in their names, are of another dtype than the model's, or NaN.
double HalfError(PretrainedModel& half, PretrainedModel& full,
                 const NamedTensors& inputs, const ForwardOptions& options);

// What HalfError() may come to. In float16 2e-2. bfloat16 keeps eight bits of a
// number, and the golden weights are redrawn so that states are steep: the peer
// itself gets up to 4.2e-2 with them (BertForMaskedLM of testdata/models).
inline constexpr double kFloat16Error = 2e-2;
inline constexpr double kBfloat16Error = 6e-2;
// In either, with weights as a new model has them.
inline constexpr double kNewModelHalfError = 2e-2;

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_TESTUTIL_H_
