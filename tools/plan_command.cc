#include "tools/plan_command.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "device_map/device.h"
#include "device_map/device_map.h"
#include "device_map/machine_memory.h"
#include "device_map/max_memory.h"
#include "device_map/module_tree.h"
#include "device_map/plan.h"
#include "device_map/planner.h"
#include "device_map/sized_tree.h"
#include "nlohmann/json.hpp"
#include "tools/command.h"
#include "tools/source_tree.h"
#include "tools/text_output.h"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

std::string UsageError(const absl::Status& status) {
  return status.ok() ? "" : std::string(status.message());
}

// A number of bytes; whole ones without a point.
Json BytesJson(double bytes) {
  if (bytes == std::floor(bytes)) return static_cast<int64_t>(bytes);
  return bytes;
}

Json BudgetsJson(const std::vector<MemoryBudget>& budgets) {
  Json json = Json::object();
  for (const MemoryBudget& budget : budgets) {
    json[budget.device.ToString()] = BytesJson(budget.bytes);
  }
  return json;
}

// "################........" of `width` places.
std::string Bar(double share, int width) {
  const int full = std::clamp(static_cast<int>(std::lround(share * width)),
                              share > 0 ? 1 : 0, width);
  return absl::StrCat(std::string(full, '#'), std::string(width - full, '.'));
}

// Entries in a row that differ in their last number and go to one device, in
// one line: "model.layers.0 to 39".
std::vector<std::pair<std::string, Device>> FoldedEntries(
    const DeviceMap& device_map) {
  struct Row {
    absl::string_view parent;
    int64_t first = -1;  // -1: not a number.
    int64_t last = -1;
    std::string name;
    Device device;
  };
  std::vector<Row> rows;
  for (const auto& [module, device] : device_map) {
    const size_t dot = module.rfind('.') + 1;  // npos + 1 is 0.
    const absl::string_view parent = absl::string_view(module).substr(0, dot);
    int64_t number = -1;
    if (!absl::SimpleAtoi(module.substr(dot), &number)) number = -1;
    if (!rows.empty() && number > 0 && rows.back().parent == parent &&
        rows.back().last == number - 1 && rows.back().device == device) {
      rows.back().last = number;
      continue;
    }
    rows.push_back({parent, number, number, module, device});
  }
  std::vector<std::pair<std::string, Device>> folded;
  for (Row& row : rows) {
    if (row.last > row.first) absl::StrAppend(&row.name, " to ", row.last);
    folded.emplace_back(row.name.empty() ? "(all)" : row.name, row.device);
  }
  return folded;
}

class PlanCommand : public Command {
 public:
  std::string name() const override { return "plan"; }
  std::string summary() const override {
    return "Says which module goes to which device, reading no weights";
  }
  std::string examples() const override {
    return "  pretrained plan llama-70b --dtype=float16 "
           "--max_memory='{\"0\": \"40GiB\", \"1\": \"40GiB\", \"cpu\": "
           "\"100GiB\"}'\n"
           "  pretrained plan t5-3b/config.json --device_map=sequential "
           "--explain\n"
           "  pretrained plan tree.json --no_split=BloomBlock --json\n"
           "  pretrained plan gpt2 --device_map='{\"transformer\": 0, "
           "\"lm_head\": \"cpu\"}'";
  }

  void Configure(CLI::App& app) override {
    app.add_option("SRC", source_,
                   "Folder with a config.json, or that file; a weights file; "
                   "or a module tree (JSON)")
        ->required();
    app.add_option("--device_map", device_map_,
                   "auto, balanced, balanced_low_0 or sequential; or a device "
                   "for all (cpu, 0), or a JSON object of modules and devices")
        ->capture_default_str()
        ->check([](const std::string& text) {
          if (ParsePlanStrategy(text).has_value()) return std::string();
          return UsageError(ParseDeviceMap(text).status());
        });
    app.add_option("--max_memory", max_memory_,
                   "JSON object of devices and what each may hold: bytes, "
                   "\"10GiB\", \"5GB\"; what this machine has free without")
        ->check([](const std::string& text) {
          return UsageError(ParseMaxMemory(text).status());
        });
    app.add_option("--dtype", dtype_,
                   "Dtype that the model is loaded as: float16, int8, int4, "
                   "..; auto is what its config or files say. Without, what "
                   "its tensors have: float32, of a config")
        ->check([](const std::string& text) {
          return text == "auto" ? "" : UsageError(ElementBits(text).status());
        });
    no_split_option_ = app.add_option(
        "--no_split", no_split_,
        "Classes of modules that stay whole, A,B; those that the model class "
        "names without");
    app.add_option("--class", class_name_,
                   "Model class; the config's architectures decide without");
    app.add_flag("--explain", explain_,
                 "Says why each module goes where it does, and what would fit "
                 "if a budget were raised");
    app.add_flag("--json", json_, "Prints one JSON document");
  }

