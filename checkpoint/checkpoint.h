#ifndef PRETRAINED_CHECKPOINT_CHECKPOINT_H_
#define PRETRAINED_CHECKPOINT_CHECKPOINT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "dtypes/dtype.h"

namespace pretrained {

// One file of a checkpoint.
struct CheckpointFile {
  std::string path;  // As it can be opened.
  int64_t size_bytes = 0;
};

// One stored tensor, and which bytes of which file hold it.
struct TensorInfo {
  std::string name;
  Dtype dtype = Dtype::kFloat32;
  std::vector<int64_t> shape;  // Row-major extents; empty for a scalar.
  int file = 0;                // Index into Checkpoint::files().
  int64_t begin = 0;           // Bytes [begin, end) of that file.
  int64_t end = 0;

  int64_t nbytes() const { return end - begin; }

  // The product of `shape`; 1 for a scalar. Exact for every tensor that a
  // checkpoint lists, INT64_MAX where a made-up shape overflows.
  int64_t num_elements() const;
};

// The bytes of a tensor, in memory, without a copy. The pages are private
// copy-on-write ones: writing to `data` is allowed and never reaches the file.
struct TensorView {
  void* data = nullptr;  // May be unaligned for the dtype; null when empty.
  int64_t nbytes = 0;
  std::shared_ptr<void> owner;  // Keeps the mapping alive.
};

// Rows [start, stop) of one dimension.
struct SliceRange {
  int64_t start = 0;
  int64_t stop = 0;
};

// A checkpoint of any format, as one flat list of tensors.
//
//   auto checkpoint = OpenCheckpoint("all-MiniLM-L6-v2");   //
//   open_checkpoint.h for (const TensorInfo& tensor : (*checkpoint)->tensors())
//   .. auto view = (*checkpoint)->View(tensor);     // no byte is copied auto s
//   = (*checkpoint)->Read(tensor, dst);   // dst.size() == nbytes()
//
// Every range in a TensorInfo was checked when the checkpoint was opened.
// View() maps; Read() uses file reads, so that a file cut short meanwhile is a
// kDataLoss and not a signal. A view of a file that is cut short later is
// undefined, as with any mapping.
// Threads: immutable; View() and Read() may be called from any number of
//     threads.
// Lifetime: infos live as long as the checkpoint; views outlive it.
class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  virtual absl::string_view format() const = 0;  // "safetensors", ..
  virtual absl::Span<const CheckpointFile> files() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND = 0;
  // In the order of their bytes, file after file.
  virtual absl::Span<const TensorInfo> tensors() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND = 0;
  // The format's own text entries, such as safetensors' `__metadata__`, in
  // stored order.
  virtual absl::Span<const std::pair<std::string, std::string>> metadata() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND = 0;

  // kNotFound, with the file and the closest name it has, if `name` is absent.
  virtual absl::StatusOr<const TensorInfo*> Find(absl::string_view name) const
      ABSL_ATTRIBUTE_LIFETIME_BOUND = 0;

  // The tensor's bytes through the memory map.
  virtual absl::StatusOr<TensorView> View(const TensorInfo& tensor) const = 0;

  // Copies the tensor's bytes into `destination`, whose size must be nbytes().
  virtual absl::Status Read(const TensorInfo& tensor,
                            absl::Span<char> destination) const = 0;

  // Copies the elements within `slice` (one range a leading dimension; those
  // left out are whole), row-major and dense, into `destination`.
  // kInvalidArgument when a range lies outside the shape or the sizes differ.
  virtual absl::Status ReadSlice(const TensorInfo& tensor,
                                 absl::Span<const SliceRange> slice,
                                 absl::Span<char> destination) const = 0;

  // kDataLoss if a file is no longer as long as it was when opened: what a
  // mapped load calls last.
  virtual absl::Status CheckFilesUnchanged() const = 0;
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_CHECKPOINT_H_
