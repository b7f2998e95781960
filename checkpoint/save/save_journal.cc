#include "checkpoint/save/save_journal.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/error_text.h"
#include "checkpoint/save/folder_tree.h"
#include "checkpoint/save/save_record.h"
#include "checkpoint/save/system_calls.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

constexpr size_t kMaxJournalBytes = size_t{16} << 20;

// Saves that come one after the other before giving up.
constexpr int kMaxSaves = 100;

// The journal's name in the staging folder, before and after.
constexpr char kWrittenAside[] = "record";
constexpr char kDone[] = "done";

std::string JournalName() { return std::string(kJournalName); }

absl::Status CannotFinish(const std::string& path, int error) {
  const absl::Status status = absl::ErrnoToStatus(
      error, absl::StrCat(path,
                          ": a save into this folder was interrupted, and "
                          "finishing it takes writing here, which fails"));
  const absl::string_view advice =
      error == EACCES || error == EPERM || error == EROFS
          ? "open the checkpoint once as a user who may write, and from where "
            "the folder is writable"
          : "mend that and open the checkpoint again: its new files are all "
            "there";
  return absl::Status(status.code(),
                      absl::StrCat(status.message(), "; ", advice));
}

// One journal on its way.
//
// Whatever is put in place comes out of the staging folder, and whatever is
// removed, the journal too, is renamed into it. Its name is never used again,
// so that who holds it open and comes late, when it is gone and a later save
// has put other files under the same names, finds that each of these calls
// fails with ENOENT: nothing of a later save is ever moved.
class Finisher {
 public:
  Finisher(int folder, const std::string& path)
      : folder_(folder), path_(path) {}

  absl::Status Finish(const SaveRecord& record) {
    if (int error = OpenFolder(folder_, record.staging, staging_)) {
      if (error == ENOENT) return StagingIsGone(record);
      return CannotFinish(path_, error);
    }
    // Not even a crash of the machine may undo the journal alone.
    int error = SyncFolder(folder_);
    if (error == 0) error = PutInPlace(record);
    if (error == 0 && !record.removed_names.empty()) error = TakeAway(record);
    if (error == 0) error = SyncFolder(folder_);
    if (error == 0) error = Move(folder_, JournalName(), staging_.get(), kDone);
    if (error == 0) error = SyncFolder(folder_);
    if (error != 0) return CannotFinish(path_, error);
    RemoveStaging(folder_, record.staging, staging_.get());
    return absl::OkStatus();
  }

 private:
  // A rename; one that somebody has made is made.
  static int Move(int from, const std::string& from_name, int to,
                  const std::string& to_name) {
    const int error = RenameAt(from, from_name, to, to_name);
    return error == ENOENT ? 0 : error;
  }

  int PutInPlace(const SaveRecord& record) {
    Fd tree;
    const int error = OpenFolder(staging_.get(), "tree", tree);
    if (error != 0) return error == ENOENT ? 0 : error;
    for (const std::string& name : record.new_names) {
      if (int failed = Move(tree.get(), name, folder_, name)) return failed;
    }
    return 0;
  }

  int TakeAway(const SaveRecord& record) {
    Fd gone;
    int error = MakeFolder(staging_.get(), "gone", 0777);
    if (error == 0 || error == EEXIST) {
      error = OpenFolder(staging_.get(), "gone", gone);
    }
    if (error != 0) return error == ENOENT ? 0 : error;
    for (const std::string& name : record.removed_names) {
      if (int failed = Move(folder_, name, gone.get(), name)) return failed;
    }
    return 0;
  }

  // Another process has finished this and removed the staging folder, or
  // somebody has removed it by hand.
  absl::Status StagingIsGone(const SaveRecord& record) {
    Fd journal;
    const int error = OpenFile(folder_, JournalName(), O_RDONLY, journal);
    if (error == ENOENT) return absl::OkStatus();
    std::string text;
    if (error == 0 && ReadUpTo(journal.get(), kMaxJournalBytes, text) == 0) {
      const absl::StatusOr<SaveRecord> now = SaveRecord::Parse(text, path_);
      // Another save's journal by now, for its own readers to see to.
      if (now.ok() && now->staging != record.staging) return absl::OkStatus();
    }
    return absl::DataLossError(absl::StrCat(
        path_, ": a save into this folder was interrupted, but its new files, ",
        QuotedName(record.staging),
        ", are gone: the checkpoint may be part old, part new; save it again "
        "elsewhere, or delete ",
        kJournalName, " if the files are known to be right"));
  }

