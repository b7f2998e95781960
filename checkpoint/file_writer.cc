#include "checkpoint/file_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace pretrained {
namespace {

// Linux writes at most this much a call.
constexpr size_t kMaxWriteBytes = size_t{1} << 30;

// So many bytes are handed to the disk at a time: enough to be written in one
// go, few enough to keep it busy from the start.
constexpr int64_t kWriteBackBytes = int64_t{8} << 20;

// Names to try for the new file before giving up.
constexpr int kMaxNames = 100;

absl::Status Failed(const std::string& path, absl::string_view doing,
                    int error) {
  const absl::Status status =
      absl::ErrnoToStatus(error, absl::StrCat(path, ": cannot be ", doing));
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    return absl::ResourceExhaustedError(
        absl::StrCat(status.message(), "; free some space and try again"));
  }
  return status;
}

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder;
}

}  // namespace

absl::StatusOr<FileWriter> FileWriter::Create(const std::string& path,
                                              Durability durability) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is a folder, but a file is to be written"));
  }
  // Opened anew and not by mkstemp(), so that the kernel applies the umask.
  std::random_device random;
  for (int attempt = 0; attempt < kMaxNames; ++attempt) {
    std::string partial = absl::StrCat(path, ".", absl::Hex(random()));
    const int fd =
        open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) return FileWriter(path, std::move(partial), fd, durability);
    if (errno != EEXIST) return Failed(path, "created", errno);
  }
  return Failed(path, "created", EEXIST);
}

FileWriter::FileWriter(FileWriter&& other) noexcept
    : path_(std::move(other.path_)),
      partial_path_(std::exchange(other.partial_path_, "")),
      fd_(std::exchange(other.fd_, -1)),
      durability_(other.durability_),
      size_bytes_(other.size_bytes_),
      written_back_(other.written_back_) {}

FileWriter& FileWriter::operator=(FileWriter&& other) noexcept {
  if (this != &other) {
    Abandon();
    path_ = std::move(other.path_);
    partial_path_ = std::exchange(other.partial_path_, "");
    fd_ = std::exchange(other.fd_, -1);
    durability_ = other.durability_;
    size_bytes_ = other.size_bytes_;
    written_back_ = other.written_back_;
  }
  return *this;
}

FileWriter::~FileWriter() { Abandon(); }

void FileWriter::Abandon() {
  if (fd_ >= 0) close(fd_);
  if (!partial_path_.empty()) unlink(partial_path_.c_str());
  fd_ = -1;
  partial_path_.clear();
}

absl::Status FileWriter::Append(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        write(fd_, bytes.data(), std::min(bytes.size(), kMaxWriteBytes));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed(path_, "written", errno);
    size_bytes_ += written;
    StartWriteBack();
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

// Only a hint: Commit() syncs, and reports what went wrong on the way.
void FileWriter::StartWriteBack() {
  const int64_t waiting = size_bytes_ - written_back_;
  if (durability_ == Durability::kCached || waiting < kWriteBackBytes) return;
  sync_file_range(fd_, written_back_, waiting, SYNC_FILE_RANGE_WRITE);
  written_back_ = size_bytes_;
}

absl::Status FileWriter::WriteAt(int64_t offset, absl::string_view bytes) {
  const auto count = static_cast<int64_t>(bytes.size());
  if (offset < 0 || offset > size_bytes_ || count > size_bytes_ - offset) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": ", count, " bytes at byte ", offset,
                     " would end beyond the ", size_bytes_, " written"));
  }
  while (!bytes.empty()) {
    const ssize_t written = pwrite(
        fd_, bytes.data(), std::min(bytes.size(), kMaxWriteBytes), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed(path_, "written", errno);
    offset += written;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status FileWriter::Commit() {
  const bool synced = durability_ == Durability::kSynced;
  if (synced && fsync(fd_) != 0) return Failed(path_, "synced", errno);
  const int fd = std::exchange(fd_, -1);
  if (close(fd) != 0) return Failed(path_, "closed", errno);
  if (rename(partial_path_.c_str(), path_.c_str()) != 0) {
    return Failed(path_, "put in place", errno);
  }
  partial_path_.clear();
  return synced ? SyncFolder() : absl::OkStatus();
}

absl::Status FileWriter::SyncFolder() const {
  const int folder =
      open(FolderOf(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return absl::OkStatus();  // The name stands all the same.
  const int synced = fsync(folder);
  const int error = errno;
  close(folder);
  // Some network file systems do not sync folders.
  if (synced != 0 && error != EINVAL && error != ENOTSUP) {
    return Failed(path_, "synced", error);
  }
  return absl::OkStatus();
}

absl::Status NamingFile(absl::string_view path, const absl::Status& status) {
  if (status.ok() ||
      absl::StartsWith(status.message(), absl::StrCat(path, ": "))) {
    return status;
  }
  return absl::Status(status.code(),
                      absl::StrCat(path, ": ", status.message()));
}

}  // namespace pretrained
