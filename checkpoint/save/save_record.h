#ifndef PRETRAINED_CHECKPOINT_SAVE_SAVE_RECORD_H_
#define PRETRAINED_CHECKPOINT_SAVE_SAVE_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace pretrained {
namespace checkpoint_internal {

// What a save is about to change, as it is written down before it does.
//
// Layout: README.md. The text comes from a folder that anyone may have made:
// once Parse() returns OK, `staging` is a name that this version gives its
// staging folders, every other name is a plain one (CheckPlainName()), and none
// occurs twice.
struct SaveRecord {
  std::string staging;                     // The staging folder's name.
  std::vector<std::string> new_names;      // To be put in place.
  std::vector<std::string> removed_names;  // To go.

  // Of a save that swaps whole folders: the inode of the folder before, and of
  // everything in it, by its path from there, that the new one holds too.
  uint64_t folder_inode = 0;
  absl::flat_hash_map<std::string, uint64_t> kept;

  std::string Serialize() const;

  // kDataLoss, with `file_name` and the line, for any other text.
  static absl::StatusOr<SaveRecord> Parse(absl::string_view text,
                                          absl::string_view file_name);
};

// kInvalidArgument unless `name` can be the name of a file of a save: one part
// of a path, at most 255 bytes, and not one that saves use for themselves.
absl::Status CheckPlainName(absl::string_view name);

// The names that a save uses for itself.

// The record in a folder whose files are being switched one by one.
inline constexpr absl::string_view kJournalName = ".pretrained-save.journal";

// A staging folder inside the folder that is saved into.
std::string InsideStagingName(uint64_t random);
bool IsInsideStagingName(absl::string_view name);

// A staging folder beside the folder `folder_name`.
std::string BesideStagingName(absl::string_view folder_name, uint64_t random);
bool IsBesideStagingName(absl::string_view name, absl::string_view folder_name);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAVE_SAVE_RECORD_H_
