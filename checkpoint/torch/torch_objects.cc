#include "checkpoint/torch/torch_objects.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/error_text.h"
#include "checkpoint/pickle/pickle.h"
#include "checkpoint/pickle/pickle_globals.h"
#include "checkpoint/pickle/pickle_text.h"
#include "checkpoint/pickle/pickle_value.h"
#include "checkpoint/torch/torch_tensor_record.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// The entries of what is a dict in Python: a dict, or one of the classes of
// `collections` with what it was called with and what was set later.
class DictView {
 public:
  // False if `value` is no dict.
  bool Init(PickleValue value) {
    if (value.is(PickleKind::kDict)) {
      own_ = value.entries();
      return true;
    }
    const PickleRecord* const record = value.record();
    if (record == nullptr) return false;
    const bool is_default = record->Calls("collections", "defaultdict");
    if (!is_default && !record->Calls("collections", "OrderedDict") &&
        !record->Calls("collections", "Counter") &&
        !record->Calls("builtins", "dict") &&
        !record->Calls("__builtin__", "dict")) {
      return false;
    }
    own_ = record->entries();
    if (is_default || record->args().empty()) return true;
    // Python 2 calls OrderedDict with a list of lists of two, and Counter is
    // called with a dict.
    const PickleValue from = record->args()[0];
    if (record->args().size() != 1) return false;
    if (from.is(PickleKind::kDict)) {
      given_ = from.entries();
      return true;
    }
    pairs_ = from.items();
    return from.is(PickleKind::kList) &&
           std::all_of(pairs_.begin(), pairs_.end(), [](PickleValue pair) {
             return pair.items().size() == 2;
           });
  }

  size_t size() const { return pairs_.size() + given_.size() + own_.size(); }

  PickleEntry entry(size_t i) const {
    if (i < pairs_.size()) {
      const absl::Span<const PickleValue> pair = pairs_[i].items();
      return PickleEntry{pair[0], pair[1]};
    }
    i -= pairs_.size();
    return i < given_.size() ? given_[i] : own_[i - given_.size()];
  }

 private:
  absl::Span<const PickleValue> pairs_;
  absl::Span<const PickleEntry> given_;
  absl::Span<const PickleEntry> own_;
};

// What a dict, list or tuple holds, seen as entries.
class Children {
 public:
  bool Init(PickleValue value) {
    if (value.is(PickleKind::kList) || value.is(PickleKind::kTuple)) {
      is_dict_ = false;
      items_ = value.items();
      return true;
    }
    return dict_.Init(value);
  }

  bool is_dict() const { return is_dict_; }
  size_t size() const { return is_dict_ ? dict_.size() : items_.size(); }
  PickleValue value(size_t i) const {
    return is_dict_ ? dict_.entry(i).value : items_[i];
  }
  // As it appears in paths; cut, with a mark, beyond kMaxTorchNameBytes.
  std::string name(size_t i) const {
    if (!is_dict_) return absl::StrCat(i);
    return PickleKeyText(dict_.entry(i).key, kMaxTorchNameBytes);
  }

 private:
  bool is_dict_ = true;
  DictView dict_;
  absl::Span<const PickleValue> items_;
};

// Which containers have a tensor in them, at any depth: each is looked into
// once, however often it is shared.
class TensorFinder {
 public:
  bool Holds(PickleValue value) {
    if (IsTensorRecord(value)) return true;
    const void* const id = value.identity();
    const auto known = holds_.find(id);
    if (known != holds_.end()) return known->second;
    Push(value);
    while (!frames_.empty()) Step();
    const auto found = holds_.find(id);
    return found != holds_.end() && found->second;
  }

 private:
  struct Frame {
    const void* id = nullptr;
    Children children;
    size_t next = 0;
    bool holds = false;
  };

  // Until it is known better, a container holds none: one that is inside itself
  // does not add to what it holds.
  void Push(PickleValue value) {
    Frame frame;
    frame.id = value.identity();
    if (!frame.children.Init(value) || frame.id == nullptr) return;
    if (holds_.try_emplace(frame.id, false).second) {
      frames_.push_back(std::move(frame));
    }
  }

