#ifndef PRETRAINED_CHECKPOINT_TENSOR_TO_WRITE_H_
#define PRETRAINED_CHECKPOINT_TENSOR_TO_WRITE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dtypes/dtype.h"

namespace pretrained {

// Takes a tensor's bytes piece after piece; its error is to be passed on.
using TensorSink = absl::FunctionRef<absl::Status(absl::string_view piece)>;

// A tensor on its way into a file. Its bytes (dense, row-major, little-endian,
// as many as dtype and shape call for) lie in memory that the caller keeps
// until the call returns, or come from `produce` when their turn comes.
struct TensorToWrite {
  std::string name;
  Dtype dtype = Dtype::kFloat32;
  std::vector<int64_t> shape;

  const void* data = nullptr;
  // Asked, once, where there is no `data`: hands all bytes to the sink.
  std::function<absl::Status(TensorSink sink)> produce = {};

  // The index of the earlier tensor of the list whose bytes these are, and
  // which has the same dtype and number of elements; -1: its own. Formats that
  // know views store such bytes once; safetensors refuses them.
  int alias_of = -1;
};

// The bytes of `tensor`; kInvalidArgument, naming it, for a shape that is
// negative or has no size in 64 bits.
absl::StatusOr<int64_t> CheckedBytes(const TensorToWrite& tensor);

// Hands the bytes of `tensor` to `sink`. kInternal, naming it, where `produce`
// gives more bytes or fewer than CheckedBytes().
absl::Status ProduceBytes(const TensorToWrite& tensor, TensorSink sink);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TENSOR_TO_WRITE_H_
