#include "checkpoint/loading/tensor_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace pretrained {

absl::StatusOr<std::shared_ptr<MemoryBlock>> MemoryBlock::Make(int64_t bytes) {
  if (bytes <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a memory block of ", bytes, " bytes"));
  }
  void* const data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for ", bytes, " bytes of tensors (",
                     std::strerror(errno), "); map the files instead"));
  }
  return std::shared_ptr<MemoryBlock>(
      new MemoryBlock(static_cast<char*>(data), bytes));
}

MemoryBlock::~MemoryBlock() { munmap(data_, bytes_); }

std::shared_ptr<void> MemoryBlock::Part(int64_t begin, int64_t end) {
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t first = (begin + page - 1) / page * page;
  const int64_t last = end / page * page;
  return std::shared_ptr<void>(
      data_ + begin, [block = shared_from_this(), first, last](void*) {
        if (first < last) {
          madvise(block->data_ + first, last - first, MADV_DONTNEED);
        }
      });
}

}  // namespace pretrained
