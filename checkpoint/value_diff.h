#ifndef PRETRAINED_CHECKPOINT_VALUE_DIFF_H_
#define PRETRAINED_CHECKPOINT_VALUE_DIFF_H_

#include <complex>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace checkpoint_internal {

// Compares runs of numbers of any two dtypes, and remembers what differed.
//
//   ValueDiff diff(Dtype::kFloat16, Dtype::kFloat32, /*rtol=*/0, /*atol=*/0);
//   absl::Status s = diff.Compare(half, single, count);   // and so on
//   diff.different();  diff.max_abs();
//
// Cost: memcmp() while bits are equal; else some nanoseconds an element.
// Threads: one at a time.
class ValueDiff {
 public:
  ValueDiff(Dtype a, Dtype b, double rtol, double atol)
      : a_(a), b_(b), rtol_(rtol), atol_(atol) {}

  // The next `count` elements of each, of any alignment.
  absl::Status Compare(const char* a, const char* b, int64_t count);

  int64_t compared() const { return compared_; }
  int64_t different() const { return different_; }
  double max_abs() const { return max_abs_; }
  // Of the first different element; only if there is one.
  int64_t first() const { return first_; }
  const std::string& first_a() const { return first_a_; }
  const std::string& first_b() const { return first_b_; }

 private:
  // Element `i`, which is not the same: `distance` is |a - b|, `size` is |b|.
  void Count(int64_t i, const char* a, const char* b, double distance,
             double size);
  void CompareIntegers(const char* a, const char* b, int64_t count);
  absl::Status CompareNumbers(const char* a, const char* b, int64_t count);
  bool exact() const { return rtol_ == 0 && atol_ == 0; }

  const Dtype a_;
  const Dtype b_;
  const double rtol_;
  const double atol_;

  int64_t compared_ = 0;
  int64_t different_ = 0;
  double max_abs_ = 0;
  int64_t first_ = 0;
  std::string first_a_;
  std::string first_b_;
  std::vector<std::complex<double>> wide_a_;
  std::vector<std::complex<double>> wide_b_;
};

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_VALUE_DIFF_H_
