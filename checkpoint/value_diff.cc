#include "checkpoint/value_diff.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "dtypes/convert.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool IsInteger(Dtype dtype) {
  return !IsFloatingPoint(dtype) && !IsComplex(dtype);
}

template <typename T>
T Load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

absl::int128 LoadInteger(Dtype dtype, const char* from) {
  switch (dtype) {
    case Dtype::kInt8:
      return Load<int8_t>(from);
    case Dtype::kUint16:
      return Load<uint16_t>(from);
    case Dtype::kInt16:
      return Load<int16_t>(from);
    case Dtype::kUint32:
      return Load<uint32_t>(from);
    case Dtype::kInt32:
      return Load<int32_t>(from);
    case Dtype::kUint64:
      return Load<uint64_t>(from);
    case Dtype::kInt64:
      return Load<int64_t>(from);
    default:  // kBool, kUint8.
      return Load<uint8_t>(from);
  }
}

// `count` elements at `from` as complex numbers.
absl::Status Widen(Dtype dtype, const char* from, int64_t count,
                   std::vector<std::complex<double>>& out) {
  out.assign(count, {});
  if (IsInteger(dtype)) {
    for (int64_t i = 0; i < count; ++i) {
      out[i] =
          static_cast<double>(LoadInteger(dtype, from + i * DtypeSize(dtype)));
    }
    return absl::OkStatus();
  }
  const bool is_complex = IsComplex(dtype);
  const Dtype part = dtype == Dtype::kComplex64    ? Dtype::kFloat32
                     : dtype == Dtype::kComplex128 ? Dtype::kFloat64
                                                   : dtype;
  const int64_t parts = is_complex ? 2 * count : count;
  std::vector<double> wide(parts);
  absl::Status status =
      Convert(part, from, Dtype::kFloat64, wide.data(), parts);
  if (!status.ok()) return status;
  for (int64_t i = 0; i < count; ++i) {
    out[i] = is_complex ? std::complex<double>(wide[2 * i], wide[2 * i + 1])
                        : std::complex<double>(wide[i]);
  }
  return absl::OkStatus();
}

// As long as it takes to tell two numbers of `dtype` apart.
std::string NumberText(Dtype dtype, const char* from) {
  if (IsInteger(dtype)) {
    const absl::int128 value = LoadInteger(dtype, from);
    return value < 0 ? absl::StrCat(static_cast<int64_t>(value))
                     : absl::StrCat(static_cast<uint64_t>(value));
  }
  std::vector<std::complex<double>> wide;
  if (!Widen(dtype, from, 1, wide).ok()) return "?";
  const bool is_long = dtype == Dtype::kFloat64 || dtype == Dtype::kComplex128;
  const int digits = is_long ? 17 : 9;
  if (!IsComplex(dtype)) return absl::StrFormat("%.*g", digits, wide[0].real());
  return absl::StrFormat("%.*g%+.*gj", digits, wide[0].real(), digits,
                         wide[0].imag());
}

bool IsNan(std::complex<double> value) {
  return std::isnan(value.real()) || std::isnan(value.imag());
}
bool IsFinite(std::complex<double> value) {
  return std::isfinite(value.real()) && std::isfinite(value.imag());
}

}  // namespace

absl::Status ValueDiff::Compare(const char* a, const char* b, int64_t count) {
  absl::Status status;
  if (a_ == b_ &&
      (count == 0 || std::memcmp(a, b, count * DtypeSize(a_)) == 0)) {
    // The same bits are close under any tolerance.
  } else if (IsInteger(a_) && IsInteger(b_)) {
    CompareIntegers(a, b, count);
  } else {
    status = CompareNumbers(a, b, count);
  }
  compared_ += count;
  return status;
}

void ValueDiff::Count(int64_t i, const char* a, const char* b, double distance,
                      double size) {
  max_abs_ = std::max(max_abs_, distance);
  const bool is_close =
      std::isfinite(distance) && distance <= atol_ + rtol_ * size;
  if (is_close && !exact()) return;
  if (different_++ > 0) return;
  first_ = compared_ + i;
  first_a_ = NumberText(a_, a);
  first_b_ = NumberText(b_, b);
}

void ValueDiff::CompareIntegers(const char* a, const char* b, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const char* const at_a = a + i * DtypeSize(a_);
    const char* const at_b = b + i * DtypeSize(b_);
    const absl::int128 x = LoadInteger(a_, at_a);
    const absl::int128 y = LoadInteger(b_, at_b);
    if (x == y) continue;
    Count(i, at_a, at_b, static_cast<double>(x > y ? x - y : y - x),
          std::abs(static_cast<double>(y)));
  }
}

absl::Status ValueDiff::CompareNumbers(const char* a, const char* b,
                                       int64_t count) {
  absl::Status status = Widen(a_, a, count, wide_a_);
  if (status.ok()) status = Widen(b_, b, count, wide_b_);
  if (!status.ok()) return status;
  for (int64_t i = 0; i < count; ++i) {
    const char* const at_a = a + i * DtypeSize(a_);
    const char* const at_b = b + i * DtypeSize(b_);
    const std::complex<double> x = wide_a_[i];
    const std::complex<double> y = wide_b_[i];
    const bool both_nan = IsNan(x) && IsNan(y);
    // Within a dtype equality is of bits, unless tolerances are given.
    const bool same = exact() && a_ == b_
                          ? std::memcmp(at_a, at_b, DtypeSize(a_)) == 0
                          : both_nan || x == y;
    if (same) continue;
    double distance = kInfinity;
    if (both_nan || x == y) {
      distance = 0;
    } else if (IsFinite(x) && IsFinite(y)) {
      distance = std::abs(x - y);
    }
    Count(i, at_a, at_b, distance, std::abs(y));
  }
  return absl::OkStatus();
}

}  // namespace checkpoint_internal
}  // namespace pretrained
