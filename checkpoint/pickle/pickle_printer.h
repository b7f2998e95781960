#ifndef PRETRAINED_CHECKPOINT_PICKLE_PICKLE_PRINTER_H_
#define PRETRAINED_CHECKPOINT_PICKLE_PICKLE_PRINTER_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "checkpoint/pickle/pickle_value.h"

namespace pretrained {
namespace checkpoint_internal {

// Prints one value as Python does; PickleText() is its public face. What is
// still to be printed lies on a stack of its own, next on top, so that nesting
// costs no call.
class PicklePrinter {
 public:
  explicit PicklePrinter(size_t max_size) : max_size_(max_size) {}

  std::string Print(PickleValue value) {
    tasks_.push_back(ValueTask(value));
    while (!tasks_.empty() && out_.size() <= max_size_) {
      const Task task = tasks_.back();
      tasks_.pop_back();
      Run(task);
    }
    return std::move(out_);
  }

 private:
  using Items = absl::Span<const PickleValue>;
  using Entries = absl::Span<const PickleEntry>;

  enum class Style : uint8_t {
    kDict,     // key: value
    kPairs,    // (key, value)
    kKeyword,  // key=value, the key as it is
  };
  enum class TaskKind : uint8_t { kText, kValue, kItems, kEntries, kLeave };

  struct Task {
    TaskKind kind = TaskKind::kText;
    Style style = Style::kDict;
    const char* text = "";  // kText.
    PickleValue value;      // kValue.
    Items items;            // What is left of them.
    Entries entries;
    const void* id = nullptr;  // kLeave.
  };

  static Task TextTask(const char* text) {
    Task task;
    task.text = text;
    return task;
  }
  static Task ValueTask(PickleValue value) {
    Task task;
    task.kind = TaskKind::kValue;
    task.value = value;
    return task;
  }
  static Task ItemsTask(Items items) {
    Task task;
    task.kind = TaskKind::kItems;
    task.items = items;
    return task;
  }
  static Task EntriesTask(Entries entries, Style style) {
    Task task;
    task.kind = TaskKind::kEntries;
    task.style = style;
    task.entries = entries;
    return task;
  }

  // Queues tasks in the order in which they are to run.
  void Then(std::initializer_list<Task> tasks) {
    tasks_.insert(tasks_.end(), std::rbegin(tasks), std::rend(tasks));
  }

  void Run(const Task& task);
  void RunItems(const Task& task);
  void RunEntries(const Task& task);
  void PrintValue(PickleValue value);
  void PrintContainer(PickleValue value);
  bool Enter(PickleValue value, const char* again);

  void PrintGlobal(const PickleGlobal& global);
  void PrintName(const PickleGlobal& global);
  void PrintRecord(PickleValue value);
  bool PrintBuiltin(const PickleRecord& record);
  bool PrintCollection(const PickleRecord& record);
  bool PrintCounter(Entries entries);
  bool PrintTorch(const PickleRecord& record);
  bool PrintDevice(const PickleRecord& record);
  bool PrintNamespace(const PickleRecord& record);
  void PrintCall(const PickleRecord& record);

  const size_t max_size_;
  std::string out_;
  std::vector<Task> tasks_;
  absl::flat_hash_set<const void*> open_;  // Containers being printed.
  // Entries in another order than the pickle's, which tasks have views of.
  std::vector<std::unique_ptr<std::vector<PickleEntry>>> sorted_;
};

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_PICKLE_PICKLE_PRINTER_H_
