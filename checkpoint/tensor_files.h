#ifndef PRETRAINED_CHECKPOINT_TENSOR_FILES_H_
#define PRETRAINED_CHECKPOINT_TENSOR_FILES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/mapped_file.h"

namespace pretrained {
namespace checkpoint_internal {

// The open files of a checkpoint, and the reading of tensors that lie in place
// in them: what every driver of such a format holds.
//
//   TensorFiles files(/*use_mmap=*/true);
//   absl::StatusOr<const MappedFile*> file = files.Add("model.safetensors");
//   ..
//   auto view = files.View(tensor);  // as Checkpoint::View(), and so on
//
// Cost: one file descriptor a file. View() maps a file once, at its first use.
//     ReadSlice() joins runs of bytes that lie near each other into one
//     pread(), through at most 256 KiB.
// Threads: as Checkpoint says, once all files are added.
class TensorFiles {
 public:
  // Without `use_mmap`, View() reads into memory of its own.
  explicit TensorFiles(bool use_mmap) : use_mmap_(use_mmap) {}

  // Opens the file at `path`, which becomes the last of infos().
  absl::StatusOr<const MappedFile*> Add(const std::string& path);

  // One for each file.
  absl::Span<const CheckpointFile> infos() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return infos_;
  }

  // Of the file that is number `file` of infos().
  int FileDescriptor(int file) const { return files_[file]->fd(); }

  // For messages: "a.safetensors", or "a.safetensors and 3 more files".
  std::string Where() const;

  // The file that holds `tensor`; kInvalidArgument if it names bytes that no
  // file of this checkpoint has.
  absl::StatusOr<const MappedFile*> FileOf(const TensorInfo& tensor) const;

  // For tensors in place; as the Checkpoint's members of these names.
  absl::StatusOr<TensorView> View(const TensorInfo& tensor) const;
  absl::Status Read(const TensorInfo& tensor,
                    absl::Span<char> destination) const;
  absl::Status ReadSlice(const TensorInfo& tensor,
                         absl::Span<const SliceRange> slice,
                         absl::Span<char> destination) const;
  absl::Status CheckUnchanged() const;

 private:
  bool use_mmap_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::vector<CheckpointFile> infos_;
};

// Memory for `tensor` as View() gives it, not yet filled, aligned for any
// kernel. kResourceExhausted, with `path`, where there is not enough.
absl::StatusOr<TensorView> AllocateView(const TensorInfo& tensor,
                                        const std::string& path);

// kInvalidArgument unless `got`, the size of a caller's destination, is `want`.
absl::Status CheckDestination(const std::string& path, const TensorInfo& tensor,
                              uint64_t got, int64_t want);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TENSOR_FILES_H_
