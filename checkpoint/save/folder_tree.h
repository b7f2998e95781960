#ifndef PRETRAINED_CHECKPOINT_SAVE_FOLDER_TREE_H_
#define PRETRAINED_CHECKPOINT_SAVE_FOLDER_TREE_H_

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"

namespace pretrained {
namespace checkpoint_internal {

// Whole folders: a twin that holds the same files, and what becomes of the
// original once the twin has taken its place.
//
// Each returns 0 or an errno, and `where` is then the path (from the folder
// given) that it is about. No symbolic link is followed, and no folder entered
// that is a mount point.

// The inodes of files and folders by their path from a folder.
using InodeByPath = absl::flat_hash_map<std::string, uint64_t>;

// Fills `twin`, an open folder, with hard links of everything in `original`
// (files, symbolic links, sockets, devices) but the names in `left_out`;
// folders are made anew, with owner, mode, times and extended attributes, and
// are synced. `twin` itself is given the owner, mode and attributes of
// `original` last. `kept` gets what both now have, and the inode that
// `original` has it under. An IsRefusal() where the twin would not be what the
// original is.
int MakeTwin(int original, int twin,
             const absl::flat_hash_set<std::string>& left_out,
             InodeByPath& kept, std::string& where);

// Once the twin, as `current`, has the name that `original` had: moves what
// others put into `original` after `kept` was noted over into `current`. The
// names in `replaced` stay, and so does what was since changed in `current`.
int RescueNewcomers(int original, int current,
                    const absl::flat_hash_set<std::string>& replaced,
                    const InodeByPath& kept, std::string& where);

// Removes a file, or a folder with all it holds; 0 where there is none.
int RemoveTree(int folder, const std::string& name);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAVE_FOLDER_TREE_H_