  absl::Status Run() override {
    absl::StatusOr<SourceTree> source = ReadSourceTree(source_, class_name_);
    if (!source.ok()) return source.status();
    absl::StatusOr<SizedTree> tree = Measure(*source);
    if (!tree.ok()) return tree.status();
    absl::StatusOr<Plan> plan = MakePlan(*source, *tree);
    if (!plan.ok()) return plan.status();
    if (json_) {
      PrintJson(*source, *tree, *plan);
    } else {
      PrintText(*tree, *plan);
    }
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<SizedTree> Measure(const SourceTree& source) const {
    SizeOptions sizes{.no_split_classes = source.no_split_classes};
    if (no_split_option_->count() > 0) {
      sizes.no_split_classes =
          absl::StrSplit(no_split_, ',', absl::SkipWhitespace());
    }
    const std::string dtype = dtype_ == "auto" ? source.auto_dtype : dtype_;
    if (!dtype.empty()) {
      const absl::StatusOr<int> bits = ElementBits(dtype);
      if (!bits.ok()) return bits.status();
      sizes.bits = *bits;
    }
    // As from_pretrained has it: of float16 alone, not of bfloat16.
    if (dtype == "float16" || dtype == "half" || dtype == "torch.float16") {
      ForEachParameter(source.tree.root, [&](const std::string& name,
                                             const TensorSpec&,
                                             const ModuleNode&) {
        if (absl::c_any_of(source.keep_in_fp32, [&](const std::string& part) {
              return absl::StrContains(name, part);
            })) {
          sizes.special_bits[name] = 32;
        }
      });
    }
    return SizedTree::Create(source.tree, sizes);
  }

  absl::StatusOr<Plan> MakePlan(const SourceTree& source,
                                const SizedTree& tree) const {
    const std::optional<PlanStrategy> strategy = ParsePlanStrategy(device_map_);
    absl::StatusOr<MaxMemory> max_memory = MaxMemory();
    if (!max_memory_.empty()) {
      max_memory = ParseMaxMemory(max_memory_);
    } else if (strategy.has_value()) {
      max_memory = FreeMemory();
    }
    if (!max_memory.ok()) return max_memory.status();
    if (!strategy.has_value()) return CheckedMap(tree, *max_memory);
    if (source.names_only) {
      return absl::FailedPreconditionError(absl::StrCat(
          source_,
          ": the shards that it names are not here, so that sizes are not "
          "known; get them, or give a config.json or a map"));
    }
    return PlanDeviceMap(tree, {.strategy = *strategy,
                                .max_memory = *std::move(max_memory),
                                .all_that_is_free = max_memory_.empty()});
  }

  // A map by hand; doubts about it go to stderr.
  absl::StatusOr<Plan> CheckedMap(const SizedTree& tree,
                                  const MaxMemory& max_memory) const {
    absl::StatusOr<DeviceMap> device_map = ParseDeviceMap(device_map_);
    if (!device_map.ok()) return device_map.status();
    absl::Status status = CheckDeviceMap(tree, *device_map, std::nullopt);
    if (!status.ok()) return status;
    Plan plan{.device_map = *std::move(device_map), .max_memory = max_memory};
    status = CheckTiesTogether(tree, plan.device_map);
    if (!status.ok()) Note(std::string(status.message()));
    for (const MemoryBudget& held :
         BytesPerDevice(tree, plan.device_map, max_memory)) {
      const std::optional<double> budget = BudgetOf(max_memory, held.device);
      if (budget.has_value() && held.bytes > *budget) {
        Note(absl::StrCat(held.device.ToString(), " is to hold ", held.bytes,
                          " bytes, but may hold ", *budget));
      }
    }
    return plan;
  }

  static void Note(const std::string& text) {
    std::cerr << "pretrained plan: note: " << Printable(text) << "\n";
  }

  void PrintJson(const SourceTree& source, const SizedTree& tree,
                 const Plan& plan) const {
    Json document;
    document["bytes_per_device"] = nullptr;
    if (!source.names_only) {
      document["bytes_per_device"] =
          BudgetsJson(BytesPerDevice(tree, plan.device_map, plan.max_memory));
    }
    document["max_memory"] = BudgetsJson(plan.max_memory);
    if (explain_) document["explanation"] = ExplainPlan(tree, plan);
    // The map may be long: it is put first as text.
    std::cout << "{\"device_map\":" << DeviceMapJson(plan.device_map) << ","
              << JsonLine(document).substr(1);
  }

  void PrintText(const SizedTree& tree, const Plan& plan) const {
    constexpr int kBarWidth = 32;
    TextTable devices({"device", ">bytes", ">may hold", "share of the model"});
    const double total = std::max(tree.root().bytes, 1.0);
    for (const MemoryBudget& held :
         BytesPerDevice(tree, plan.device_map, plan.max_memory)) {
      const std::optional<double> budget =
          BudgetOf(plan.max_memory, held.device);
      devices.AddRow(
          {held.device.ToString(), HumanBytes(static_cast<int64_t>(held.bytes)),
           budget.has_value() ? HumanBytes(static_cast<int64_t>(*budget)) : "",
           absl::StrFormat("%s %3.0f%%", Bar(held.bytes / total, kBarWidth),
                           100 * held.bytes / total)});
    }
    devices.Print(std::cout, TerminalWidth());
    std::cout << "\n";
    TextTable modules({"module", "device"});
    for (const auto& [module, device] : FoldedEntries(plan.device_map)) {
      modules.AddRow({Printable(module), device.ToString()});
    }
    modules.Print(std::cout, TerminalWidth());
    if (!explain_) return;
    std::cout << "\n";
    for (const std::string& line : ExplainPlan(tree, plan)) {
      std::cout << Printable(line) << "\n";
    }
  }

  std::string source_;
  std::string device_map_ = "auto";
  std::string max_memory_;
  std::string dtype_;
  std::string no_split_;
  CLI::Option* no_split_option_ = nullptr;
  std::string class_name_;
  bool explain_ = false;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakePlanCommand() {
  return std::make_unique<PlanCommand>();
}

}  // namespace pretrained
