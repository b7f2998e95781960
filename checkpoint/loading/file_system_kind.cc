#include "checkpoint/loading/file_system_kind.h"

#include <sys/vfs.h>

#include <cstdint>

#include "absl/strings/string_view.h"

namespace pretrained {

absl::string_view FileSystemKindName(FileSystemKind kind) {
  switch (kind) {
    case FileSystemKind::kLocal:
      return "local";
    case FileSystemKind::kMemory:
      return "memory";
    case FileSystemKind::kNetwork:
      return "network";
    case FileSystemKind::kFuse:
      return "FUSE";
  }
  return "local";
}

// The numbers are those of statfs(2) and linux/magic.h, and of the file systems
// that Linux does not ship.
FileSystemKind KindOfMagic(uint64_t magic) {
  switch (magic) {
    case 0x01021994:  // tmpfs
    case 0x858458f6:  // ramfs
    case 0x958458f6:  // hugetlbfs
      return FileSystemKind::kMemory;
    case 0x6969:      // NFS
    case 0x517b:      // SMB
    case 0xff534d42:  // CIFS
    case 0xfe534d42:  // SMB2
    case 0x564c:      // NCP
    case 0x5346414f:  // AFS
    case 0x6b414653:  // kAFS
    case 0x00c36400:  // Ceph
    case 0x01021997:  // 9P
    case 0x0bd00bd0:  // Lustre
    case 0x47504653:  // GPFS
    case 0x19830326:  // BeeGFS
    case 0x7461636f:  // OCFS2
    case 0x01161970:  // GFS2
    case 0x73757245:  // Coda
    case 0xaad7aaea:  // PanFS
      return FileSystemKind::kNetwork;
    case 0x65735546:  // FUSE
    case 0x65735543:  // FUSE's control file system
      return FileSystemKind::kFuse;
    default:
      return FileSystemKind::kLocal;
  }
}

FileSystemKind KindOfFileSystem(int fd) {
  struct statfs info;
  if (fstatfs(fd, &info) != 0) return FileSystemKind::kLocal;
  // f_type is a signed word on some machines.
  return KindOfMagic(static_cast<uint32_t>(info.f_type));
}

}  // namespace pretrained
