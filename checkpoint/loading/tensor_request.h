#ifndef PRETRAINED_CHECKPOINT_LOADING_TENSOR_REQUEST_H_
#define PRETRAINED_CHECKPOINT_LOADING_TENSOR_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "dtypes/dtype.h"

namespace pretrained {

// A tensor that is wanted, of the checkpoint that is loaded from.
struct TensorRequest {
  const TensorInfo* tensor = nullptr;
  Dtype dtype = Dtype::kFloat32;
  // The part that is wanted, as Checkpoint::ReadSlice() takes it; empty: all.
  // Only its bytes are read, and those between two runs that lie close.
  std::vector<SliceRange> slice = {};
  // Memory of the caller's that gets the result: as many bytes as elements and
  // dtype call for, aligned for the dtype. Empty: memory is found.
  absl::Span<char> destination = {};
};

// Elements that are wanted; INT64_MAX where `slice` is not one of the tensor.
int64_t NumElements(const TensorRequest& request);

// Of the result, and of the elements as they are stored.
int64_t ResultBytes(const TensorRequest& request);
int64_t StoredBytes(const TensorRequest& request);

// Whether a request of `checkpoint` can be met, before anything is read:
//   kUnimplemented    a conversion that Convert() does not pair
//   kInvalidArgument  a slice that does not fit the shape; a destination of
//                     another size, or one that is not aligned
absl::Status CheckRequest(const Checkpoint& checkpoint,
                          const TensorRequest& request);

// What one file is asked for, as numbers of requests, by how they are met.
struct FileShare {
  std::vector<size_t> as_stored;  // Mapped, or read to where they stay: whole,
                                  // in their dtype, aligned for it, no two over
                                  // the same bytes.
  std::vector<size_t> converted;  // Read in pieces, into memory of their own.
  std::vector<size_t> whole;      // Those that only the checkpoint reads.
  std::vector<size_t> viewed;     // Those that are in memory already.
};

// Gives every request that has elements to its file's share.
//   may_view  whether what the checkpoint has in memory may be shared with it
std::map<int, FileShare> ShareOut(const Checkpoint& checkpoint,
                                  absl::Span<const TensorRequest> requests,
                                  bool may_view);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_TENSOR_REQUEST_H_
