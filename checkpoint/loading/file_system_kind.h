#ifndef PRETRAINED_CHECKPOINT_LOADING_FILE_SYSTEM_KIND_H_
#define PRETRAINED_CHECKPOINT_LOADING_FILE_SYSTEM_KIND_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace pretrained {

// What a file system costs, as far as reading goes.
enum class FileSystemKind {
  kLocal,    // A disk of this machine; what is not known counts as one.
  kMemory,   // tmpfs, ramfs: no disk at all.
  kNetwork,  // NFS, SMB, Ceph, Lustre, ..: each request takes a while.
  kFuse,     // A program answers: buckets, archives, overlays of containers.
};

// "local", "memory", "network", "FUSE".
absl::string_view FileSystemKindName(FileSystemKind kind);

// The kind that statfs(2) tells by `magic`, its f_type.
FileSystemKind KindOfMagic(uint64_t magic);

// The kind of what holds the file that is open as `fd`; kLocal where that
// cannot be told.
FileSystemKind KindOfFileSystem(int fd);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_FILE_SYSTEM_KIND_H_
