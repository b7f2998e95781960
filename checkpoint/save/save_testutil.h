#ifndef PRETRAINED_CHECKPOINT_SAVE_SAVE_TESTUTIL_H_
#define PRETRAINED_CHECKPOINT_SAVE_SAVE_TESTUTIL_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "checkpoint/save/folder_update.h"

namespace pretrained {
namespace checkpoint_testing {

// A new, empty folder of the running test's own, in memory where the machine
// offers that: what is killed but not powered off needs no disk.
std::string MakeMemoryFolder();

// Writes a file, over an old one.
void PutFile(const std::string& path, absl::string_view content);

// Everything below `folder`, by its path from there: the content of files, "->"
// and the target of symbolic links, "/" for folders.
std::map<std::string, std::string> Content(const std::string& folder);

// Names, in and beside `folder`, of what a save leaves only when it is killed.
std::vector<std::string> Leftovers(const std::string& folder);

// Writes a new file of an update.
absl::Status WriteNew(FolderUpdate& update, absl::string_view name,
                      absl::string_view content);

// One update, whole.
absl::Status UpdateFolder(const std::string& folder,
                          const std::map<std::string, std::string>& files,
                          const std::vector<std::string>& removed = {});

// Fills a folder with what folders of models have, and what they may have: "a",
// "b" and "stale" to be changed, and others. Returns its Content().
std::map<std::string, std::string> PutOldFiles(const std::string& folder);

// What the system calls of a save meet while one of these exists: at call
// number `at` (from 0) of those called `only`, or of all, they kill the process
// or fail. Another one may not exist at the same time.
struct Fault {
  enum class Kind { kNone, kKillBefore, kKillAfter, kFail, kFailFromHere };
  Kind kind = Kind::kNone;
  int at = 0;
  int error = 0;                   // Of those that fail.
  absl::string_view only = {};     // "rename"; empty: all.
  absl::string_view refused = {};  // Always fails so, besides.
  int refusal = 0;
};

class FaultyCalls {
 public:
  explicit FaultyCalls(const Fault& fault);
  ~FaultyCalls();
  FaultyCalls(const FaultyCalls&) = delete;
  FaultyCalls& operator=(const FaultyCalls&) = delete;

  // How many calls were counted until now.
  static int count();
};

}  // namespace checkpoint_testing
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAVE_SAVE_TESTUTIL_H_
