#ifndef PRETRAINED_MODELING_HEAD_PRUNING_H_
#define PRETRAINED_MODELING_HEAD_PRUNING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/attention_heads.h"
#include "modeling/layers.h"
#include "modeling/module.h"

namespace pretrained {

// The entries of `tensor` along `dim` that `index` names, in its order, as a
// new tensor; entries in a row are copied in one go.
// kInvalidArgument for an entry that there is not.
absl::StatusOr<at::Tensor> CopyIndices(const at::Tensor& tensor, int64_t dim,
                                       const std::vector<int64_t>& index);

// Keeps the rows (dim 0; the bias's as well) or columns (dim 1) in `index` of a
// layer's weight. Its hooks, devices, dtypes and requires_grad stay.
// kInvalidArgument, which leaves it as it is, for another dim or an index
// outside.
// Matches: transformers 4.34 pytorch_utils.py `prune_linear_layer`.
// Differs: there a new layer is made.
absl::Status PruneLinearLayer(Linear& layer, const std::vector<int64_t>& index,
                              int64_t dim = 0);

// The same of a layer whose matrix lies the other way round: dim 1 are the
// outputs, with the bias, and dim 0 the inputs.
// Matches: transformers 4.34 pytorch_utils.py `prune_conv1d_layer`.
absl::Status PruneConv1DLayer(Conv1D& layer, const std::vector<int64_t>& index,
                              int64_t dim = 1);

// What the projections in `heads` become when each layer of `going` loses its
// heads there (PlanHeadPruning() made it): tensors by their names below
// `model`, of which none is changed. `prefix` is the path of the module that
// the paths in `heads` are below.
// kFailedPrecondition for a projection of another size than its heads make.
absl::StatusOr<absl::flat_hash_map<std::string, at::Tensor>> PrunedTensors(
    Module& model, const std::string& prefix, const AttentionHeads& heads,
    const PrunedHeads& going);

// Of `tensor`, [batch, heads, ..], the part of those of `num_heads` heads that
// layer `layer` has left: a head mask, a bias. It is returned as it is where
// the layer has all of them, and where it has another number of entries: one
// for all, or one for each head that is left. May be undefined.
at::Tensor OfHeadsLeft(const at::Tensor& tensor, const PrunedHeads& pruned,
                       int64_t layer, int64_t num_heads);

// The same for the head masks of all layers, one entry each.
std::vector<at::Tensor> OfHeadsLeft(std::vector<at::Tensor> head_masks,
                                    const PrunedHeads& pruned,
                                    int64_t num_heads);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_HEAD_PRUNING_H_
