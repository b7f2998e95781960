#include "checkpoint/torch/torch_objects_testutil.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/pickle/pickle.h"
#include "checkpoint/pickle/pickle_testutil.h"
#include "checkpoint/torch/torch_objects.h"

namespace pretrained {
namespace checkpoint_testing {

std::string Dict(
    const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string bytes = "}(";
  for (const auto& [key, value] : entries) {
    absl::StrAppend(&bytes, Str(key), value);
  }
  return bytes + "u";
}

std::string SmallTensor() {
  return Tensor(Storage("FloatStorage", "0", 4), 0, "K\2K\2", "K\2K\1");
}

std::string Call(absl::string_view function, absl::string_view args) {
  return absl::StrCat(Global("torch._utils", function), "(", args, "tR");
}

absl::StatusOr<TorchObjects> ReadObjects(const std::string& value) {
  const absl::StatusOr<Pickle> pickle = Pickle::ParseOwned(value + ".");
  CHECK_OK(pickle.status());
  return ReadTorchObjects(*pickle, "m.bin");
}

}  // namespace checkpoint_testing
}  // namespace pretrained
