#include "checkpoint/loading/tensor_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace pretrained {
namespace {

constexpr int64_t kHugePageBytes = int64_t{2} << 20;

// As aligned as any kernel wants it.
constexpr int64_t kTensorAlignment = 64;

// A tensor of this size has a block of its own.
constexpr int64_t kLargeBytes = 2 * kHugePageBytes;

absl::Status NoMemory(int64_t bytes, int error) {
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory for ", bytes, " bytes of tensors (",
                   std::strerror(error), "); map the files instead"));
}

}  // namespace

absl::StatusOr<std::shared_ptr<MemoryBlock>> MemoryBlock::Make(int64_t bytes) {
  if (bytes <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a memory block of ", bytes, " bytes"));
  }
  // The mapping may start anywhere within a huge page; the rest of address
  // space before and behind stays empty.
  const int64_t spare = bytes >= kHugePageBytes ? kHugePageBytes : 0;
  if (bytes > INT64_MAX - spare) return NoMemory(bytes, ENOMEM);
  void* const mapping =
      mmap(nullptr, bytes + spare, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return NoMemory(bytes, errno);
  char* data = static_cast<char*>(mapping);
  if (spare > 0) {
    data += -reinterpret_cast<uintptr_t>(data) & (kHugePageBytes - 1);
    madvise(data, bytes, MADV_HUGEPAGE);  // Only a hint.
  }
  return std::shared_ptr<MemoryBlock>(
      new MemoryBlock(static_cast<char*>(mapping), bytes + spare, data, bytes));
}

MemoryBlock::~MemoryBlock() { munmap(mapping_, mapped_bytes_); }

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

std::shared_ptr<void> MakeTensorMemory(int64_t bytes) {
  if (bytes >= kLargeBytes) {
    absl::StatusOr<std::shared_ptr<MemoryBlock>> block =
        MemoryBlock::Make(bytes);
    if (!block.ok()) return nullptr;
    return std::shared_ptr<void>(*block, (*block)->data());
  }
  const int64_t size =
      (bytes + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
  return std::shared_ptr<void>(std::aligned_alloc(kTensorAlignment, size),
                               [](void* memory) { std::free(memory); });
}

}  // namespace pretrained
