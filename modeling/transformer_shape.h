#ifndef PRETRAINED_MODELING_TRANSFORMER_SHAPE_H_
#define PRETRAINED_MODELING_TRANSFORMER_SHAPE_H_

#include <optional>

#include "device_map/memory_estimator.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// What the sizes of a model's activations follow from, of any family: read from
// the attributes that families have in common, under the names that they have
// for them. nullopt if the config lacks hidden_size, num_hidden_layers or
// num_attention_heads.
std::optional<TransformerShape> TransformerShapeOf(
    const PretrainedConfig& config, const ModelLayout& layout);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_TRANSFORMER_SHAPE_H_
