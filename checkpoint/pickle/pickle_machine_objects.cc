// Opcodes that make and fill containers, globals and records.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/error_text.h"
#include "checkpoint/pickle/pickle_decode.h"
#include "checkpoint/pickle/pickle_globals.h"
#include "checkpoint/pickle/pickle_machine.h"

namespace pretrained {
namespace checkpoint_internal {

// Capacities double; what is outgrown stays in the arena, less than the rest.
template <typename T>
void PickleMachine::Append(PickleSequence<T>* sequence, const T& item) {
  if (sequence->size == sequence->capacity) {
    sequence->capacity = std::max<uint32_t>(2, 2 * sequence->capacity);
    T* const grown = arena_.Allocate<T>(sequence->capacity);
    std::copy(sequence->data, sequence->data + sequence->size, grown);
    sequence->data = grown;
  }
  sequence->data[sequence->size++] = item;
}

PickleValue PickleMachine::Values(PickleKind kind,
                                  absl::Span<const PickleValue> items) {
  PickleValue result;
  result.kind_ = kind;
  result.size_ = static_cast<uint32_t>(items.size());
  result.values_ = nullptr;
  if (!items.empty()) {
    PickleValue* const copy = arena_.Allocate<PickleValue>(items.size());
    std::copy(items.begin(), items.end(), copy);
    result.values_ = copy;
  }
  return result;
}

PickleValue PickleMachine::NewList(PickleKind kind,
                                   absl::Span<const PickleValue> items) {
  PickleValue result;
  result.kind_ = kind;
  result.list_ = arena_.New(PickleValue::ListNode());
  if (!items.empty()) {
    PickleValue* const copy = arena_.Allocate<PickleValue>(items.size());
    std::copy(items.begin(), items.end(), copy);
    const uint32_t size = static_cast<uint32_t>(items.size());
    *result.list_ = {copy, size, size};
  }
  return result;
}

PickleValue PickleMachine::NewDict() {
  PickleValue result;
  result.kind_ = PickleKind::kDict;
  result.dict_ = arena_.New(PickleValue::DictNode());
  return result;
}

PickleValue PickleMachine::NewRecord(PickleValue callable, PickleValue args) {
  PickleRecord record;
  record.callable_ = callable;
  record.args_ = args;
  PickleValue result;
  result.kind_ = PickleKind::kRecord;
  result.record_ = arena_.New(record);
  return result;
}

PickleRecordExtras* PickleMachine::Extras(PickleRecord* record) {
  if (record->extras_ == nullptr) {
    record->extras_ = arena_.New(PickleRecordExtras());
  }
  return record->extras_;
}

template <PickleKind kKind>
bool PickleMachine::OpEmpty() {
  switch (kKind) {
    case PickleKind::kTuple:
      return Push(Values(kKind, {}));
    case PickleKind::kDict:
      return Push(NewDict());
    default:
      return Push(NewList(kKind, {}));
  }
}

template <PickleKind kKind>
bool PickleMachine::OpSequence() {
  size_t begin;
  if (!PopMark(&begin)) return false;
  const PickleValue made = kKind == PickleKind::kList
                               ? NewList(kKind, Above(begin))
                               : Values(kKind, Above(begin));
  stack_.resize(begin);
  return Push(made);
}

template <int kSize>
bool PickleMachine::OpTupleN() {
  if (!Need(kSize)) return false;
  const size_t begin = stack_.size() - kSize;
  const PickleValue made = Values(PickleKind::kTuple, Above(begin));
  stack_.resize(begin);
  return Push(made);
}

// What stands at and above `begin` goes into the list, set or record below it.
bool PickleMachine::AppendItems(size_t begin, PickleKind kind) {
  if (begin == fence()) return Need(1 + stack_.size() - begin);
  const PickleValue target = stack_[begin - 1];
  PickleSequence<PickleValue>* items = nullptr;
  if (target.is(kind)) {
    items = target.list_;
  } else if (target.is(PickleKind::kRecord)) {
    items = &Extras(target.record_)->items;
  } else {
    return FailDamaged(absl::StrCat("found a ", PickleKindName(target.kind()),
                                    " to add to, but a ", PickleKindName(kind),
                                    " is expected"));
  }
  for (const PickleValue& item : Above(begin)) Append(items, item);
  stack_.resize(begin);
  return true;
}

bool PickleMachine::OpAppend() {
  return Need(2) && AppendItems(stack_.size() - 1, PickleKind::kList);
}

bool PickleMachine::OpAppends() {
  size_t begin;
  return PopMark(&begin) && AppendItems(begin, PickleKind::kList);
}

bool PickleMachine::OpAddItems() {
  size_t begin;
  return PopMark(&begin) && AppendItems(begin, PickleKind::kSet);
}

// Python cannot hash these, and so no dict has them as keys.
bool PickleMachine::CheckKey(PickleValue key) {
  switch (key.kind()) {
    case PickleKind::kList:
    case PickleKind::kDict:
    case PickleKind::kSet:
    case PickleKind::kByteArray:
      return FailDamaged(absl::StrCat("found a ", PickleKindName(key.kind()),
                                      " as a key, which Python cannot hash"));
    default:
      return true;
  }
}

// The keys and values at and above `begin` go into the dict or record below.
bool PickleMachine::SetEntries(size_t begin) {
  const size_t count = stack_.size() - begin;
  if (begin == fence()) return Need(1 + count);
  if (count % 2 != 0) {
    return FailDamaged(
        absl::StrCat("found ", count, " values, but pairs are expected"));
  }
  const PickleValue target = stack_[begin - 1];
  PickleSequence<PickleEntry>* entries = nullptr;
  if (target.is(PickleKind::kDict)) {
    entries = target.dict_;
  } else if (target.is(PickleKind::kRecord)) {
    entries = &Extras(target.record_)->entries;
  } else {
    return FailDamaged(absl::StrCat("found a ", PickleKindName(target.kind()),
                                    " to set entries of, but a dict is "
                                    "expected"));
  }
  for (size_t i = begin; i < stack_.size(); i += 2) {
    if (!CheckKey(stack_[i])) return false;
    Append(entries, PickleEntry{stack_[i], stack_[i + 1]});
  }
  stack_.resize(begin);
  return true;
}

bool PickleMachine::OpSetItem() {
  return Need(3) && SetEntries(stack_.size() - 2);
}

bool PickleMachine::OpSetItems() {
  size_t begin;
  return PopMark(&begin) && SetEntries(begin);
}

bool PickleMachine::OpDict() {
  size_t begin;
  if (!PopMark(&begin)) return false;
  stack_.insert(stack_.begin() + static_cast<ptrdiff_t>(begin), NewDict());
  return SetEntries(begin + 1);
}

bool PickleMachine::PushGlobal(absl::string_view module,
                               absl::string_view name) {
  const auto [slot, is_new] =
      global_by_name_.try_emplace(std::make_pair(module, name), nullptr);
  if (is_new) {
    if (!IsPickleUtf8(module) || !IsPickleUtf8(name)) {
      return FailDamaged(absl::StrCat("found the global ", QuotedName(module),
                                      " ", QuotedName(name),
                                      ", but UTF-8 is expected"));
    }
    slot->second = arena_.New(
        PickleGlobal{module, name, static_cast<int64_t>(op_offset_)});
    globals_.push_back(slot->second);
    if (options_.refuse_dangerous_globals &&
        ClassifyPickleGlobal(module, name) == PickleGlobalClass::kDangerous) {
      return Fail(
          absl::StatusCode::kPermissionDenied,
          absl::StrCat("the pickle names ",
                       QuotedName(absl::StrCat(module, ".", name)),
                       ", which can only be there to execute something; do "
                       "not load this file in Python"));
    }
  }
  PickleValue result;
  result.kind_ = PickleKind::kGlobal;
  result.global_ = slot->second;
  return Push(result);
}

bool PickleMachine::OpGlobal() {
  absl::string_view module;
  absl::string_view name;
  return TakeLine(&module) && TakeLine(&name) && PushGlobal(module, name);
}

bool PickleMachine::OpStackGlobal() {
  PickleValue module;
  PickleValue name;
  if (!Need(2) || !Pop(&name) || !Pop(&module)) return false;
  if (module.is(PickleKind::kString) && name.is(PickleKind::kString)) {
    return PushGlobal(module.text(), name.text());
  }
  return FailDamaged(absl::StrCat("found a ", PickleKindName(module.kind()),
                                  " and a ", PickleKindName(name.kind()),
                                  " as module and name, but str is expected"));
}

// Python would find out by calling it. A call of what a call made is rare, and
// so is a class that is stored outside (the "module" ids of old files).
bool PickleMachine::CheckCallable(PickleValue callable) {
  switch (callable.kind()) {
    case PickleKind::kGlobal:
    case PickleKind::kRecord:
    case PickleKind::kPersistent:
      return true;
    default:
      return FailDamaged(absl::StrCat("found a ",
                                      PickleKindName(callable.kind()),
                                      " to call, but a global is expected"));
  }
}

// REDUCE and NEWOBJ: a callable or class, and the tuple of its arguments.
bool PickleMachine::OpReduce() {
  PickleValue callable;
  PickleValue args;
  if (!Need(2) || !Pop(&args) || !Pop(&callable)) return false;
  if (!CheckCallable(callable)) return false;
  if (!args.is(PickleKind::kTuple)) {
    return FailDamaged(absl::StrCat("found a ", PickleKindName(args.kind()),
                                    " of arguments, but a tuple is expected"));
  }
  return Push(NewRecord(callable, args));
}

bool PickleMachine::OpNewObjEx() {
  PickleValue kwargs;
  if (!Need(3) || !Pop(&kwargs)) return false;
  if (!kwargs.is(PickleKind::kDict)) {
    return FailDamaged(absl::StrCat("found a ", PickleKindName(kwargs.kind()),
                                    " of keyword arguments, but a dict is "
                                    "expected"));
  }
  if (!OpReduce()) return false;
  Extras(stack_.back().record_)->kwargs = kwargs;
  return true;
}

bool PickleMachine::OpInst() {
  size_t begin;
  if (!PopMark(&begin)) return false;
  const PickleValue args = Values(PickleKind::kTuple, Above(begin));
  stack_.resize(begin);
  if (!OpGlobal()) return false;
  stack_.back() = NewRecord(stack_.back(), args);
  return true;
}

bool PickleMachine::OpObj() {
  size_t begin;
  if (!PopMark(&begin)) return false;
  if (begin == stack_.size()) {
    return FailDamaged("found nothing above the MARK, but a class is expected");
  }
  const PickleValue callable = stack_[begin];
  if (!CheckCallable(callable)) return false;
  const PickleValue args = Values(PickleKind::kTuple, Above(begin + 1));
  stack_.resize(begin);
  return Push(NewRecord(callable, args));
}

// Only what the pickle itself makes may be given a state: on a global it would
// change what is imported.
bool PickleMachine::OpBuild() {
  PickleValue state;
  if (!Need(2) || !Pop(&state)) return false;
  const PickleValue target = stack_.back();
  if (!target.is(PickleKind::kRecord)) {
    return FailDamaged(absl::StrCat("found a ", PickleKindName(target.kind()),
                                    " to give a state to, but an object is "
                                    "expected"));
  }
  PickleRecordExtras* const extras = Extras(target.record_);
  extras->state = state;
  extras->has_state = true;
  return true;
}

bool PickleMachine::OpPersId() {
  absl::string_view line;
  if (!TakeLine(&line)) return false;
  if (!IsPickleUtf8(line)) {
    return FailDamaged(
        absl::StrCat("found ", QuotedName(line), ", but UTF-8 is expected"));
  }
  return Push(Text(PickleKind::kString, line)) && OpBinPersId();
}

bool PickleMachine::OpBinPersId() {
  PickleValue id;
  if (!Pop(&id)) return false;
  PickleValue result;
  result.kind_ = PickleKind::kPersistent;
  result.values_ = arena_.New(id);
  return Push(result);
}

void PickleMachine::AddObjectOpcodes(std::array<Opcode, 256>* ops) {
  using M = PickleMachine;
  using K = PickleKind;
  const auto set = [ops](uint8_t code, const char* name, bool (M::*run)()) {
    (*ops)[code] = Opcode{name, run};
  };
  set(']', "EMPTY_LIST", &M::OpEmpty<K::kList>);
  set(')', "EMPTY_TUPLE", &M::OpEmpty<K::kTuple>);
  set('}', "EMPTY_DICT", &M::OpEmpty<K::kDict>);
  set(0x8F, "EMPTY_SET", &M::OpEmpty<K::kSet>);
  set('l', "LIST", &M::OpSequence<K::kList>);
  set('t', "TUPLE", &M::OpSequence<K::kTuple>);
  set(0x91, "FROZENSET", &M::OpSequence<K::kFrozenSet>);
  set(0x85, "TUPLE1", &M::OpTupleN<1>);
  set(0x86, "TUPLE2", &M::OpTupleN<2>);
  set(0x87, "TUPLE3", &M::OpTupleN<3>);
  set('d', "DICT", &M::OpDict);
  set('a', "APPEND", &M::OpAppend);
  set('e', "APPENDS", &M::OpAppends);
  set(0x90, "ADDITEMS", &M::OpAddItems);
  set('s', "SETITEM", &M::OpSetItem);
  set('u', "SETITEMS", &M::OpSetItems);
  set('c', "GLOBAL", &M::OpGlobal);
  set(0x93, "STACK_GLOBAL", &M::OpStackGlobal);
  set('R', "REDUCE", &M::OpReduce);
  set(0x81, "NEWOBJ", &M::OpReduce);
  set(0x92, "NEWOBJ_EX", &M::OpNewObjEx);
  set('b', "BUILD", &M::OpBuild);
  set('i', "INST", &M::OpInst);
  set('o', "OBJ", &M::OpObj);
  set('P', "PERSID", &M::OpPersId);
  set('Q', "BINPERSID", &M::OpBinPersId);
}

}  // namespace checkpoint_internal
}  // namespace pretrained
