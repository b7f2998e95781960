#include "modeling/memory_hooks.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "modeling/module.h"

namespace pretrained {

int64_t ResidentBytes() {
  // Pages: all, resident, .. Each read tells the state of then.
  static const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  static const int64_t page_bytes = sysconf(_SC_PAGESIZE);
  char text[128];
  const ssize_t size = file < 0 ? -1 : pread(file, text, sizeof(text), 0);
  if (size <= 0) return 0;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(text, size), ' ');
  int64_t pages = 0;
  if (fields.size() < 2 || !absl::SimpleAtoi(fields[1], &pages)) return 0;
  return pages * page_bytes;
}

class MemoryHooks::Hook : public ModuleHook {
 public:
  Hook(const std::string& path, Module& module)
      : module_(std::static_pointer_cast<Module>(module.shared_from_this())),
        memory_{.path = path, .class_name = module.class_name()} {}

  void PreForward(Module&, absl::Span<at::Tensor* const>) override {
    memory_.mem_rss_pre_forward = ResidentBytes();
  }

  void PostForward(Module&, absl::Span<at::Tensor* const>) override {
    memory_.mem_rss_post_forward = ResidentBytes();
    memory_.mem_rss_diff +=
        memory_.mem_rss_post_forward - memory_.mem_rss_pre_forward;
    ++memory_.calls;
  }

  void Reset() {
    memory_ = {.path = std::move(memory_.path),
               .class_name = std::move(memory_.class_name)};
  }

  // Null where the module is gone.
  std::shared_ptr<Module> module() const { return module_.lock(); }
  const ModuleMemory& memory() const { return memory_; }

 private:
  std::weak_ptr<Module> module_;
  ModuleMemory memory_;
};

MemoryHooks::MemoryHooks(Module& root) {
  root.ForEachModule([&](const std::string& path, Module& module) {
    hooks_.push_back(std::make_shared<Hook>(path, module));
    module.AddHook(hooks_.back());
  });
}

MemoryHooks::~MemoryHooks() {
  for (const std::shared_ptr<Hook>& hook : hooks_) {
    if (const std::shared_ptr<Module> module = hook->module()) {
      module->RemoveHook(hook.get());
    }
  }
}

void MemoryHooks::Reset() {
  for (const std::shared_ptr<Hook>& hook : hooks_) hook->Reset();
}

std::vector<ModuleMemory> MemoryHooks::memory() const {
  std::vector<ModuleMemory> memory;
  for (const std::shared_ptr<Hook>& hook : hooks_) {
    memory.push_back(hook->memory());
  }
  return memory;
}

const ModuleMemory* MemoryHooks::find(absl::string_view path) const {
  for (const std::shared_ptr<Hook>& hook : hooks_) {
    if (hook->memory().path == path) return &hook->memory();
  }
  return nullptr;
}

}  // namespace pretrained
