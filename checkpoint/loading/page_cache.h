#ifndef PRETRAINED_CHECKPOINT_LOADING_PAGE_CACHE_H_
#define PRETRAINED_CHECKPOINT_LOADING_PAGE_CACHE_H_

#include <cstdint>
#include <optional>

namespace pretrained {

// The part, 0 to 1, of bytes [begin, end) of the file that is open as `fd` that
// the page cache holds, by `samples` places evenly spread; nullopt where the
// system does not tell (its file system cannot say).
//
// Asks by preadv2(RWF_NOWAIT), which reads nothing that is not there, and
// which, other than mincore(2), whoever may read the file may ask. Cost: some
// microseconds a sample. No I/O.
std::optional<double> CachedFraction(int fd, int64_t begin, int64_t end,
                                     int samples = 64);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_PAGE_CACHE_H_
