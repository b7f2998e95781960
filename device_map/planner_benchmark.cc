// What planning costs, from the module tree on, for models by name.
// accelerate's figures: benchmarks/plan.py.

#include <fstream>
#include <iterator>
#include <string>

#include "absl/log/check.h"
#include "absl/status/statusor.h"
#include "benchmark/benchmark.h"
#include "device_map/device.h"
#include "device_map/max_memory.h"
#include "device_map/module_tree.h"
#include "device_map/module_tree_json.h"
#include "device_map/planner.h"
#include "device_map/sized_tree.h"

namespace pretrained {
namespace {

struct Model {
  const char* name;
  const char* no_split_class;
};

constexpr Model kModels[] = {{"llama-70b", "LlamaDecoderLayer"},
                             {"bloom-176b", "BloomBlock"},
                             {"T0pp", "T5Block"}};

std::string TreeText(const Model& model) {
  std::ifstream file(std::string("testdata/device_map/trees/") + model.name +
                     ".json");
  CHECK(file.good()) << model.name;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Four GPUs that hold four fifths of the model together, and a CPU for the
// rest.
MaxMemory Budgets(const SizedTree& tree) {
  const double total = tree.root().bytes;
  return {{Device::Gpu(0), total / 5},
          {Device::Gpu(1), total / 5},
          {Device::Gpu(2), total / 5},
          {Device::Gpu(3), total / 5},
          {Device::Cpu(), total}};
}

void BM_ParseTree(benchmark::State& state) {
  const Model& model = kModels[state.range(0)];
  const std::string text = TreeText(model);
  for (auto _ : state) {
    absl::StatusOr<ModuleTree> tree = ParseModuleTree(text);
    CHECK_OK(tree.status());
    benchmark::DoNotOptimize(tree);
  }
  state.SetLabel(model.name);
}
BENCHMARK(BM_ParseTree)->ArgName("model")->DenseRange(0, 2);

// Sizes, balance and the map: what accelerate does of a model on the meta
// device.
void BM_Plan(benchmark::State& state) {
  const Model& model = kModels[state.range(0)];
  const ModuleTree tree = *ParseModuleTree(TreeText(model));
  const SizeOptions sizes = {.bits = 16,
                             .no_split_classes = {model.no_split_class}};
  const PlanOptions options = {.max_memory =
                                   Budgets(*SizedTree::Create(tree, sizes))};
  for (auto _ : state) {
    const absl::StatusOr<SizedTree> sized = SizedTree::Create(tree, sizes);
    absl::StatusOr<Plan> plan = PlanDeviceMap(*sized, options);
    CHECK_OK(plan.status());
    benchmark::DoNotOptimize(plan);
  }
  state.SetLabel(model.name);
}
BENCHMARK(BM_Plan)->ArgName("model")->DenseRange(0, 2);

}  // namespace
}  // namespace pretrained
