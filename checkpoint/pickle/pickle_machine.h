#ifndef PRETRAINED_CHECKPOINT_PICKLE_PICKLE_MACHINE_H_
#define PRETRAINED_CHECKPOINT_PICKLE_PICKLE_MACHINE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/pickle/pickle.h"
#include "checkpoint/pickle/pickle_arena.h"
#include "checkpoint/pickle/pickle_value.h"

namespace pretrained {
namespace checkpoint_internal {

// The stack machine that a pickle is a program for. Where Python's would import
// and call, this one notes the names and the arguments.
//
// One method an opcode; each returns false once status() says why. The parts:
//   pickle_machine.cc          the loop, reading bytes, the stack
//   pickle_machine_values.cc   opcodes that push literals, and the memo's
//   pickle_machine_objects.cc  opcodes that make and fill containers, globals
//                              and records
class PickleMachine {
 public:
  PickleMachine(absl::string_view bytes, const PickleOptions& options)
      : bytes_(bytes), options_(options) {}

  // Runs to STOP.
  absl::Status Run();

  // Gives up what was read, also by a Run() that failed.
  Pickle Release() &&;

  int64_t offset() const { return static_cast<int64_t>(op_offset_); }

 private:
  struct Opcode {
    const char* name = nullptr;  // Null: there is no such opcode.
    bool (PickleMachine::*run)() = nullptr;
  };
  static std::array<Opcode, 256> MakeOpcodes();
  static void AddObjectOpcodes(std::array<Opcode, 256>* ops);
  static const std::array<Opcode, 256>& Opcodes();

  // --- Messages: the opcode's offset and name, then `what` ---
  bool Fail(absl::StatusCode code, absl::string_view what);
  bool FailDamaged(absl::string_view what) {
    return Fail(absl::StatusCode::kDataLoss, what);
  }
  bool FailShort(uint64_t needed);

  // --- Bytes ---
  size_t remaining() const { return bytes_.size() - offset_; }
  bool Take(uint64_t count, absl::string_view* out);
  bool TakeUint(int width, uint64_t* out);
  bool TakeLength(int width, uint64_t* out);  // Refuses what cannot be.
  bool TakeLine(absl::string_view* out);      // Through a line feed, without.
  absl::string_view Keep(absl::string_view text);  // A copy that stays.

  // --- Stack ---
  size_t fence() const { return marks_.empty() ? 0 : marks_.back(); }
  bool Push(PickleValue value) {
    stack_.push_back(value);
    return true;
  }
  bool Need(size_t count);  // Values above the last mark.
  bool Pop(PickleValue* out);
  bool PopMark(size_t* begin);
  absl::Span<const PickleValue> Above(size_t begin) const {
    return absl::MakeConstSpan(stack_).subspan(begin);
  }
  int64_t memory_bytes() const;

  // --- Values ---
  static PickleValue Bool(bool value);
  static PickleValue Int(int64_t value);
  static PickleValue Float(double value);
  static PickleValue Text(PickleKind kind, absl::string_view text);
  bool PushInt(absl::string_view twos_complement);
  bool PushPython2String(absl::string_view bytes);
  PickleValue Values(PickleKind kind, absl::Span<const PickleValue> items);
  PickleValue NewList(PickleKind kind, absl::Span<const PickleValue> items);
  PickleValue NewDict();
  PickleValue NewRecord(PickleValue callable, PickleValue args);
  PickleRecordExtras* Extras(PickleRecord* record);
  template <typename T>
  void Append(PickleSequence<T>* sequence, const T& item);
  bool CheckCallable(PickleValue callable);
  bool PushGlobal(absl::string_view module, absl::string_view name);
  bool AppendItems(size_t begin, PickleKind kind);
  bool SetEntries(size_t begin);
  bool CheckKey(PickleValue key);

  // --- Opcodes that push literals ---
  template <PickleKind kKind>
  bool OpEmpty();
  template <bool kValue>
  bool OpBool();
  bool OpNone();
  bool OpInt();
  bool OpLong();
  template <int kWidth, bool kSigned>
  bool OpBinInt();
  template <int kWidth>
  bool OpLongN();
  bool OpFloat();
  bool OpBinFloat();
  bool OpString();
  template <int kWidth>
  bool OpBinString();
  bool OpUnicode();
  template <PickleKind kKind, int kWidth>
  bool OpBinText();

  // --- The memo and the stack ---
  bool Memoize(uint64_t index);
  bool Recall(uint64_t index);
  bool TakeMemoIndex(uint64_t* index);
  bool OpPut();
  template <int kWidth>
  bool OpBinPut();
  bool OpMemoize();
  bool OpGet();
  template <int kWidth>
  bool OpBinGet();
  bool OpMark();
  bool OpPop();
  bool OpPopMark();
  bool OpDup();
  bool OpProto();
  bool OpFrame();
  bool CheckStop();
  bool OpRefused();

  // --- Containers, globals, records ---
  template <PickleKind kKind>
  bool OpSequence();  // LIST, TUPLE, FROZENSET.
  template <int kSize>
  bool OpTupleN();
  bool OpDict();
  bool OpAppend();
  bool OpAppends();
  bool OpAddItems();
  bool OpSetItem();
  bool OpSetItems();
  bool OpGlobal();
  bool OpStackGlobal();
  bool OpReduce();
  bool OpBuild();
  bool OpInst();
  bool OpObj();
  bool OpNewObjEx();
  bool OpPersId();
  bool OpBinPersId();

  // A memo entry that was never stored.
  static constexpr PickleKind kUnset = static_cast<PickleKind>(0xFF);

  const absl::string_view bytes_;
  const PickleOptions options_;
  size_t offset_ = 0;     // Of the next byte.
  size_t op_offset_ = 0;  // Of the opcode at work.
  size_t frame_end_ = 0;  // Of the FRAME that goes on longest.
  absl::Status status_;

  std::vector<PickleValue> stack_;
  std::vector<size_t> marks_;  // Stack sizes.
  std::vector<PickleValue> memo_;
  absl::flat_hash_map<uint64_t, PickleValue> far_memo_;  // Beyond memo_.
  uint64_t memo_count_ = 0;

  PickleArena arena_;
  std::vector<const PickleGlobal*> globals_;
  absl::flat_hash_map<std::pair<absl::string_view, absl::string_view>,
                      const PickleGlobal*>
      global_by_name_;
};

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_PICKLE_PICKLE_MACHINE_H_
