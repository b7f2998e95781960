#ifndef PRETRAINED_CHECKPOINT_TORCH_TORCH_CHECKPOINT_H_
#define PRETRAINED_CHECKPOINT_TORCH_TORCH_CHECKPOINT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/tensor_files.h"
#include "checkpoint/tensor_table.h"
#include "checkpoint/torch/torch_file.h"

namespace pretrained {

struct TorchCheckpointOptions {
  // Whether View() maps. Without, it reads into memory of its own, so that a
  // file cut short later harms no view.
  bool use_mmap = true;

  // Whether Open() reads the records of a zip archive that tensors are in and
  // checks their CRC-32. torch.load checks none; the legacy form has none.
  bool check_crc = false;
};

// A view may repeat its storage (torch's expand()), and so stand for far more
// bytes than the file has. One that would take this many more is refused.
inline constexpr int64_t kMaxRepeatedBytes = int64_t{1} << 30;

// Memory that one or more tensors of a checkpoint are views of.
struct TorchStorageInfo {
  std::string key;    // In a zip archive the record `data/<key>`.
  int file = 0;       // Index into Checkpoint::files().
  int64_t begin = 0;  // Bytes [begin, end) of that file, as stored.
  int64_t end = 0;
  int64_t nbytes = 0;     // Once inflated.
  bool deflated = false;  // Re-zipped files; torch.save stores.
  bool big_endian = false;
};

// A Checkpoint of torch.save in one file, or in several that together hold each
// tensor once: zip archives (PyTorch 1.6 and later) and the legacy form before
// them. No pickle is run: see checkpoint/pickle.
//
//   auto checkpoint = TorchCheckpoint::Open({"pytorch_model.bin"});
//   auto wte = (*checkpoint)->Find("wte.weight");
//   auto view = (*checkpoint)->View(**wte);      // no byte is copied
//
// A dense tensor in a stored record is in place; one that is strided, deflated
// or big-endian is made when it is asked for. Every tensor has a `storage`,
// counted through all files: tied weights are tensors of one storage.
//
// Cost: Open() reads directory and pickle, a legacy file's also 8 bytes a
//     storage. Of tensors in place the rest is as in TensorFiles. Strided ones
//     read what lies between their first and their last element, through 16 MiB
//     of memory. Deflated ones inflate the whole record; the last one inflated
//     for a part of it is kept.
// Threads, Lifetime: as Checkpoint says.
// Matches: torch 2.1 torch.load(weights_only=True), and transformers 4.34
//     load_state_dict() on top of it.
class TorchCheckpoint : public Checkpoint {
 public:
  // Opens the files at `paths`, whose order is that of files() and tensors().
  // Of a metadata key that several files have, the first one's value counts.
  //   kInvalidArgument   `paths` is empty
  //   kDataLoss          a file is cut short, contradicts itself or is no
  //                      checkpoint; two files hold a tensor of the same name
  //   kPermissionDenied  a pickle that can only be there to execute something
  //   kUnimplemented     TorchScript, tar, sparse or quantised tensors, ..
  //   kResourceExhausted limits of the pickle machine; kMaxRepeatedBytes
  //   and whatever MappedFile::Open() returns
  static absl::StatusOr<std::unique_ptr<TorchCheckpoint>> Open(
      const std::vector<std::string>& paths,
      const TorchCheckpointOptions& options = {});

  // "torch" or "torch_legacy", going by the first file.
  absl::string_view format() const override {
    return legacy_ ? "torch_legacy" : "torch";
  }
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

  // Indexed by TensorInfo::storage.
  absl::Span<const TorchStorageInfo> storages() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return storages_;
  }

  // "module.name" of what the pickles name and this library does not know,
  // distinct: objects that were left alone, and not searched for tensors.
  absl::Span<const std::string> unknown_globals() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return unknown_globals_;
  }

 private:
  explicit TorchCheckpoint(bool use_mmap) : files_(use_mmap) {}

  absl::Status AddTensors(checkpoint_internal::TorchFile& file, int index,
                          std::vector<TensorInfo>& tensors);
  void AddFacts(checkpoint_internal::TorchFile& file);
  absl::Status CheckInStorage(const TensorInfo& tensor) const;
  absl::Status ReadOutOfPlace(const TensorInfo& tensor,
                              absl::Span<char> destination) const;
  absl::Status ReadDeflated(const TensorInfo& tensor,
                            absl::Span<char> destination) const;
  absl::StatusOr<TensorView> Inflate(int storage) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status InflateInto(int storage, absl::Span<char> destination) const;
  absl::StatusOr<const MappedFile*> FileOf(
      const TorchStorageInfo& storage) const;

  checkpoint_internal::TensorFiles files_;
  std::vector<TorchStorageInfo> storages_;
  TensorTable table_;
  std::vector<std::pair<std::string, std::string>> metadata_;
  std::vector<std::string> unknown_globals_;
  bool legacy_ = false;

  mutable absl::Mutex mutex_;
  mutable int inflated_storage_ ABSL_GUARDED_BY(mutex_) = -1;
  mutable TensorView inflated_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_TORCH_CHECKPOINT_H_
