#ifndef PRETRAINED_CHECKPOINT_OFFLOAD_OFFLOAD_WRITER_H_
#define PRETRAINED_CHECKPOINT_OFFLOAD_OFFLOAD_WRITER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "checkpoint/offload/offload_index.h"
#include "checkpoint/save/folder_update.h"
#include "checkpoint/tensor_to_write.h"

namespace pretrained {

// Writes weights into an offload folder, as accelerate lays it out.
//
//   absl::StatusOr<OffloadWriter> writer = OffloadWriter::Begin("offload");
//   absl::Status s = writer->Add(tensor);
//   if (s.ok()) s = writer->Commit();
//
// Other weights that the folder has stay, in its index too. Until Commit(), and
// after an error of any kind, the folder is as it was: what is written waits
// beside it (FolderUpdate). Files are not synced: after a power cut, load the
// checkpoint again. A model that is mapped from files that are replaced
// keeps the old ones.
// Threads: one at a time.
// Format: README.md.
// Matches: accelerate 0.23 utils/offload.py `offload_weight`,
//     `save_offload_index`.
// Differs: there, files that a running model has mapped are overwritten.
class OffloadWriter {
 public:
  // The folder may be missing, and its parents too.
  //   as FolderUpdate::Begin()
  //   as ParseOffloadIndex(), where there is an index.json already
  static absl::StatusOr<OffloadWriter> Begin(const std::string& folder);

  // Writes NAME.dat.
  //   kInvalidArgument    a name that is no file name, or was added already
  //   kResourceExhausted  the disk is full
  //   or what producing the bytes returns
  absl::Status Add(const TensorToWrite& tensor);

  // Has the index point to a tensor of a safetensors file; writes nothing else.
  absl::Status AddSafetensors(OffloadEntry entry);

  // Puts all in place. Once. Without anything added nothing happens.
  absl::Status Commit();

  // What was added.
  absl::Span<const OffloadEntry> entries() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return entries_;
  }

 private:
  OffloadWriter(std::string folder, FolderUpdate update,
                std::vector<OffloadEntry> previous)
      : folder_(std::move(folder)),
        update_(std::move(update)),
        previous_(std::move(previous)) {}

  absl::Status AddEntry(OffloadEntry entry);

  std::string folder_;
  FolderUpdate update_;
  std::vector<OffloadEntry> previous_;  // Of the folder's index.
  std::vector<OffloadEntry> entries_;
  absl::flat_hash_set<std::string> names_;  // Of entries_.
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_OFFLOAD_OFFLOAD_WRITER_H_
