#include "modeling/tensor_testutil.h"

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "modeling/model_output.h"
#include "modeling/tensor_file.h"

namespace pretrained {

std::string DifferenceOf(const at::Tensor& got, const at::Tensor& want,
                         double tolerance) {
  if (got.sizes() != want.sizes()) {
    return absl::StrCat("shape [", absl::StrJoin(got.sizes(), ", "), "], but [",
                        absl::StrJoin(want.sizes(), ", "), "] is expected");
  }
  const at::Tensor a = got.detach().to(at::kDouble).flatten();
  const at::Tensor b = want.detach().to(at::kDouble).flatten();
  // Written so that a NaN on one side counts as far.
  const at::Tensor close = ((a - b).abs() <= (b.abs() + 1) * tolerance)
                               .logical_or(a == b)
                               .logical_or(a.isnan().logical_and(b.isnan()));
  const at::Tensor far = close.logical_not().nonzero();
  if (far.size(0) == 0) return "";
  const int64_t first = far[0].item().toLong();
  return absl::StrCat(far.size(0), " of ", a.numel(),
                      " elements are far; the first, ", first, ": got ",
                      a[first].item().toDouble(), ", want ",
                      b[first].item().toDouble(), ", tolerance ", tolerance);
}

NamedTensors ReadGolden(const std::string& path, const std::string& prefix) {
  absl::StatusOr<NamedTensors> all = ReadTensorFile(path);
  EXPECT_TRUE(all.ok()) << all.status();
  NamedTensors chosen;
  if (!all.ok()) return chosen;
  for (const auto& [name, tensor] : *all) {
    if (absl::StartsWith(name, prefix)) {
      chosen.emplace(name.substr(prefix.size()), tensor);
    }
  }
  return chosen;
}

bool IsMappedFrom(const at::Tensor& tensor, const std::string& path) {
  const auto address = reinterpret_cast<uintptr_t>(tensor.const_data_ptr());
  const std::string file = std::filesystem::canonical(path);
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    uintptr_t begin = 0;
    uintptr_t end = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR, &begin, &end) ==
            2 &&
        begin <= address && address < end) {
      return absl::EndsWith(line, absl::StrCat(" ", file));
    }
  }
  return false;
}

}  // namespace pretrained
