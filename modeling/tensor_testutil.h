#ifndef PRETRAINED_MODELING_TENSOR_TESTUTIL_H_
#define PRETRAINED_MODELING_TENSOR_TESTUTIL_H_

#include <string>

#include "ATen/core/Tensor.h"
#include "gmock/gmock.h"
#include "modeling/model_output.h"

namespace pretrained {

// Empty when shapes agree and everywhere |got - want| <= tolerance (1 +
// |want|); else says what differs: shapes, or the first index, both values and
// how many.
std::string DifferenceOf(const at::Tensor& got, const at::Tensor& want,
                         double tolerance);

// Matches a tensor (at::Tensor) that is as close as DifferenceOf() asks for.
MATCHER_P2(IsCloseTo, want, tolerance, "is close to the golden tensor") {
  const std::string difference = DifferenceOf(arg, want, tolerance);
  *result_listener << difference;
  return difference.empty();
}

// The tensors of a golden file whose names start with `prefix`, without it.
// Fails the test, and returns none, if the file cannot be read.
NamedTensors ReadGolden(const std::string& path, const std::string& prefix);

// Whether the tensor's bytes lie in a memory mapping of the file at `path`: its
// values were not copied.
bool IsMappedFrom(const at::Tensor& tensor, const std::string& path);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_TENSOR_TESTUTIL_H_
