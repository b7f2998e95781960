// Globals and records: what they would be in Python, where that is known.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/pickle/pickle_printer.h"
#include "checkpoint/pickle/pickle_text_numpy.h"
#include "checkpoint/pickle/pickle_text_plain.h"
#include "checkpoint/pickle/pickle_value.h"

namespace pretrained {
namespace checkpoint_internal {

// `<class 'int'>` of what we know to be a class, `torch.float32`, and the
// plain name of what we do not know.
void PicklePrinter::PrintGlobal(const PickleGlobal& global) {
  struct Class {
    absl::string_view module;
    absl::string_view name;
    absl::string_view shown;
  };
  static constexpr Class kClasses[] = {
      {"builtins", "object", "object"},
      {"builtins", "dict", "dict"},
      {"builtins", "list", "list"},
      {"builtins", "tuple", "tuple"},
      {"builtins", "set", "set"},
      {"builtins", "frozenset", "frozenset"},
      {"builtins", "int", "int"},
      {"builtins", "long", "int"},
      {"builtins", "float", "float"},
      {"builtins", "complex", "complex"},
      {"builtins", "bool", "bool"},
      {"builtins", "str", "str"},
      {"builtins", "unicode", "str"},
      {"builtins", "bytes", "bytes"},
      {"builtins", "bytearray", "bytearray"},
      {"builtins", "slice", "slice"},
      {"builtins", "range", "range"},
      {"builtins", "xrange", "range"},
      {"collections", "OrderedDict", "collections.OrderedDict"},
      {"collections", "defaultdict", "collections.defaultdict"},
      {"collections", "Counter", "collections.Counter"},
      {"argparse", "Namespace", "argparse.Namespace"},
      {"numpy", "ndarray", "numpy.ndarray"},
      {"numpy", "dtype", "numpy.dtype"},
      {"torch", "Size", "torch.Size"},
      {"torch", "device", "torch.device"},
      {"torch", "Tensor", "torch.Tensor"},
      {"torch.nn.parameter", "Parameter", "torch.nn.parameter.Parameter"},
  };
  const absl::string_view module = PythonModule(global.module);
  for (const Class& c : kClasses) {
    if (c.module == module && c.name == global.name) {
      absl::StrAppend(&out_, "<class '", c.shown, "'>");
      return;
    }
  }
  PrintName(global);
}

void PicklePrinter::PrintName(const PickleGlobal& global) {
  AppendVisible(global.module, max_size_, &out_);
  out_.append(".");
  AppendVisible(global.name, max_size_, &out_);
}

void PicklePrinter::PrintRecord(PickleValue value) {
  const std::optional<std::string> numpy = NumpyRepr(value, max_size_);
  if (numpy.has_value()) {
    out_.append(*numpy);
    return;
  }
  const std::optional<std::string> bytes = BytesPrefix(value, max_size_ + 1);
  if (bytes.has_value()) {
    AppendBytesRepr(*bytes, max_size_, &out_);
    return;
  }
  if (!Enter(value, "...")) return;
  const PickleRecord& record = *value.record();
  if (PrintBuiltin(record) || PrintCollection(record) || PrintTorch(record) ||
      PrintNamespace(record)) {
    return;
  }
  PrintCall(record);
}

// Calls of types of Python's own, with the arguments that their pickles have.
bool PicklePrinter::PrintBuiltin(const PickleRecord& record) {
  const PickleGlobal* const global = record.callable().global();
  if (global == nullptr || PythonModule(global->module) != "builtins" ||
      record.has_state() || !record.items().empty() ||
      !record.entries().empty()) {
    return false;
  }
  const absl::string_view name = global->name;
  const Items args = record.args();
  const bool of_items = args.size() == 1 && (args[0].is(PickleKind::kList) ||
                                             args[0].is(PickleKind::kTuple));
  const bool is_set = name == "set";
  if (is_set || name == "frozenset") {
    if (!args.empty() && !of_items) return false;
    if (args.empty() || args[0].items().empty()) {
      out_.append(is_set ? "set()" : "frozenset()");
      return true;
    }
    out_.append(is_set ? "{" : "frozenset({");
    Then({ItemsTask(args[0].items()), TextTask(is_set ? "}" : "})")});
    return true;
  }
  if (name == "complex" && args.size() == 2 && args[0].is(PickleKind::kFloat) &&
      args[1].is(PickleKind::kFloat)) {
    out_.append(ComplexRepr(FloatRepr(args[0].float_value()),
                            FloatRepr(args[1].float_value())));
    return true;
  }
  if (name == "bytearray" && args.size() <= 1) {
    const std::optional<std::string> bytes =
        args.empty() ? std::string() : BytesPrefix(args[0], max_size_ + 1);
    if (!bytes.has_value()) return false;
    AppendByteArrayRepr(*bytes, max_size_, &out_);
    return true;
  }
  // Python 2 has it as bytearray('..', 'latin-1').
  if (name == "bytearray" && args.size() == 2 &&
      args[0].is(PickleKind::kString) && args[1].text() == "latin-1") {
    const std::optional<std::string> bytes =
        Latin1Prefix(args[0].text(), max_size_ + 1);
    if (!bytes.has_value()) return false;
    AppendByteArrayRepr(*bytes, max_size_, &out_);
    return true;
  }
  const bool is_range = name == "range" || name == "xrange";
  if ((is_range || name == "slice") && args.size() == 3) {
    const bool by_one = is_range && args[2].int_value() == 1;
    out_.append(is_range ? "range(" : "slice(");
    Then({ItemsTask(by_one ? args.subspan(0, 2) : args), TextTask(")")});
    return true;
  }
  return false;
}

// OrderedDict, defaultdict, Counter.
bool PicklePrinter::PrintCollection(const PickleRecord& record) {
  const Items args = record.args();
  if (record.Calls("collections", "OrderedDict")) {
    if (args.empty() && record.entries().empty()) {
      out_.append("OrderedDict()");
      return true;
    }
    if (args.empty()) {
      out_.append("OrderedDict([");
      Then({EntriesTask(record.entries(), Style::kPairs), TextTask("])")});
      return true;
    }
    // Python 2: its argument is a list of lists of two.
    if (args.size() != 1 || !args[0].is(PickleKind::kList)) return false;
    for (const PickleValue pair : args[0].items()) {
      if (pair.items().size() != 2) return false;
    }
    out_.append("OrderedDict([");
    std::vector<Task> pairs;
    for (const PickleValue pair : args[0].items().subspan(
             0, std::min<size_t>(max_size_, args[0].items().size()))) {
      if (!pairs.empty()) pairs.push_back(TextTask(", "));
      pairs.push_back(TextTask("("));
      pairs.push_back(ItemsTask(pair.items()));
      pairs.push_back(TextTask(")"));
    }
    pairs.push_back(TextTask("])"));
    tasks_.insert(tasks_.end(), pairs.rbegin(), pairs.rend());
    return true;
  }
  if (record.Calls("collections", "defaultdict") && args.size() <= 1) {
    out_.append("defaultdict(");
    Then({ValueTask(args.empty() ? PickleValue() : args[0]), TextTask(", {"),
          EntriesTask(record.entries(), Style::kDict), TextTask("})")});
    return true;
  }
  if (record.Calls("collections", "Counter") && args.size() <= 1 &&
      (args.empty() || args[0].is(PickleKind::kDict))) {
    return PrintCounter(args.empty() ? record.entries() : args[0].entries());
  }
  return false;
}

// In descending order of the counts.
bool PicklePrinter::PrintCounter(Entries entries) {
  if (entries.empty()) {
    out_.append("Counter()");
    return true;
  }
  constexpr size_t kMostSorted = 1000;
  auto sorted = std::make_unique<std::vector<PickleEntry>>(
      entries.begin(),
      entries.begin() + std::min<size_t>(kMostSorted, entries.size()));
  std::stable_sort(sorted->begin(), sorted->end(),
                   [](const PickleEntry& a, const PickleEntry& b) {
                     return a.value.int_value() > b.value.int_value();
                   });
  const Entries rest = entries.subspan(sorted->size());
  out_.append("Counter({");
  Then({EntriesTask(*sorted, Style::kDict), TextTask(rest.empty() ? "" : ", "),
        EntriesTask(rest, Style::kDict), TextTask("})")});
  sorted_.push_back(std::move(sorted));
  return true;
}

bool PicklePrinter::PrintTorch(const PickleRecord& record) {
  const Items args = record.args();
  if (record.Calls("torch", "Size") && args.size() == 1 &&
      args[0].is(PickleKind::kTuple)) {
    out_.append("torch.Size([");
    Then({ItemsTask(args[0].items()), TextTask("])")});
    return true;
  }
  if (record.Calls("torch.serialization", "_get_layout") && args.size() == 1 &&
      args[0].is(PickleKind::kString)) {
    AppendVisible(args[0].text(), max_size_, &out_);
    return true;
  }
  return record.Calls("torch", "device") && PrintDevice(record);
}

// device('cuda:0') and device('cuda', 0) are one.
bool PicklePrinter::PrintDevice(const PickleRecord& record) {
  const Items args = record.args();
  if (args.empty() || args.size() > 2 || !args[0].is(PickleKind::kString)) {
    return false;
  }
  absl::string_view type = args[0].text();
  std::optional<int64_t> index;
  if (args.size() == 2) {
    if (!args[1].is(PickleKind::kInt)) return false;
    index = args[1].int_value();
  } else if (const size_t colon = type.find(':');
             colon != absl::string_view::npos) {
    int64_t number;
    if (!absl::SimpleAtoi(type.substr(colon + 1), &number)) return false;
    index = number;
    type = type.substr(0, colon);
  }
  out_.append("device(type=");
  AppendStrRepr(type, max_size_, &out_);
  if (index.has_value()) absl::StrAppend(&out_, ", index=", *index);
  out_.append(")");
  return true;
}

// Made by its class without arguments, or by Python's helper for protocols 0
// and 1; its attributes are the state.
bool PicklePrinter::PrintNamespace(const PickleRecord& record) {
  const Items args = record.args();
  const bool is_plain = record.Calls("argparse", "Namespace") && args.empty();
  const bool is_reconstructed =
      (record.Calls("copyreg", "_reconstructor") ||
       record.Calls("copy_reg", "_reconstructor")) &&
      !args.empty() && IsPythonGlobal(args[0], "argparse", "Namespace");
  const PickleValue state = record.state();
  if ((!is_plain && !is_reconstructed) ||
      (record.has_state() && !state.is(PickleKind::kDict))) {
    return false;
  }
  // Names that are no identifiers come last: Namespace(a=1, **{'b-c': 2}).
  auto keywords = std::make_unique<std::vector<PickleEntry>>();
  auto others = std::make_unique<std::vector<PickleEntry>>();
  for (const PickleEntry& entry : state.entries().subspan(
           0, std::min<size_t>(max_size_, state.entries().size()))) {
    const bool is_keyword = entry.key.is(PickleKind::kString) &&
                            IsIdentifier(entry.key.text().substr(0, 1024));
    (is_keyword ? keywords : others)->push_back(entry);
  }
  out_.append("Namespace(");
  Then({EntriesTask(*keywords, Style::kKeyword),
        TextTask(keywords->empty() || others->empty() ? "" : ", "),
        TextTask(others->empty() ? "" : "**{"),
        EntriesTask(*others, Style::kDict),
        TextTask(others->empty() ? ")" : "})")});
  sorted_.push_back(std::move(keywords));
  sorted_.push_back(std::move(others));
  return true;
}

void PicklePrinter::PrintCall(const PickleRecord& record) {
  const PickleGlobal* const global = record.callable().global();
  std::vector<Task> tasks;
  if (global != nullptr) {
    PrintName(*global);
    out_.append("(");
  } else {
    tasks.push_back(ValueTask(record.callable()));
    tasks.push_back(TextTask("("));
  }
  bool is_first = true;
  const auto part = [&](const char* before, Task task, const char* after) {
    if (!is_first) tasks.push_back(TextTask(", "));
    is_first = false;
    tasks.push_back(TextTask(before));
    tasks.push_back(task);
    tasks.push_back(TextTask(after));
  };
  if (!record.args().empty()) part("", ItemsTask(record.args()), "");
  if (!record.kwargs().entries().empty()) {
    part("**", ValueTask(record.kwargs()), "");
  }
  if (record.has_state()) part("state=", ValueTask(record.state()), "");
  if (!record.items().empty()) part("items=[", ItemsTask(record.items()), "]");
  if (!record.entries().empty()) {
    part("entries={", EntriesTask(record.entries(), Style::kDict), "}");
  }
  tasks.push_back(TextTask(")"));
  tasks_.insert(tasks_.end(), tasks.rbegin(), tasks.rend());
}

}  // namespace checkpoint_internal
}  // namespace pretrained
