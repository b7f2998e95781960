#include "device_map/machine_memory.h"

#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "device_map/device.h"
#include "device_map/max_memory.h"
#include "system/available_memory.h"

namespace pretrained {
namespace {

// NVML, as far as it is needed here; its functions keep their ABI.
class Nvml {
 public:
  Nvml() : library_(dlopen("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL)) {
    if (library_ == nullptr) return;
    const auto init = Function<int (*)()>("nvmlInit_v2");
    shutdown_ = Function<int (*)()>("nvmlShutdown");
    count_ = Function<int (*)(unsigned*)>("nvmlDeviceGetCount_v2");
    handle_ =
        Function<int (*)(unsigned, void**)>("nvmlDeviceGetHandleByIndex_v2");
    uuid_ = Function<int (*)(void*, char*, unsigned)>("nvmlDeviceGetUUID");
    memory_ = Function<int (*)(void*, Memory*)>("nvmlDeviceGetMemoryInfo");
    mig_mode_ =
        Function<int (*)(void*, unsigned*, unsigned*)>("nvmlDeviceGetMigMode");
    ready_ = init != nullptr && shutdown_ != nullptr && count_ != nullptr &&
             handle_ != nullptr && uuid_ != nullptr && memory_ != nullptr &&
             init() == 0;
  }
  ~Nvml() {
    if (ready_) shutdown_();
    if (library_ != nullptr) dlclose(library_);
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  // UUIDs, in the driver's order.
  std::vector<std::string> Uuids() const {
    std::vector<std::string> uuids;
    unsigned count = 0;
    if (!ready_ || count_(&count) != 0) return uuids;
    for (unsigned i = 0; i < count; ++i) {
      char uuid[96] = "";
      if (void* device = Device(i)) uuid_(device, uuid, sizeof(uuid) - 1);
      uuids.emplace_back(uuid);
    }
    return uuids;
  }

  // Bytes that are free on GPU `index`; nullopt if it cannot be used whole.
  std::optional<uint64_t> Free(int index) const {
    void* device = Device(index);
    Memory memory;
    unsigned mig = 0;
    unsigned pending = 0;
    if (device == nullptr || memory_(device, &memory) != 0) return std::nullopt;
    if (mig_mode_ != nullptr && mig_mode_(device, &mig, &pending) == 0 && mig) {
      return std::nullopt;
    }
    return memory.free;
  }

 private:
  struct Memory {
    unsigned long long total = 0;
    unsigned long long free = 0;
    unsigned long long used = 0;
  };

  template <typename F>
  F Function(const char* name) {
    return reinterpret_cast<F>(dlsym(library_, name));
  }

  void* Device(unsigned index) const {
    void* device = nullptr;
    return handle_(index, &device) == 0 ? device : nullptr;
  }

  void* const library_;
  bool ready_ = false;
  int (*shutdown_)() = nullptr;
  int (*count_)(unsigned*) = nullptr;
  int (*handle_)(unsigned, void**) = nullptr;
  int (*uuid_)(void*, char*, unsigned) = nullptr;
  int (*memory_)(void*, Memory*) = nullptr;
  int (*mig_mode_)(void*, unsigned*, unsigned*) = nullptr;
};

// The visible GPUs and what each has free, by CUDA's numbers.
std::vector<MemoryBudget> FreeGpuMemory() {
  const Nvml nvml;
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  std::vector<MemoryBudget> gpus;
  for (const int index : VisibleGpus(
           nvml.Uuids(), visible == nullptr
                             ? std::nullopt
                             : std::optional<absl::string_view>(visible))) {
    const std::optional<uint64_t> free = nvml.Free(index);
    if (!free.has_value()) continue;
    gpus.push_back({Device::Gpu(static_cast<int>(gpus.size())),
                    static_cast<double>(*free)});
  }
  return gpus;
}

}  // namespace

std::vector<int> VisibleGpus(const std::vector<std::string>& uuids,
                             std::optional<absl::string_view> visible) {
  std::vector<int> gpus;
  const int count = static_cast<int>(uuids.size());
  if (!visible.has_value()) {
    for (int i = 0; i < count; ++i) gpus.push_back(i);
    return gpus;
  }
  // As in CUDA the list ends at the first entry that is no GPU.
  for (absl::string_view entry : absl::StrSplit(*visible, ',')) {
    entry = absl::StripAsciiWhitespace(entry);
    int index = -1;
    if (!absl::SimpleAtoi(entry, &index) && !entry.empty()) {
      // A UUID may be cut short as long as it is of one GPU.
      index = -1;
      for (int i = 0; i < count; ++i) {
        if (!absl::StartsWith(uuids[i], entry)) continue;
        index = index == -1 ? i : count;
      }
    }
    if (entry.empty() || index < 0 || index >= count) break;
    if (absl::c_linear_search(gpus, index)) return {};
    gpus.push_back(index);
  }
  return gpus;
}

std::vector<Device> GpusHere() {
  std::vector<Device> devices;
  for (const MemoryBudget& gpu : FreeGpuMemory()) {
    devices.push_back(gpu.device);
  }
  return devices;
}

absl::StatusOr<MaxMemory> FreeMemory() {
  std::vector<MemoryBudget> budgets = FreeGpuMemory();
  const std::optional<int64_t> cpu = AvailableMemory();
  if (!cpu.has_value()) {
    return absl::UnavailableError(
        "max_memory: /proc/meminfo does not say what memory is available; give "
        "budgets, such as {\"cpu\": \"16GiB\"}");
  }
  budgets.push_back({Device::Cpu(), static_cast<double>(*cpu)});
  return MakeMaxMemory(std::move(budgets));
}

}  // namespace pretrained
