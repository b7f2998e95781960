#ifndef PRETRAINED_CHECKPOINT_FILE_WRITER_H_
#define PRETRAINED_CHECKPOINT_FILE_WRITER_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace pretrained {

// What Commit() waits for: kSynced, that the file outlives a power cut;
// kCached, only that every process sees it, for what can be made again.
enum class Durability { kSynced, kCached };

// A file that appears under its name only when it is whole.
//
//   absl::StatusOr<FileWriter> file = FileWriter::Create("model.safetensors");
//   absl::Status s = file->Append(bytes);
//   if (s.ok()) s = file->Commit();
//
// Create() opens a new file beside `path`; Commit() syncs it, gives it the
// name, replacing what was there in one step, and syncs the folder. Without
// Commit() the destructor removes the new file and nothing has changed.
// Threads: one at a time.
class FileWriter {
 public:
  // kNotFound without the folder, kPermissionDenied where it may not be
  // written.
  static absl::StatusOr<FileWriter> Create(
      const std::string& path, Durability durability = Durability::kSynced);

  FileWriter(FileWriter&& other) noexcept;
  FileWriter& operator=(FileWriter&& other) noexcept;
  ~FileWriter();

  // kResourceExhausted when the disk is full.
  absl::Status Append(absl::string_view bytes);

  // Overwrites what Append() wrote at `offset`: for a header that holds what
  // only the bytes behind it tell. kInvalidArgument beyond size_bytes().
  absl::Status WriteAt(int64_t offset, absl::string_view bytes);

  // Of all that Append() wrote.
  int64_t size_bytes() const { return size_bytes_; }

  absl::Status Commit();

 private:
  FileWriter(std::string path, std::string partial_path, int fd,
             Durability durability)
      : path_(std::move(path)),
        partial_path_(std::move(partial_path)),
        fd_(fd),
        durability_(durability) {}
  void Abandon();
  void StartWriteBack();
  absl::Status SyncFolder() const;

  std::string path_;
  std::string partial_path_;  // Empty once committed or moved from.
  int fd_ = -1;
  Durability durability_ = Durability::kSynced;
  int64_t size_bytes_ = 0;
  int64_t written_back_ = 0;  // Up to here the kernel was told to write.
};

// `status`, whose message names `path` first, whoever made it.
absl::Status NamingFile(absl::string_view path, const absl::Status& status);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_FILE_WRITER_H_
