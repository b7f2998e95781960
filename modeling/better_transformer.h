#ifndef PRETRAINED_MODELING_BETTER_TRANSFORMER_H_
#define PRETRAINED_MODELING_BETTER_TRANSFORMER_H_

#include "absl/status/status.h"
#include "modeling/module.h"

namespace pretrained {

// BetterTransformer: attention by LibTorch's one fused kernel, always.
//
//   absl::Status status = ToBetterTransformer(*model);
//   ..                                    // faster training with dropout
//   status = ReverseBetterTransformer(*model);   // before saving it
//
// A model as it was loaded uses the kernel too, wherever nobody can tell
// (attention.h): without dropout, a head mask and attentions as output. One
// that is converted uses it in every case, dropout included, and refuses what
// the kernel has no answer to, head_mask and output_attentions, as
// kInvalidArgument. Outputs are the same up to rounding.
//
// Matches: transformers 4.34 `to_bettertransformer`, that is, optimum 1.13
//     `BetterTransformer.transform`: in place (keep_original_model=False).
// Differs: every family here can be converted, Mistral too; rows of padding
//     alone, float32 positions of half models and the like stay as they were.

// What the attention modules of all families derive from, beside Module.
class FusableAttention {
 public:
  virtual ~FusableAttention() = default;

  bool is_always_fused() const { return is_always_fused_; }
  void set_always_fused(bool value) { is_always_fused_ = value; }

 private:
  bool is_always_fused_ = false;
};

// Whether attention of `model`, or of a part of it, is converted.
bool IsBetterTransformer(Module& model);

// Converts a model.
//   kFailedPrecondition  it is converted already
//   kUnimplemented       it has no attention to convert
absl::Status ToBetterTransformer(Module& model);

// Undoes that; kFailedPrecondition if there is nothing to undo.
absl::Status ReverseBetterTransformer(Module& model);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BETTER_TRANSFORMER_H_
