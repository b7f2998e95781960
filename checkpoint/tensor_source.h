#ifndef PRETRAINED_CHECKPOINT_TENSOR_SOURCE_H_
#define PRETRAINED_CHECKPOINT_TENSOR_SOURCE_H_

#include <vector>

#include "absl/base/attributes.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"

namespace pretrained {

// A stored tensor on its way into another file, as `dtype`.
//
//   std::vector<TensorToWrite> tensors;
//   for (const TensorInfo& tensor : checkpoint.tensors()) {
//     tensors.push_back(TensorFromCheckpoint(checkpoint, tensor,
//     tensor.dtype));
//   }
//   absl::Status s = WriteSafetensors(path, tensors, {{"format", "pt"}});
//
// Nothing is read before its bytes are asked for.
// Values: as Convert() of dtypes/convert.h makes them.
// Errors: come when the bytes are asked for: kUnimplemented, naming the tensor,
//     for dtypes that Convert() does not pair (only floating ones are); and
//     what Checkpoint::Read() and View() return.
// Cost: of a tensor in place, a few MiB of memory while it is produced; of
//     others, the tensor.
// Threads: as the checkpoint's: several tensors may be produced at a time.
// Lifetime: the checkpoint must outlive what is returned.
TensorToWrite TensorFromCheckpoint(const Checkpoint& checkpoint
                                       ABSL_ATTRIBUTE_LIFETIME_BOUND,
                                   const TensorInfo& tensor, Dtype dtype);

// For each of `tensors`, all of one checkpoint: the index of the first earlier
// one that is the very same view of the same memory, -1 where there is none.
// This is how tied weights are found, and what TensorToWrite::alias_of takes.
// The same view: file, storage, first element, shape, strides and dtype agree,
// not counting strides that no step takes. Tensors without elements are never
// the same.
// Matches: transformers 4.34 pytorch_utils.py `id_tensor_storage`, for tensors
//     that are tied.
// Differs: tensors that merely overlap, such as two slices of one memory, are
//     told apart and so stored each whole. There they count as shared, and
//     save_pretrained() drops all but one: it loses data.
std::vector<int> FindAliases(absl::Span<const TensorInfo> tensors);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TENSOR_SOURCE_H_
