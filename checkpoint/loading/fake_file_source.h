#ifndef PRETRAINED_CHECKPOINT_LOADING_FAKE_FILE_SOURCE_H_
#define PRETRAINED_CHECKPOINT_LOADING_FAKE_FILE_SOURCE_H_

#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/loading/file_source.h"

namespace pretrained {

// A file in memory that can be as awkward as a system: it reads short, is
// interrupted, fails.
class FakeFileSource final : public FileSource {
 public:
  explicit FakeFileSource(std::string bytes) : bytes_(std::move(bytes)) {}

  ssize_t ReadAt(char* data, size_t size, int64_t offset) const override {
    const size_t call = calls_++;
    if (call < errors.size() && errors[call] != 0) return -errors[call];
    const auto end = static_cast<int64_t>(bytes_.size());
    if (offset >= end) return 0;
    const int64_t count =
        std::min({static_cast<int64_t>(size), end - offset, longest_read});
    std::memcpy(data, bytes_.data() + offset, count);
    return count;
  }
  int64_t alignment() const override { return block; }
  const std::string& path() const override { return path_; }

  size_t calls() const { return calls_; }

  int64_t longest_read = INT64_MAX;
  int64_t block = 1;
  std::vector<int> errors;  // errno by call; 0, and later calls: none.

 private:
  const std::string path_ = "fake";
  const std::string bytes_;
  mutable std::atomic<size_t> calls_ = 0;
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_FAKE_FILE_SOURCE_H_
