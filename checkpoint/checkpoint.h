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

  // Bytes [begin, end) of that file, out of which View() and Read() make the
  // tensor. Where `in_place` they are the tensor: dense, row-major,
  // little-endian. Otherwise they hold it strided, compressed or big-endian.
  int64_t begin = 0;
  int64_t end = 0;
  bool in_place = true;

  // Tensors of one file that have the same `storage` were views of one memory
  // when they were saved: this one starts at element `storage_offset`, and a
  // step along dimension i moves `strides[i]` elements. -1: shares with none.
  int storage = -1;
  int64_t storage_offset = 0;
  std::vector<int64_t> strides = {};  // Empty: row-major.

  // The product of `shape`; 1 for a scalar. Exact for every tensor that a
  // checkpoint lists, INT64_MAX where a made-up shape overflows.
  int64_t num_elements() const;

  // Of the tensor as View() and Read() give it: dense.
  int64_t nbytes() const;
};

// The bytes of a tensor in memory: dense, row-major, little-endian. Of a tensor
// in place they are private copy-on-write pages of the file, and no byte is
// copied; of others, memory made for the purpose. Either way, writing to `data`
// is allowed and never reaches the file.
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
//   auto checkpoint = OpenCheckpoint("all-MiniLM-L6-v2");  // open_checkpoint.h
//   for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
//     auto view = (*checkpoint)->View(tensor);           // no byte is copied
//     absl::Status s = (*checkpoint)->Read(tensor, dst);  // nbytes() of them
//   }
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
  // File after file, in the format's own order: that of the state dict in torch
  // files, of the bytes in safetensors. Who reads many sorts by (file, begin).
  virtual absl::Span<const TensorInfo> tensors() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND = 0;
  // The names that the index of a sharded checkpoint lists, in its order; empty
  // where there is no index. No shard need hold them, and shards may hold more.
  virtual absl::Span<const std::string> index_keys() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return {};
  }
  // What is stored beside the tensors, in stored order: safetensors'
  // `__metadata__`; of torch files, the values that are no tensors, by their
  // path ("epoch", "optimizer.param_groups") and as Python would print them.
  virtual absl::Span<const std::pair<std::string, std::string>> metadata() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND = 0;

  // kNotFound, with the file and the closest name it has, if `name` is absent.
  virtual absl::StatusOr<const TensorInfo*> Find(absl::string_view name) const
      ABSL_ATTRIBUTE_LIFETIME_BOUND = 0;

  // The tensor's bytes through the memory map.
  virtual absl::StatusOr<TensorView> View(const TensorInfo& tensor) const = 0;

  // Copies the tensor's bytes into `destination`, whose size must be nbytes().
  // Any part of a tensor in place may be read so, through a TensorInfo of its
  // bytes.
  virtual absl::Status Read(const TensorInfo& tensor,
                            absl::Span<char> destination) const = 0;

  // Copies the elements within `slice` (one range a leading dimension; those
  // left out are whole), row-major and dense, into `destination`.
  // kInvalidArgument when a range lies outside the shape or the sizes differ.
  virtual absl::Status ReadSlice(const TensorInfo& tensor,
                                 absl::Span<const SliceRange> slice,
                                 absl::Span<char> destination) const = 0;

  // The descriptor by which `file`, an index into files(), is open: the bytes
  // that infos name are that file's, whatever became of its path. It is the
  // checkpoint's, for pread() and the like. -1 where tensors lie in memory.
  virtual int FileDescriptor(int file) const { return -1; }

  // kDataLoss if a file is no longer as long as it was when opened: what a
  // mapped load calls last.
  virtual absl::Status CheckFilesUnchanged() const = 0;
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_CHECKPOINT_H_
