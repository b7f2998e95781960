#ifndef PRETRAINED_CHECKPOINT_TORCH_TORCH_OBJECTS_TESTUTIL_H_
#define PRETRAINED_CHECKPOINT_TORCH_TORCH_OBJECTS_TESTUTIL_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/torch/torch_objects.h"

namespace pretrained {
namespace checkpoint_testing {

// Pieces of pickles beyond those of pickle_testutil.h.

// A dict with these keys and values.
std::string Dict(
    const std::vector<std::pair<std::string, std::string>>& entries);

// Four floats: [2, 2] of storage 0.
std::string SmallTensor();

// A call of a function of torch._utils.
std::string Call(absl::string_view function, absl::string_view args);

// ReadTorchObjects() of the pickle of `value`, as "m.bin".
absl::StatusOr<TorchObjects> ReadObjects(const std::string& value);

}  // namespace checkpoint_testing
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_TORCH_OBJECTS_TESTUTIL_H_
