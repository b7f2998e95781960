#ifndef PRETRAINED_CHECKPOINT_BYTE_SIZE_H_
#define PRETRAINED_CHECKPOINT_BYTE_SIZE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace pretrained {

// The number of bytes that `text`, a value of `max_shard_size`, stands for: a
// whole number and a unit.
//
//   ParseByteSize("10GB")     10'000'000'000
//   ParseByteSize("500MiB")   524'288'000
//   ParseByteSize("1Gb")      125'000'000: a small final "b" means bits
//   ParseByteSize("4096")     4096
//
// Units: KB, MB, GB (powers of 10), KiB, MiB, GiB (powers of 2), in letters of
// any case; the one final "b" counts, of KB, MB and GB only. The number is
// written as Python's int() takes it: white space around it, a leading "+" and
// single "_" between digits will do.
// kInvalidArgument for anything else, and for what is negative or needs more
// than 63 bits.
// Threads: pure.
// Matches: transformers 4.34 utils/hub.py `convert_file_size_to_int`.
// Differs: takes a number without unit, which there must be an int; refuses
//     negative sizes.
absl::StatusOr<int64_t> ParseByteSize(absl::string_view text);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_BYTE_SIZE_H_
