#ifndef PRETRAINED_CHECKPOINT_PICKLE_PICKLE_VALUE_H_
#define PRETRAINED_CHECKPOINT_PICKLE_PICKLE_VALUE_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace pretrained {

enum class PickleKind : uint8_t {
  kNone,
  kBool,
  kInt,     // Fits 64 bits.
  kBigInt,  // Does not; text() is its two's complement, little-endian.
  kFloat,
  kString,  // UTF-8; a lone surrogate is three bytes, as Python's
            // "surrogatepass" writes it.
  kBytes,
  kByteArray,
  kList,
  kTuple,
  kDict,
  kSet,
  kFrozenSet,
  kGlobal,      // A name in a module, never imported.
  kRecord,      // What a call would have made, never called.
  kPersistent,  // An object outside the pickle: a storage, in checkpoints.
};

// "None", "int", "str", "dict", .. as Python names the type; "global",
// "record" and "persistent id" for the last three.
absl::string_view PickleKindName(PickleKind kind);

struct PickleEntry;
struct PickleGlobal;
class PickleRecord;

namespace checkpoint_internal {

// A list that may still grow while the pickle is read.
template <typename T>
struct PickleSequence {
  T* data = nullptr;
  uint32_t size = 0;
  uint32_t capacity = 0;
};

struct PickleRecordExtras;
class PickleMachine;

}  // namespace checkpoint_internal

// One value of a parsed pickle: a handle of 16 bytes, copied freely.
//
//   for (const PickleEntry& entry : value.entries()) {
//     if (entry.key.text() == "epoch") return entry.value.int_value();
//   }
//
// Every accessor may be called on every kind; on one that does not have what is
// asked for it gives nothing: 0, an empty view, nullptr.
// Lifetime: handles, and what they give views of, live as long as the Pickle
//     they came from (and the bytes that it was parsed from, see pickle.h).
class PickleValue {
 public:
  constexpr PickleValue() = default;  // None.

  PickleKind kind() const { return kind_; }
  bool is(PickleKind kind) const { return kind_ == kind; }

  bool bool_value() const { return is(PickleKind::kBool) && int_ != 0; }
  // An int, or a bool as Python counts it.
  int64_t int_value() const {
    return is(PickleKind::kInt) || is(PickleKind::kBool) ? int_ : 0;
  }
  double float_value() const { return is(PickleKind::kFloat) ? float_ : 0; }

  // A string, bytes, a bytearray, or the bytes of a big int.
  absl::string_view text() const {
    switch (kind_) {
      case PickleKind::kString:
      case PickleKind::kBytes:
      case PickleKind::kByteArray:
      case PickleKind::kBigInt:
        return absl::string_view(text_, size_);
      default:
        return absl::string_view();
    }
  }

  // What a list, tuple, set or frozenset holds, in stored order; a set may
  // repeat itself.
  absl::Span<const PickleValue> items() const;

  // What a dict holds, in the order in which it was stored. A key that was set
  // twice is there twice; Python keeps the later value.
  absl::Span<const PickleEntry> entries() const;

  const PickleGlobal* global() const {
    return is(PickleKind::kGlobal) ? global_ : nullptr;
  }
  const PickleRecord* record() const {
    return is(PickleKind::kRecord) ? record_ : nullptr;
  }
  // The id, usually a tuple, of a persistent value; None of any other.
  PickleValue persistent_id() const;

  // The same for two handles of one object (`is` in Python); nullptr for what
  // has no identity: numbers, text, None, the empty tuple.
  const void* identity() const;

 private:
  friend class checkpoint_internal::PickleMachine;

  using ListNode = checkpoint_internal::PickleSequence<PickleValue>;
  using DictNode = checkpoint_internal::PickleSequence<PickleEntry>;

  PickleKind kind_ = PickleKind::kNone;
  uint32_t size_ = 0;  // Of text and tuples.
  union {
    int64_t int_ = 0;
    double float_;
    const char* text_;
    const PickleValue* values_;  // Tuple, frozenset; persistent: one, the id.
    ListNode* list_;             // List, set.
    DictNode* dict_;
    const PickleGlobal* global_;
    PickleRecord* record_;
  };
};
static_assert(sizeof(PickleValue) == 16);

struct PickleEntry {
  PickleValue key;
  PickleValue value;
};

// `name` may have dots, as the qualified names of nested classes do.
struct PickleGlobal {
  absl::string_view module;
  absl::string_view name;
  int64_t offset = 0;  // Of the opcode that named it first.
};

// What a pickle asks to call, with everything it asks to put into the result.
// Nothing is called: whoever knows the callable may work out what it would have
// made, and to everybody else the record is inert.
class PickleRecord {
 public:
  PickleValue callable() const { return callable_; }  // A global, as a rule.
  absl::Span<const PickleValue> args() const { return args_.items(); }
  PickleValue args_tuple() const { return args_; }
  PickleValue kwargs() const;  // A dict, or None.
  PickleValue state() const;   // What BUILD brought (the last one), or None.
  bool has_state() const;
  // What was appended, and set by key, later.
  absl::Span<const PickleValue> items() const;
  absl::Span<const PickleEntry> entries() const;

  // True if the callable is the global `module`.`name`.
  bool Calls(absl::string_view module, absl::string_view name) const;

 private:
  friend class checkpoint_internal::PickleMachine;

  PickleValue callable_;
  PickleValue args_;
  checkpoint_internal::PickleRecordExtras* extras_ = nullptr;
};

namespace checkpoint_internal {

// Most records have none of these.
struct PickleRecordExtras {
  PickleValue kwargs;
  PickleValue state;
  bool has_state = false;
  PickleSequence<PickleValue> items;
  PickleSequence<PickleEntry> entries;
};

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_PICKLE_PICKLE_VALUE_H_
