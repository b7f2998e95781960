#ifndef PRETRAINED_CHECKPOINT_SAVE_SAVE_JOURNAL_H_
#define PRETRAINED_CHECKPOINT_SAVE_SAVE_JOURNAL_H_

#include <string>

#include "absl/status/status.h"

namespace pretrained {

// Finishes a save into `folder` that was interrupted while it put its files in
// place one by one: after this, the folder holds the new checkpoint whole.
// Everything that opens or saves a checkpoint calls it first.
//
//   absl::Status s = FinishInterruptedSave("all-MiniLM-L6-v2");
//
// The save had written all its files, and a journal that lists them, before it
// touched the first of the old ones: see README.md. Any number of processes,
// the saving one too, may do this at the same time, and one that comes late
// does nothing. OK, too, where there is no such folder.
//
//   kDataLoss          a journal that no save wrote, or whose new files are
//                      gone
//   kPermissionDenied  the folder may not be written (the rest of the codes
//                      are those of the file system's error)
//   kUnavailable       others save into it without pause
// Cost: without a journal, one failing open(2).
// Threads: any number.
absl::Status FinishInterruptedSave(const std::string& folder);

namespace checkpoint_internal {

// Of a save that has put its new files, synced, into `tree/` of the staging
// folder `staging` (open as `staging_fd`) within the open folder `folder`:
// writes the journal `text`, which SaveRecord::Serialize() made. From its
// return on, the save is to be finished, and FinishInterruptedSave() does that.
// After an error the folder is as it was.
absl::Status WriteJournal(int folder, int staging_fd, const std::string& text,
                          const std::string& path);

// Removes the staging folder `name`, open as `own`, as far as that goes; the
// next save removes what stays. Its record goes after the tree that it is
// about, and its lock last.
void RemoveStaging(int parent, const std::string& name, int own);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAVE_SAVE_JOURNAL_H_