  void Step() {
    Frame& frame = frames_.back();
    if (frame.holds || frame.next == frame.children.size()) {
      holds_[frame.id] = frame.holds;
      const bool holds = frame.holds;
      frames_.pop_back();
      if (holds && !frames_.empty()) frames_.back().holds = true;
      return;
    }
    const PickleValue child = frame.children.value(frame.next++);
    if (IsTensorRecord(child)) {
      frame.holds = true;
      return;
    }
    const auto known = holds_.find(child.identity());
    if (known == holds_.end()) {
      Push(child);
    } else if (known->second) {
      frame.holds = true;
    }
  }

  absl::flat_hash_map<const void*, bool> holds_;
  std::vector<Frame> frames_;
};

// Walks the state dict by path.
class Flattener {
 public:
  Flattener(const Pickle& pickle, absl::string_view file_name,
            TorchObjects* objects)
      : pickle_(pickle),
        file_name_(file_name),
        objects_(objects),
        tensors_(file_name, objects),
        visits_left_(kMinTorchVisits + pickle.bytes_consumed()),
        name_bytes_left_(kMinTorchNamesBytes +
                         kMaxTorchNamesPerByte * pickle.bytes_consumed()),
        value_bytes_left_(kMaxTorchValuesBytes) {}

  absl::Status Run();

 private:
  struct Frame {
    Children children;
    size_t next = 0;
    size_t path_size = 0;  // Of path_, without a dot behind.
    bool is_state_dict = false;
  };

  absl::Status Error(absl::StatusCode code, absl::string_view what) const {
    return absl::Status(code, absl::StrCat(file_name_, ": ", what));
  }
  absl::Status NoStateDict() const;
  absl::Status Exhausted(absl::string_view what) const;
  absl::Status Enter(PickleValue value, bool is_root);
  absl::Status Step();
  absl::Status Visit(PickleValue value, bool is_state_dict_entry);
  absl::Status AddName();
  absl::Status AddValue(PickleValue value);
  bool IsForeign(PickleValue value) const;

  const Pickle& pickle_;
  const absl::string_view file_name_;
  TorchObjects* const objects_;
  TorchTensorReader tensors_;
  TensorFinder finder_;
  std::vector<Frame> frames_;
  std::string path_;
  absl::flat_hash_set<std::string> names_;
  int64_t visits_left_;
  int64_t name_bytes_left_;
  int64_t value_bytes_left_;
};

absl::Status Flattener::Run() {
  Children children;
  if (!children.Init(pickle_.root()) || !children.is_dict()) {
    return NoStateDict();
  }
  for (const PickleGlobal* global : pickle_.globals()) {
    if (ClassifyPickleGlobal(global->module, global->name) ==
        PickleGlobalClass::kUnknown) {
      objects_->unknown_globals.push_back(
          absl::StrCat(global->module, ".", global->name));
    }
  }
  absl::Status status = Enter(pickle_.root(), /*is_root=*/true);
  while (status.ok() && !frames_.empty()) status = Step();
  if (!status.ok()) return status;
  return tensors_.CheckStorages();
}

absl::Status Flattener::NoStateDict() const {
  const PickleValue root = pickle_.root();
  const PickleRecord* const record = root.record();
  if (record == nullptr) {
    return Error(absl::StatusCode::kDataLoss,
                 absl::StrCat("found a ", PickleKindName(root.kind()),
                              ", but a state dict is expected; save a dict of "
                              "tensors"));
  }
  if (IsTensorRecord(root)) {
    return Error(absl::StatusCode::kDataLoss,
                 "found a single tensor, but a state dict is expected; save a "
                 "dict of tensors");
  }
  return Error(absl::StatusCode::kDataLoss,
               absl::StrCat("found a whole pickled object (",
                            PickleText(record->callable(), 200),
                            "), not a state dict; save its state_dict()"));
}

absl::Status Flattener::Exhausted(absl::string_view what) const {
  return Error(absl::StatusCode::kResourceExhausted,
               absl::StrCat("at ", QuotedName(path_), ": ", what,
                            "; no state dict that torch.save wrote has that"));
}

