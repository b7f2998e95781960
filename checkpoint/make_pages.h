#ifndef PRETRAINED_CHECKPOINT_MAKE_PAGES_H_
#define PRETRAINED_CHECKPOINT_MAKE_PAGES_H_

#include <cstdint>

namespace pretrained {

// Has the kernel make the pages of [data, data + bytes) at once, in memory that
// is about to be written: one call costs less than a fault for each page. No
// more than a hint: contents stay as they are, and what cannot be done now (a
// kernel before Linux 5.14, no memory) happens at the first write.
void MakePages(char* data, int64_t bytes);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_MAKE_PAGES_H_
