#ifndef PRETRAINED_DTYPES_CONVERT_H_
#define PRETRAINED_DTYPES_CONVERT_H_

#include <cstdint>

#include "absl/status/status.h"
#include "dtypes/dtype.h"

namespace pretrained {

// Converts `count` elements of `from` at `src` into `to` at `dst`, both in host
// byte order (little-endian).
//
//   std::vector<float> out(n);
//   absl::Status s = Convert(Dtype::kBfloat16, mapped, Dtype::kFloat32,
//                            out.data(), n);
//
// Between float8_e4m3fn, float8_e5m2, float16, bfloat16, float32 and float64,
// each to each; from == to copies the bits, whatever the dtype. Any alignment
// will do; the ranges must not overlap.
//
// Values: for every value that is not a NaN, the same bits as LibTorch's
//     `.to()` (ties to even; float64 to a narrower type goes through float32,
//     as there; float8_e4m3fn overflows to NaN). A NaN stays a quiet NaN with
//     its sign and the top bits of its payload.
//     Every CPU gives the same bits. The thread's rounding mode, flush-to-zero
//     and denormals-are-zero change nothing, and no exception flag is raised.
// Errors: kUnimplemented for any other pair, naming both.
// Cost: memory traffic; see README.md. Output of tens of megabytes is stored
//     around the caches.
// Threads: pure; split a large range to use more cores.
absl::Status Convert(Dtype from, const void* src, Dtype to, void* dst,
                     int64_t count);

// Whether Convert() knows this pair.
bool CanConvert(Dtype from, Dtype to);

}  // namespace pretrained

#endif  // PRETRAINED_DTYPES_CONVERT_H_