  const int folder_;
  const std::string& path_;
  Fd staging_;
};

}  // namespace

absl::Status WriteJournal(int folder, int staging_fd, const std::string& text,
                          const std::string& path) {
  Fd file;
  int error =
      OpenFile(staging_fd, kWrittenAside, O_WRONLY | O_CREAT | O_TRUNC, file);
  if (error == 0) error = WriteAll(file.get(), text);
  if (error == 0) error = SyncFile(file.get());
  if (error == 0) error = SyncFolder(staging_fd);
  // The staging folder must not be what a crash loses.
  if (error == 0) error = SyncFolder(folder);
  if (error == 0) {
    error = RenameAt(staging_fd, kWrittenAside, folder, JournalName());
  }
  // Some network file systems report what they have done as failed.
  struct stat info;
  if (error == 0 || (file.is_open() && fstat(file.get(), &info) == 0 &&
                     InodeOf(folder, JournalName()) == info.st_ino)) {
    return absl::OkStatus();
  }
  return CallFailed(path, "saved into", error);
}

void RemoveStaging(int parent, const std::string& name, int own) {
  if (RemoveTree(own, "tree") != 0 || RemoveTree(own, "gone") != 0) return;
  UnlinkAt(own, kWrittenAside);
  UnlinkAt(own, kDone);
  UnlinkAt(own, "lock");
  RemoveEmptyFolder(parent, name);
}

namespace {

// Finishes the save whose journal stands; false where none does.
absl::StatusOr<bool> FinishOne(const std::string& folder) {
  const std::string name = JournalName();
  const std::string path = absl::StrCat(folder, "/", name);
  Fd journal, at;
  int error = OpenFile(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, journal);
  if (error == ENOENT || error == ENOTDIR) return false;
  if (error == EACCES) {
    if (InodeOf(AT_FDCWD, path) != 0) return CannotFinish(folder, error);
    return false;  // The folder is not for us to see, as who opens it will say.
  }
  if (error == 0) {
    // Not OpenFolder(): the folder itself may be a symbolic link.
    error = OpenFile(AT_FDCWD, absl::StrCat(folder, "/."),
                     O_RDONLY | O_DIRECTORY, at);
  }
  if (error == 0) {
    error = OpenFile(at.get(), name, O_RDONLY | O_NONBLOCK, journal);
  }
  if (error == ENOENT) return false;  // Finished meanwhile.
  std::string text;
  if (error == 0) error = ReadUpTo(journal.get(), kMaxJournalBytes, text);
  if (error != 0) return CallFailed(path, "read", error);
  if (text.size() > kMaxJournalBytes) {
    return absl::DataLossError(absl::StrCat(
        path, ": holds more than ", kMaxJournalBytes,
        " bytes, but the list that an interrupted save left is shorter; check "
        "the checkpoint's files, then delete this one"));
  }
  const absl::StatusOr<SaveRecord> record = SaveRecord::Parse(text, path);
  if (!record.ok()) return record.status();
  if (record->staging.empty()) {
    return absl::DataLossError(absl::StrCat(
        path,
        ": names no staging folder, but an interrupted save has one; check "
        "the checkpoint's files, then delete this one"));
  }
  absl::Status status = Finisher(at.get(), folder).Finish(*record);
  if (!status.ok()) return status;
  return true;
}

}  // namespace
}  // namespace checkpoint_internal

absl::Status FinishInterruptedSave(const std::string& folder) {
  // Others may have finished the one that was found, and begun another.
  for (int attempt = 0; attempt < checkpoint_internal::kMaxSaves; ++attempt) {
    const absl::StatusOr<bool> finished =
        checkpoint_internal::FinishOne(folder);
    if (!finished.ok()) return finished.status();
    if (!*finished) return absl::OkStatus();
  }
  return absl::UnavailableError(absl::StrCat(
      folder, ": is being saved into without pause; try again later"));
}

}  // namespace pretrained
