#ifndef PRETRAINED_TOOLS_RUN_REPORT_H_
#define PRETRAINED_TOOLS_RUN_REPORT_H_

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "modeling/exact_flops.h"
#include "modeling/memory_hooks.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// What `pretrained run` tells of a forward.
struct RunReport {
  std::vector<std::pair<std::string, at::Tensor>> outputs;
  std::string outputs_file;
  double seconds = 0.0;
  int64_t floating_point_ops = 0;   // Forward and backward: 4.34's estimate.
  std::optional<ExactFlops> flops;  // With --flops.
  std::optional<std::vector<ModuleMemory>> memory;  // With --memory.
};

// The document of --json.
nlohmann::ordered_json ToJson(const RunReport& report);

// Tables no wider than `width` columns (0: no limit). Of memory, only modules
// that were called.
void PrintReport(const RunReport& report, int width, std::ostream& out);

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_RUN_REPORT_H_
