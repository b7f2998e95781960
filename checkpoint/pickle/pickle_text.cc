#include "checkpoint/pickle/pickle_text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/pickle/pickle_printer.h"
#include "checkpoint/pickle/pickle_text_plain.h"
#include "checkpoint/pickle/pickle_value.h"

namespace pretrained {
namespace checkpoint_internal {

void PicklePrinter::Run(const Task& task) {
  switch (task.kind) {
    case TaskKind::kText:
      out_.append(task.text);
      return;
    case TaskKind::kValue:
      PrintValue(task.value);
      return;
    case TaskKind::kItems:
      RunItems(task);
      return;
    case TaskKind::kEntries:
      RunEntries(task);
      return;
    case TaskKind::kLeave:
      open_.erase(task.id);
      return;
  }
}

void PicklePrinter::RunItems(const Task& task) {
  if (task.items.empty()) return;
  if (task.items.size() > 1) {
    Then({ValueTask(task.items[0]), TextTask(", "),
          ItemsTask(task.items.subspan(1))});
  } else {
    Then({ValueTask(task.items[0])});
  }
}

void PicklePrinter::RunEntries(const Task& task) {
  if (task.entries.empty()) return;
  const PickleEntry& entry = task.entries[0];
  if (task.entries.size() > 1) {
    Then({TextTask(", "), EntriesTask(task.entries.subspan(1), task.style)});
  }
  switch (task.style) {
    case Style::kDict:
      Then({ValueTask(entry.key), TextTask(": "), ValueTask(entry.value)});
      return;
    case Style::kPairs:
      Then({TextTask("("), ValueTask(entry.key), TextTask(", "),
            ValueTask(entry.value), TextTask(")")});
      return;
    case Style::kKeyword:
      AppendVisible(entry.key.text(), max_size_, &out_);
      Then({TextTask("="), ValueTask(entry.value)});
      return;
  }
}

void PicklePrinter::PrintValue(PickleValue value) {
  switch (value.kind()) {
    case PickleKind::kNone:
      out_.append("None");
      return;
    case PickleKind::kBool:
      out_.append(value.bool_value() ? "True" : "False");
      return;
    case PickleKind::kInt:
      absl::StrAppend(&out_, value.int_value());
      return;
    case PickleKind::kBigInt:
      out_.append(BigIntRepr(value.text()));
      return;
    case PickleKind::kFloat:
      out_.append(FloatRepr(value.float_value()));
      return;
    case PickleKind::kString:
      AppendStrRepr(value.text(), max_size_, &out_);
      return;
    case PickleKind::kBytes:
      AppendBytesRepr(value.text(), max_size_, &out_);
      return;
    case PickleKind::kByteArray:
      AppendByteArrayRepr(value.text(), max_size_, &out_);
      return;
    case PickleKind::kGlobal:
      PrintGlobal(*value.global());
      return;
    case PickleKind::kRecord:
      PrintRecord(value);
      return;
    case PickleKind::kPersistent:
      if (!Enter(value, "<persistent ...>")) return;
      out_.append("<persistent ");
      Then({ValueTask(value.persistent_id()), TextTask(">")});
      return;
    default:
      PrintContainer(value);
      return;
  }
}

// Notes that `value` is being printed until what is queued by now has run; if
// it is already, prints `again` instead and returns false.
bool PicklePrinter::Enter(PickleValue value, const char* again) {
  const void* const id = value.identity();
  if (id == nullptr) return true;
  if (!open_.insert(id).second) {
    out_.append(again);
    return false;
  }
  Task leave;
  leave.kind = TaskKind::kLeave;
  leave.id = id;
  tasks_.push_back(leave);
  return true;
}

void PicklePrinter::PrintContainer(PickleValue value) {
  const Items items = value.items();
  switch (value.kind()) {
    case PickleKind::kList:
      if (!Enter(value, "[...]")) return;
      out_.append("[");
      Then({ItemsTask(items), TextTask("]")});
      return;
    case PickleKind::kTuple:
      if (!Enter(value, "(...)")) return;
      out_.append("(");
      Then({ItemsTask(items), TextTask(items.size() == 1 ? ",)" : ")")});
      return;
    case PickleKind::kSet:
      if (items.empty()) {
        out_.append("set()");
        return;
      }
      if (!Enter(value, "set(...)")) return;
      out_.append("{");
      Then({ItemsTask(items), TextTask("}")});
      return;
    case PickleKind::kFrozenSet:
      if (items.empty()) {
        out_.append("frozenset()");
        return;
      }
      if (!Enter(value, "frozenset(...)")) return;
      out_.append("frozenset({");
      Then({ItemsTask(items), TextTask("})")});
      return;
    default:
      if (!Enter(value, "{...}")) return;
      out_.append("{");
      Then({EntriesTask(value.entries(), Style::kDict), TextTask("}")});
      return;
  }
}

namespace {

// The longest prefix of at most `max_size` bytes that ends between characters.
std::string Cut(std::string text, size_t max_size) {
  if (text.size() <= max_size) return text;
  while (max_size > 0 && (text[max_size] & 0xC0) == 0x80) --max_size;
  text.resize(max_size);
  return absl::StrCat(text, " ..");
}

}  // namespace
}  // namespace checkpoint_internal

std::string PickleText(PickleValue value, int64_t max_bytes) {
  const size_t max_size = static_cast<size_t>(std::max<int64_t>(max_bytes, 0));
  return checkpoint_internal::Cut(
      checkpoint_internal::PicklePrinter(max_size).Print(value), max_size);
}

std::string PickleKeyText(PickleValue key, int64_t max_bytes) {
  if (!key.is(PickleKind::kString)) return PickleText(key, max_bytes);
  const size_t max_size = static_cast<size_t>(std::max<int64_t>(max_bytes, 0));
  return checkpoint_internal::Cut(
      std::string(key.text().substr(0, max_size + 1)), max_size);
}

}  // namespace pretrained
