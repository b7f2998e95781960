#ifndef PRETRAINED_CHECKPOINT_SAVE_FOLDER_UPDATE_H_
#define PRETRAINED_CHECKPOINT_SAVE_FOLDER_UPDATE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace pretrained {

// Several files of a folder that change together, or not at all.
//
//   absl::StatusOr<FolderUpdate> update = FolderUpdate::Begin("my-model");
//   absl::StatusOr<std::string> path = update->NewFile("model.safetensors");
//   absl::Status s = WriteSafetensors(*path, tensors, metadata);
//   if (s.ok()) s = update->Remove("pytorch_model.bin");
//   if (s.ok()) s = update->Commit();
//
// Until Commit(), and after one that failed, the folder is as it was; a process
// that is killed, or a machine that goes down, at any moment leaves it as it
// was or as it is to be. What else is in the folder stays, and may be written
// to by others meanwhile. Without Commit() the destructor removes the new
// files. What a killed process left, the next Begin() removes.
//
// How: README.md. The new files are written into a staging folder beside the
// folder, and Commit()
//   - renames the staging folder, where there was none of the name,
//   - renames the file, where one file is new and none goes,
//   - else fills the staging folder with hard links of all else that the folder
//     has, and swaps the two.
// Where that is refused (the folder is a mount point, or the current folder;
// its parent may not be written; no hard links; ..) they wait inside the
// folder, and a journal says that they are to be put in place:
// FinishInterruptedSave().
//
// Threads: one at a time. Two updates of one folder at the same time, by two
//     processes or within one, are noticed, where the file system has locks.
class FolderUpdate {
 public:
  // The folder may be missing, and its parents too, and may be given by a
  // symbolic link: the folder that it stands for changes.
  //   kUnavailable       another update of the folder is running
  //   kInvalidArgument   `folder` is a file
  //   kPermissionDenied  it may not be written; likewise for other errors of
  //                      the file system
  //   as FinishInterruptedSave()
  static absl::StatusOr<FolderUpdate> Begin(const std::string& folder);

  FolderUpdate(FolderUpdate&&) noexcept;
  FolderUpdate& operator=(FolderUpdate&&) noexcept;
  ~FolderUpdate();

  // Where to write the file that is to be called `name` in the folder; it must
  // be there, synced (as FileWriter does), when Commit() is called.
  // kInvalidArgument for a name that is no plain one, or a folder's.
  absl::StatusOr<std::string> NewFile(absl::string_view name);

  // Has Commit() remove the file `name`; no effect where there is none, or a
  // NewFile() of the name.
  absl::Status Remove(absl::string_view name);

  // Once. After an error whose message says so, all new files are safe but not
  // yet in place: the next FinishInterruptedSave(), opening or saving does it.
  absl::Status Commit();

 private:
  struct State;
  explicit FolderUpdate(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAVE_FOLDER_UPDATE_H_
