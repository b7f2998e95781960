#include "dtypes/convert.h"

#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "dtypes/convert_kernels.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

using dtypes_internal::CpuPath;
using dtypes_internal::FloatFormat;

// The floating-point dtypes stand together, in the order of FloatFormat.
constexpr int kFirst = static_cast<int>(Dtype::kFloat8E4M3FN);
static_assert(static_cast<int>(Dtype::kFloat64) - kFirst ==
              static_cast<int>(FloatFormat::kFloat64));

FloatFormat FormatOf(Dtype dtype) {
  return static_cast<FloatFormat>(static_cast<int>(dtype) - kFirst);
}

}  // namespace

bool CanConvert(Dtype from, Dtype to) {
  return from == to || (IsFloatingPoint(from) && IsFloatingPoint(to));
}

absl::Status Convert(Dtype from, const void* src, Dtype to, void* dst,
                     int64_t count) {
  if (!CanConvert(from, to)) {
    return absl::UnimplementedError(absl::StrCat(
        "no conversion from ", DtypeName(from), " to ", DtypeName(to),
        "; only floating-point dtypes are converted, into one another"));
  }
  if (count <= 0) return absl::OkStatus();
  if (from == to) {
    std::memcpy(dst, src, count * DtypeSize(from));
  } else if (dtypes_internal::BestCpuPath() == CpuPath::kAvx2F16c) {
    dtypes_internal::ConvertAvx2F16c(FormatOf(from), src, FormatOf(to), dst,
                                     count);
  } else {
    dtypes_internal::ConvertScalar(FormatOf(from), src, FormatOf(to), dst,
                                   count);
  }
  return absl::OkStatus();
}

}  // namespace pretrained
