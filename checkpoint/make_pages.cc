#include "checkpoint/make_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Since Linux 5.14; EINVAL before.
#endif

namespace pretrained {

void MakePages(char* data, int64_t bytes) {
  if (bytes <= 0) return;
  static const uintptr_t page_bytes = sysconf(_SC_PAGESIZE);
  const uintptr_t begin = reinterpret_cast<uintptr_t>(data) & ~(page_bytes - 1);
  const uintptr_t end = reinterpret_cast<uintptr_t>(data) + bytes;
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_WRITE);
}

}  // namespace pretrained
