#ifndef PRETRAINED_MODELING_ROTARY_OPTIONS_H_
#define PRETRAINED_MODELING_ROTARY_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// Which angles rotary position embeddings (RoPE) turn queries and keys by: pair
// i of `dim` / 2 turns by position * base^(-2i / dim).
struct RotaryOptions {
  enum class Scaling {
    kNone,
    kLinear,   // Positions are divided by `factor`.
    kDynamic,  // `base` grows with the longest sequence that the model has
               // seen, once that is over max_positions (NTK).
  };

  int64_t dim = 0;  // Of each head, the part that turns; even.
  double base = 10000.0;
  int64_t max_positions = 2048;  // Rows of the tables that a new model has.
  Scaling scaling = Scaling::kNone;
  double factor = 1.0;  // Of the scaling.
  // GPT-NeoX: inv_freq is stored in checkpoints, and the tables are no buffers
  // and stay in float32, so that half queries and keys become float32.
  bool stores_frequencies = false;
};

// Reads the config's `rope_scaling`, null or {"type": "linear" or "dynamic",
// "factor": a float above 1}, into `scaling` and `factor`. kInvalidArgument for
// anything else; 2 is no float there, 2.0 is.
// Matches: transformers 4.34 `LlamaConfig._rope_scaling_validation`.
absl::Status ReadRopeScaling(const PretrainedConfig& config,
                             RotaryOptions& options);

// The module that holds the tables (rotary.h): its non-persistent buffers
// inv_freq [dim / 2], cos_cached and sin_cached [1, 1, max_positions, dim]; or
// its persistent buffer inv_freq alone, where frequencies are stored.
//   class_prefix  before "RotaryEmbedding": "Llama" makes
//                 LlamaRotaryEmbedding, LlamaLinearScalingRotaryEmbedding or
//                 LlamaDynamicNTKScalingRotaryEmbedding
ModuleNode RotaryNode(std::string name, absl::string_view class_prefix,
                      const RotaryOptions& options);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_ROTARY_OPTIONS_H_