// Starts on a container, at the path so far.
absl::Status Flattener::Enter(PickleValue value, bool is_root) {
  if (frames_.size() == kMaxTorchDepth) {
    return Exhausted(absl::StrCat("more than ", kMaxTorchDepth,
                                  " dicts and lists inside each other"));
  }
  Frame frame;
  frame.children.Init(value);
  frame.path_size = path_.size();
  if (frame.children.is_dict()) {
    frame.is_state_dict = is_root && !finder_.Holds(value);
    for (size_t i = 0; i < frame.children.size() && !frame.is_state_dict; ++i) {
      frame.is_state_dict = IsTensorRecord(frame.children.value(i));
    }
  }
  // The loop above, too, counts: a shared dict is entered again and again.
  visits_left_ -= static_cast<int64_t>(frame.children.size());
  if (visits_left_ < 0) {
    return Exhausted("more entries than the pickle can spell out");
  }
  frames_.push_back(std::move(frame));
  return absl::OkStatus();
}

absl::Status Flattener::Step() {
  Frame& frame = frames_.back();
  path_.resize(frame.path_size);
  if (frame.next == frame.children.size()) {
    frames_.pop_back();
    return absl::OkStatus();
  }
  const size_t i = frame.next++;
  if (frames_.size() > 1) path_.push_back('.');
  path_.append(frame.children.name(i));
  if (path_.size() > kMaxTorchNameBytes) {
    return Exhausted(
        absl::StrCat("a name of more than ", kMaxTorchNameBytes, " bytes"));
  }
  return Visit(frame.children.value(i), frame.is_state_dict);
}

absl::Status Flattener::Visit(PickleValue value, bool is_state_dict_entry) {
  if (IsTensorRecord(value)) {
    const absl::Status status = AddName();
    return status.ok() ? tensors_.Read(value, path_) : status;
  }
  Children children;
  if (children.Init(value) && children.size() > 0 &&
      (children.is_dict() || finder_.Holds(value))) {
    return Enter(value, /*is_root=*/false);
  }
  if (is_state_dict_entry && IsForeign(value)) {
    return Error(
        absl::StatusCode::kUnimplemented,
        absl::StrCat("entry ", QuotedName(path_), " of the state dict is ",
                     PickleText(value, 200),
                     ", which only its own code can make; save tensors"));
  }
  return AddValue(value);
}

// What nobody but the code that a pickle names can make, or that code itself.
bool Flattener::IsForeign(PickleValue value) const {
  const PickleRecord* const record = value.record();
  if (record == nullptr && value.global() == nullptr) return false;
  const PickleGlobal* const global =
      record != nullptr ? record->callable().global() : value.global();
  return global == nullptr ||
         ClassifyPickleGlobal(global->module, global->name) !=
             PickleGlobalClass::kKnown;
}

absl::Status Flattener::AddName() {
  name_bytes_left_ -= static_cast<int64_t>(path_.size());
  if (name_bytes_left_ < 0) {
    return Exhausted("more names than the pickle can spell out");
  }
  if (!names_.insert(path_).second) {
    return Error(
        absl::StatusCode::kDataLoss,
        absl::StrCat("two entries of the state dict are called ",
                     QuotedName(path_), "; nobody can tell which is meant"));
  }
  return absl::OkStatus();
}

absl::Status Flattener::AddValue(PickleValue value) {
  const absl::Status status = AddName();
  if (!status.ok()) return status;
  std::string text =
      PickleText(value, std::min(kMaxTorchValueBytes, value_bytes_left_));
  value_bytes_left_ -=
      std::min(value_bytes_left_, static_cast<int64_t>(text.size()));
  objects_->values.emplace_back(path_, std::move(text));
  return absl::OkStatus();
}

}  // namespace
}  // namespace checkpoint_internal

absl::StatusOr<TorchObjects> ReadTorchObjects(const Pickle& pickle,
                                              absl::string_view file_name) {
  TorchObjects objects;
  const absl::Status status =
      checkpoint_internal::Flattener(pickle, file_name, &objects).Run();
  if (!status.ok()) return status;
  return objects;
}

}  // namespace pretrained
