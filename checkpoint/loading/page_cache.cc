#include "checkpoint/loading/page_cache.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>

namespace pretrained {
namespace {

// Whether the byte at `offset` is in the page cache.
std::optional<bool> IsCached(int fd, int64_t offset) {
  char byte;
  iovec buffer = {.iov_base = &byte, .iov_len = 1};
  ssize_t count;
  do {
    count = preadv2(fd, &buffer, 1, offset, RWF_NOWAIT);
  } while (count < 0 && errno == EINTR);
  if (count == 1) return true;
  if (count < 0 && errno == EAGAIN) return false;
  return std::nullopt;
}

}  // namespace

std::optional<double> CachedFraction(int fd, int64_t begin, int64_t end,
                                     int samples) {
  if (end <= begin || samples < 1) return std::nullopt;
  const int64_t count = std::min<int64_t>(samples, end - begin);
  int64_t cached = 0;
  bool tells = true;
  for (int64_t i = 0; i < count && tells; ++i) {
    // The middle of the i-th of `count` equal parts.
    const double part = (static_cast<double>(i) + 0.5) / count;
    const auto offset = begin + static_cast<int64_t>(part * (end - begin));
    const std::optional<bool> is_cached = IsCached(fd, offset);
    tells = is_cached.has_value();
    cached += is_cached.value_or(false);
  }
  if (!tells) return std::nullopt;
  return static_cast<double>(cached) / static_cast<double>(count);
}

}  // namespace pretrained
