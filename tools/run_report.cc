#include "tools/run_report.h"

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "dtypes/dtype.h"
#include "modeling/exact_flops.h"
#include "modeling/memory_hooks.h"
#include "modeling/tensor_bridge.h"
#include "nlohmann/json.hpp"
#include "tools/text_output.h"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

std::string NameOfDtype(const at::Tensor& tensor) {
  absl::StatusOr<Dtype> dtype = ToDtype(tensor.scalar_type());
  return dtype.ok() ? std::string(DtypeName(*dtype)) : "unknown";
}

Json ToJson(const ExactFlops& flops) {
  Json operators = Json::array();
  for (const OperatorCount& count : flops.operators) {
    operators.push_back({{"name", count.name},
                         {"calls", count.calls},
                         {"matmul", count.matmul},
                         {"other", count.other}});
  }
  return {{"total", flops.total()},
          {"matmul", flops.matmul()},
          {"operators", operators},
          {"unknown", flops.unknown}};
}

Json ToJson(const std::vector<ModuleMemory>& memory) {
  Json modules = Json::array();
  for (const ModuleMemory& module : memory) {
    modules.push_back({{"name", module.path},
                       {"class", module.class_name},
                       {"calls", module.calls},
                       {"mem_rss_diff", module.mem_rss_diff},
                       {"mem_rss_pre_forward", module.mem_rss_pre_forward},
                       {"mem_rss_post_forward", module.mem_rss_post_forward}});
  }
  return modules;
}

std::string SignedBytes(int64_t bytes) {
  return bytes < 0 ? absl::StrCat("-", HumanBytes(-bytes)) : HumanBytes(bytes);
}

void PrintFlops(const ExactFlops& flops, int width, std::ostream& out) {
  TextTable table({"operator", ">calls", ">matmul", ">other", ">share"});
  for (const OperatorCount& count : flops.operators) {
    table.AddRow(
        {count.name, absl::StrCat(count.calls), absl::StrCat(count.matmul),
         absl::StrCat(count.other),
         absl::StrFormat(
             "%.1f%%", 100.0 * static_cast<double>(count.matmul + count.other) /
                           static_cast<double>(flops.total()))});
  }
  table.Print(out, width);
  out << "\nfloating-point operations of the forward: " << flops.total() << ", "
      << flops.matmul() << " of them in products of matrices\n";
  if (!flops.unknown.empty()) {
    out << "not counted: " << absl::StrJoin(flops.unknown, ", ") << "\n";
  }
}

void PrintMemory(const std::vector<ModuleMemory>& memory, int width,
                 std::ostream& out) {
  TextTable table({"module", "class", ">calls", ">grew by", ">to"});
  for (const ModuleMemory& module : memory) {
    if (module.calls == 0) continue;
    table.AddRow({module.path.empty() ? "(the model)" : module.path,
                  module.class_name, absl::StrCat(module.calls),
                  SignedBytes(module.mem_rss_diff),
                  HumanBytes(module.mem_rss_post_forward)});
  }
  table.Print(out, width);
}

}  // namespace

Json ToJson(const RunReport& report) {
  Json outputs = Json::array();
  for (const auto& [name, tensor] : report.outputs) {
    outputs.push_back({{"name", name},
                       {"dtype", NameOfDtype(tensor)},
                       {"shape", tensor.sizes().vec()}});
  }
  Json document = {{"outputs", outputs},
                   {"seconds", report.seconds},
                   {"floating_point_ops", report.floating_point_ops}};
  if (report.flops.has_value()) document["flops"] = ToJson(*report.flops);
  if (report.memory.has_value()) document["memory"] = ToJson(*report.memory);
  return document;
}

void PrintReport(const RunReport& report, int width, std::ostream& out) {
  TextTable table({"output", "dtype", ">shape"});
  for (const auto& [name, tensor] : report.outputs) {
    table.AddRow({name, NameOfDtype(tensor), HumanShape(tensor.sizes().vec())});
  }
  table.Print(out, width);
  out << absl::StrFormat("\nforward in %.4f s; written to ", report.seconds)
      << Printable(report.outputs_file) << "\n";
  if (report.flops.has_value()) {
    out << "\n";
    PrintFlops(*report.flops, width, out);
    out << "4.34's estimate, of forward and backward: "
        << report.floating_point_ops << "\n";
  }
  if (report.memory.has_value()) {
    out << "\n";
    PrintMemory(*report.memory, width, out);
  }
}

}  // namespace pretrained
