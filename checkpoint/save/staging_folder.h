#ifndef PRETRAINED_CHECKPOINT_SAVE_STAGING_FOLDER_H_
#define PRETRAINED_CHECKPOINT_SAVE_STAGING_FOLDER_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/save/system_calls.h"

namespace pretrained {
namespace checkpoint_internal {

// Where a save goes, free of symbolic links and relative parts.
struct SaveTarget {
  std::string path;    // Absolute.
  std::string parent;  // The folder that holds it; itself for "/".
  std::string name;    // Within the parent.
  bool exists = false;
};

// What the folder `path` really is. kInvalidArgument for a file.
absl::StatusOr<SaveTarget> ResolveSaveTarget(const std::string& path);

// The folder in which a save builds what it will put in place:
//
//   lock    held for as long as the save runs
//   tree/   the new files, or the whole new folder
//   gone/   files that have been removed
//   record  what is about to happen (save_record.h)
//
// Threads: one at a time.
class StagingFolder {
 public:
  StagingFolder() = default;

  // Makes one beside the folder, or inside it.
  //   kUnavailable  another save into the folder is running
  //   IsRefusal(*error) in `error`: not there
  static absl::StatusOr<StagingFolder> Create(const SaveTarget& target,
                                              bool inside, int* error);

  bool is_open() const { return own_.is_open(); }
  const std::string& name() const { return name_; }
  const std::string& path() const { return path_; }
  std::string tree_path() const { return path_ + "/tree"; }
  int parent() const { return parent_.get(); }  // The folder that it is in.
  int own() const { return own_.get(); }
  int tree() const { return tree_.get(); }

  // Removes it with all that is in it, as far as that goes: what stays, the
  // next save removes.
  void Remove();

 private:
  std::string name_;
  std::string path_;
  Fd parent_, own_, tree_, lock_;
};

// Removes what killed saves into the folder have left beside it and inside it,
// but for the staging folder called `own_name`. What others had meanwhile put
// into a folder that was swapped out goes back into the folder first.
//   kUnavailable  one of those saves is running
absl::Status ClearLeftovers(const SaveTarget& target,
                            const std::string& own_name);

// Of a staging folder beside: once `tree` is the folder that was there before,
// moves newcomers back (RescueNewcomers()). OK where nothing was swapped.
absl::Status RescueFromSwapped(int staging, int folder,
                               const std::string& path);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAVE_STAGING_FOLDER_H_
