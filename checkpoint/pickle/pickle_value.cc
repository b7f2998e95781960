#include "checkpoint/pickle/pickle_value.h"

#include <cstddef>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace pretrained {

absl::string_view PickleKindName(PickleKind kind) {
  switch (kind) {
    case PickleKind::kNone:
      return "None";
    case PickleKind::kBool:
      return "bool";
    case PickleKind::kInt:
    case PickleKind::kBigInt:
      return "int";
    case PickleKind::kFloat:
      return "float";
    case PickleKind::kString:
      return "str";
    case PickleKind::kBytes:
      return "bytes";
    case PickleKind::kByteArray:
      return "bytearray";
    case PickleKind::kList:
      return "list";
    case PickleKind::kTuple:
      return "tuple";
    case PickleKind::kDict:
      return "dict";
    case PickleKind::kSet:
      return "set";
    case PickleKind::kFrozenSet:
      return "frozenset";
    case PickleKind::kGlobal:
      return "global";
    case PickleKind::kRecord:
      return "record";
    case PickleKind::kPersistent:
      return "persistent id";
  }
  return "value";
}

absl::Span<const PickleValue> PickleValue::items() const {
  switch (kind_) {
    case PickleKind::kList:
    case PickleKind::kSet:
      return absl::MakeConstSpan(list_->data, list_->size);
    case PickleKind::kTuple:
    case PickleKind::kFrozenSet:
      return absl::MakeConstSpan(values_, size_);
    default:
      return {};
  }
}

absl::Span<const PickleEntry> PickleValue::entries() const {
  if (!is(PickleKind::kDict)) return {};
  return absl::MakeConstSpan(dict_->data, dict_->size);
}

PickleValue PickleValue::persistent_id() const {
  return is(PickleKind::kPersistent) ? *values_ : PickleValue();
}

const void* PickleValue::identity() const {
  switch (kind_) {
    case PickleKind::kList:
    case PickleKind::kSet:
      return list_;
    case PickleKind::kTuple:
    case PickleKind::kFrozenSet:
    case PickleKind::kPersistent:
      return values_;
    case PickleKind::kDict:
      return dict_;
    case PickleKind::kGlobal:
      return global_;
    case PickleKind::kRecord:
      return record_;
    default:
      return nullptr;
  }
}

PickleValue PickleRecord::kwargs() const {
  return extras_ == nullptr ? PickleValue() : extras_->kwargs;
}

PickleValue PickleRecord::state() const {
  return extras_ == nullptr ? PickleValue() : extras_->state;
}

bool PickleRecord::has_state() const {
  return extras_ != nullptr && extras_->has_state;
}

absl::Span<const PickleValue> PickleRecord::items() const {
  if (extras_ == nullptr) return {};
  return absl::MakeConstSpan(extras_->items.data, extras_->items.size);
}

absl::Span<const PickleEntry> PickleRecord::entries() const {
  if (extras_ == nullptr) return {};
  return absl::MakeConstSpan(extras_->entries.data, extras_->entries.size);
}

bool PickleRecord::Calls(absl::string_view module,
                         absl::string_view name) const {
  const PickleGlobal* const global = callable_.global();
  return global != nullptr && global->name == name && global->module == module;
}

}  // namespace pretrained
