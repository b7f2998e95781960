#ifndef PRETRAINED_CHECKPOINT_OFFLOAD_OFFLOAD_FOLDER_H_
#define PRETRAINED_CHECKPOINT_OFFLOAD_OFFLOAD_FOLDER_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/offload/offload_index.h"
#include "checkpoint/safetensors_checkpoint.h"
#include "checkpoint/tensor_table.h"
#include "dtypes/dtype.h"

namespace pretrained {

// An offload folder, as accelerate writes them, as a Checkpoint: `index.json`,
// a file NAME.dat for each weight, and tensors of safetensors files elsewhere
// that the index points to.
//
//   auto folder = OffloadFolder::Open("offload");
//   auto weight = (*folder)->Find("h.1.mlp.c_fc.weight");
//   auto view = (*folder)->View(**weight);  // no byte is copied
//
// A weight that the index wants in another dtype than its safetensors file has
// is not in place: View() and Read() convert it.
//
// Cost: Open() looks at each file's size, and reads the headers of safetensors
//     files; they stay open, the .dat files, of which there may be thousands,
//     do not: each is mapped when it is first viewed, and stays so. ReadSlice()
//     reads the whole tensor into memory.
// Threads, Lifetime: as Checkpoint says.
// Format: README.md.
// Matches: accelerate 0.23 utils/offload.py `OffloadedWeightsLoader`.
// Differs: a .dat file that is larger than its weight is refused.
class OffloadFolder : public Checkpoint {
 public:
  //   kNotFound       no such folder, no index.json, or a file that it promises
  //   kDataLoss       a file that is not as large as its weight
  //   kUnimplemented  a conversion that Convert() does not pair
  //   as ParseOffloadIndex(), SafetensorsReader::Open()
  static absl::StatusOr<std::unique_ptr<OffloadFolder>> Open(
      const std::string& folder);

  // As Open(), of these entries instead of those in index.json: for who has
  // just written them beside others'.
  static absl::StatusOr<std::unique_ptr<OffloadFolder>> OpenEntries(
      const std::string& folder, absl::Span<const OffloadEntry> entries);

  absl::string_view format() const override { return "offload"; }
  absl::Span<const CheckpointFile> files() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND override {
    return files_;
  }
  absl::Span<const TensorInfo> tensors() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND override {
    return table_.tensors();
  }
  absl::Span<const std::pair<std::string, std::string>> metadata() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND override {
    return {};
  }
  absl::StatusOr<const TensorInfo*> Find(absl::string_view name) const
      ABSL_ATTRIBUTE_LIFETIME_BOUND override;
  absl::StatusOr<TensorView> View(const TensorInfo& tensor) const override;
  absl::Status Read(const TensorInfo& tensor,
                    absl::Span<char> destination) const override;
  absl::Status ReadSlice(const TensorInfo& tensor,
                         absl::Span<const SliceRange> slice,
                         absl::Span<char> destination) const override;
  absl::Status CheckFilesUnchanged() const override;

 private:
  // One of files_: a safetensors file, or, where that is null, a .dat file.
  struct File {
    std::unique_ptr<SafetensorsCheckpoint> safetensors;
    absl::Mutex mutex;
    std::shared_ptr<char> map ABSL_GUARDED_BY(mutex);  // Of a .dat file.
  };

  OffloadFolder() = default;
  absl::StatusOr<TensorInfo> AddDat(const std::string& folder,
                                    const OffloadEntry& entry);
  absl::StatusOr<TensorInfo> AddSafetensors(const OffloadEntry& entry);

  absl::StatusOr<std::unique_ptr<MappedFile>> OpenDat(int file) const;
  absl::Status ReadConverted(const TensorInfo& tensor,
                             absl::Span<char> destination) const;
  absl::Status CheckKnown(const TensorInfo& tensor) const;

  std::string index_path_;  // For messages.
  std::vector<CheckpointFile> files_;
  std::vector<std::unique_ptr<File>> contents_;           // One for each.
  absl::flat_hash_map<std::string, int> safetensors_;     // By path: the file.
  absl::flat_hash_map<std::string, Dtype> stored_dtype_;  // If converted.
  TensorTable table_;
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_OFFLOAD_OFFLOAD_FOLDER_H_
