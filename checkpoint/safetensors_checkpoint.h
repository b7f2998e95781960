#ifndef PRETRAINED_CHECKPOINT_SAFETENSORS_CHECKPOINT_H_
#define PRETRAINED_CHECKPOINT_SAFETENSORS_CHECKPOINT_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/tensor_files.h"
#include "checkpoint/tensor_table.h"

namespace pretrained {

struct SafetensorsCheckpointOptions {
  // Whether View() maps. Without, it reads into memory of its own, so that a
  // file cut short later harms no view.
  bool use_mmap = true;
};

// A Checkpoint in one safetensors file, or in several that together hold each
// tensor once.
//
//   auto checkpoint = SafetensorsCheckpoint::Open({"model.safetensors"});
//   auto wte = (*checkpoint)->Find("wte.weight");
//   auto view = (*checkpoint)->View(**wte);      // no byte is copied
//
// Cost: Open() reads the headers, see SafetensorsReader; the rest, see
//     TensorFiles.
// Threads, Lifetime: as Checkpoint says.
class SafetensorsCheckpoint : public Checkpoint {
 public:
  // Opens the files at `paths`, whose order is that of files() and tensors().
  // Of a metadata key that several files have, the first one's value counts.
  //   kInvalidArgument  `paths` is empty
  //   kDataLoss         two files hold a tensor of the same name
  //   and whatever SafetensorsReader::Open() returns
  static absl::StatusOr<std::unique_ptr<SafetensorsCheckpoint>> Open(
      const std::vector<std::string>& paths,
      const SafetensorsCheckpointOptions& options = {});

  absl::string_view format() const override { return "safetensors"; }
  absl::Span<const CheckpointFile> files() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND override {
    return files_.infos();
  }
  absl::Span<const TensorInfo> tensors() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND override {
    return table_.tensors();
  }
  absl::Span<const std::pair<std::string, std::string>> metadata() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND override {
    return metadata_;
  }
  absl::StatusOr<const TensorInfo*> Find(absl::string_view name) const
      ABSL_ATTRIBUTE_LIFETIME_BOUND override;
  absl::StatusOr<TensorView> View(const TensorInfo& tensor) const override;
  absl::Status Read(const TensorInfo& tensor,
                    absl::Span<char> destination) const override;
  absl::Status ReadSlice(const TensorInfo& tensor,
                         absl::Span<const SliceRange> slice,
                         absl::Span<char> destination) const override;
  int FileDescriptor(int file) const override {
    return files_.FileDescriptor(file);
  }
  absl::Status CheckFilesUnchanged() const override;

 private:
  explicit SafetensorsCheckpoint(bool use_mmap) : files_(use_mmap) {}

  checkpoint_internal::TensorFiles files_;
  TensorTable table_;
  std::vector<std::pair<std::string, std::string>> metadata_;
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAFETENSORS_CHECKPOINT_H_
