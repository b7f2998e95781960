#ifndef PRETRAINED_MODELING_KEY_REPORT_H_
#define PRETRAINED_MODELING_KEY_REPORT_H_

#include "absl/status/status.h"
#include "checkpoint/checkpoint.h"
#include "modeling/key_matching.h"
#include "modeling/loading_info.h"
#include "modeling/model_layout.h"

namespace pretrained {

// What users are told about the keys of a checkpoint.

// An error when the keys say that this is not the model's checkpoint:
//   kFailedPrecondition  none of its tensors belongs to the model, with the
//                        prefix that was expected and an example of each; or
//                        the base model's lack their prefix where a head's
//                        stand beside them
//   kDataLoss            a tensor of the model that the index names is in no
//                        shard
//   kInvalidArgument     tensors of another shape, each listed, unless
//                        `ignore_mismatched_sizes`
// A checkpoint without any tensor contradicts nothing.
absl::Status CheckKeyMatches(const ModelLayout& layout,
                             const Checkpoint& checkpoint,
                             const KeyMatches& matches,
                             bool ignore_mismatched_sizes);

// Logs, once a load, the weights that were not used and those that were drawn
// at random.
// Matches: the warnings of transformers 4.34 `from_pretrained` in substance.
void WarnAboutKeys(const ModelLayout& layout, const LoadingInfo& info);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_KEY_REPORT_H_
