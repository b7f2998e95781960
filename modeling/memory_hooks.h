#ifndef PRETRAINED_MODELING_MEMORY_HOOKS_H_
#define PRETRAINED_MODELING_MEMORY_HOOKS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "modeling/module.h"

namespace pretrained {

// Bytes of this process's memory that are resident, shared pages and mapped
// files included; 0 where the system does not tell.
int64_t ResidentBytes();

// What the forwards of one module did to ResidentBytes(). The names are those
// of the peer's attributes.
struct ModuleMemory {
  std::string path;                  // "encoder.layer.0"; "" for the root.
  std::string class_name;            // "BertLayer"
  int64_t mem_rss_diff = 0;          // After minus before, of all forwards.
  int64_t mem_rss_pre_forward = 0;   // Before the last one.
  int64_t mem_rss_post_forward = 0;  // After it.
  int64_t calls = 0;
};

// Records, around the forward of every module below and including a root, how
// many bytes of this process's memory are resident:
//
//   MemoryHooks hooks(*model);
//   (*model)->Call(inputs);
//   for (const ModuleMemory& memory : hooks.memory()) { .. }
//   hooks.Reset();
//
// A module's growth has that of the modules it calls in it. Memory that is
// freed and used again does not show, nor does that of other devices; weights
// that are mapped from a file count when they are first read.
//
// Destroying it takes its hooks away, and those alone; then a forward costs
// what it did before.
// Lifetime: may outlive the modules. Threads: none may run the model while it
//     is made, read or destroyed.
// Matches: transformers 4.34 modeling_utils.py `add_memory_hooks`,
//     `reset_memory_hooks_state`, which need psutil.
// Differs: there the hooks stay for good, and adding them twice counts twice
//     in mem_rss_diff.
class MemoryHooks {
 public:
  // `root` must be held by a std::shared_ptr.
  explicit MemoryHooks(Module& root);
  ~MemoryHooks();
  MemoryHooks(const MemoryHooks&) = delete;
  MemoryHooks& operator=(const MemoryHooks&) = delete;

  // All numbers become 0.
  void Reset();

  // Of every module, in the order of named_modules().
  std::vector<ModuleMemory> memory() const;
  // Of one of them; null for a path that there is not.
  const ModuleMemory* find(absl::string_view path) const;

 private:
  class Hook;

  std::vector<std::shared_ptr<Hook>> hooks_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_MEMORY_HOOKS_H_
