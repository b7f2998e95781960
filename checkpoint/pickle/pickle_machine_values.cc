// Opcodes that push literals, and those of the memo and the stack.

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "checkpoint/error_text.h"
#include "checkpoint/pickle/pickle_decode.h"
#include "checkpoint/pickle/pickle_machine.h"

namespace pretrained {
namespace checkpoint_internal {

PickleValue PickleMachine::Bool(bool value) {
  PickleValue result;
  result.kind_ = PickleKind::kBool;
  result.int_ = value ? 1 : 0;
  return result;
}

PickleValue PickleMachine::Int(int64_t value) {
  PickleValue result;
  result.kind_ = PickleKind::kInt;
  result.int_ = value;
  return result;
}

PickleValue PickleMachine::Float(double value) {
  PickleValue result;
  result.kind_ = PickleKind::kFloat;
  result.float_ = value;
  return result;
}

PickleValue PickleMachine::Text(PickleKind kind, absl::string_view text) {
  PickleValue result;
  result.kind_ = kind;
  result.text_ = text.data();
  result.size_ = static_cast<uint32_t>(text.size());
  return result;
}

bool PickleMachine::PushInt(absl::string_view twos_complement) {
  const std::optional<int64_t> value = Int64FromTwosComplement(twos_complement);
  if (value.has_value()) return Push(Int(*value));
  return Push(Text(PickleKind::kBigInt, twos_complement));
}

bool PickleMachine::PushPython2String(absl::string_view bytes) {
  return Push(Text(
      IsPickleUtf8(bytes) ? PickleKind::kString : PickleKind::kBytes, bytes));
}

bool PickleMachine::OpNone() { return Push(PickleValue()); }

template <bool kValue>
bool PickleMachine::OpBool() {
  return Push(Bool(kValue));
}

// "00" and "01" are False and True.
bool PickleMachine::OpInt() {
  absl::string_view line;
  if (!TakeLine(&line)) return false;
  if (line == "00" || line == "01") return Push(Bool(line == "01"));
  const std::optional<std::string> value = DecodeDecimal(line);
  if (!value.has_value()) {
    return FailDamaged(absl::StrCat("found ", QuotedName(line),
                                    ", but a decimal number is expected"));
  }
  if (Int64FromTwosComplement(*value).has_value()) return PushInt(*value);
  return PushInt(Keep(*value));
}

bool PickleMachine::OpLong() {
  absl::string_view line;
  if (!TakeLine(&line)) return false;
  const std::optional<std::string> value =
      DecodeDecimal(absl::StripSuffix(line, "L"));
  if (!value.has_value()) {
    return FailDamaged(absl::StrCat("found ", QuotedName(line),
                                    ", but a decimal number is expected"));
  }
  if (Int64FromTwosComplement(*value).has_value()) return PushInt(*value);
  return PushInt(Keep(*value));
}

template <int kWidth, bool kSigned>
bool PickleMachine::OpBinInt() {
  uint64_t value;
  if (!TakeUint(kWidth, &value)) return false;
  if (kSigned) return Push(Int(static_cast<int32_t>(value)));
  return Push(Int(static_cast<int64_t>(value)));
}

template <int kWidth>
bool PickleMachine::OpLongN() {
  uint64_t length;
  absl::string_view bytes;
  if (!TakeLength(kWidth, &length) || !Take(length, &bytes)) return false;
  return PushInt(bytes);
}

bool PickleMachine::OpFloat() {
  absl::string_view line;
  if (!TakeLine(&line)) return false;
  double value;
  const bool is_number = !line.empty() && !absl::ascii_isspace(line.front()) &&
                         !absl::ascii_isspace(line.back()) &&
                         absl::SimpleAtod(line, &value);
  if (!is_number || (std::isinf(value) && absl::ascii_isdigit(line.back()))) {
    return FailDamaged(
        absl::StrCat("found ", QuotedName(line), ", but a number is expected"));
  }
  return Push(Float(value));
}

bool PickleMachine::OpBinFloat() {
  absl::string_view bytes;
  if (!Take(8, &bytes)) return false;
  uint64_t bits = 0;
  for (const char c : bytes) bits = bits << 8 | static_cast<uint8_t>(c);
  return Push(Float(std::bit_cast<double>(bits)));
}

bool PickleMachine::OpString() {
  absl::string_view line;
  if (!TakeLine(&line)) return false;
  const std::optional<std::string> text = DecodeQuotedString(line);
  if (!text.has_value()) {
    return FailDamaged(absl::StrCat("found ", QuotedName(line),
                                    ", but a quoted string is expected"));
  }
  return PushPython2String(Keep(*text));
}

template <int kWidth>
bool PickleMachine::OpBinString() {
  uint64_t length;
  absl::string_view bytes;
  if (!TakeLength(kWidth, &length) || !Take(length, &bytes)) return false;
  return PushPython2String(bytes);
}

bool PickleMachine::OpUnicode() {
  absl::string_view line;
  if (!TakeLine(&line)) return false;
  const std::optional<std::string> text = DecodeRawUnicodeEscape(line);
  if (!text.has_value()) {
    return FailDamaged(
        absl::StrCat("found ", QuotedName(line), " with a broken escape"));
  }
  return Push(Text(PickleKind::kString, *text == line ? line : Keep(*text)));
}

template <PickleKind kKind, int kWidth>
bool PickleMachine::OpBinText() {
  uint64_t length;
  absl::string_view bytes;
  if (!TakeLength(kWidth, &length) || !Take(length, &bytes)) return false;
  if (kKind == PickleKind::kString && !IsPickleUtf8(bytes)) {
    return FailDamaged(
        absl::StrCat("found ", QuotedName(bytes), ", but UTF-8 is expected"));
  }
  return Push(Text(kKind, bytes));
}

// Picklers number their memo from 0 on, and so a number is less than its offset
// and a vector does. Others go to a map, or a few bytes would ask for
// gigabytes.
bool PickleMachine::Memoize(uint64_t index) {
  if (!Need(1)) return false;
  const PickleValue value = stack_.back();
  if (index > op_offset_ + 256) {
    memo_count_ += far_memo_.insert_or_assign(index, value).second ? 1 : 0;
    return true;
  }
  if (index >= memo_.size()) {
    PickleValue unset;
    unset.kind_ = kUnset;
    memo_.resize(static_cast<size_t>(index) + 1, unset);
    // One that went to the map while the vector was shorter.
    if (!far_memo_.empty()) memo_count_ -= far_memo_.erase(index);
  }
  if (memo_[index].kind_ == kUnset) ++memo_count_;
  memo_[index] = value;
  return true;
}

bool PickleMachine::Recall(uint64_t index) {
  if (index < memo_.size() && memo_[index].kind_ != kUnset) {
    return Push(memo_[index]);
  }
  const auto found = far_memo_.find(index);
  if (found != far_memo_.end()) return Push(found->second);
  return FailDamaged(absl::StrCat("memo entry ", index, " was never stored"));
}

bool PickleMachine::TakeMemoIndex(uint64_t* index) {
  absl::string_view line;
  if (!TakeLine(&line)) return false;
  const bool is_number = !line.empty() && absl::ascii_isdigit(line.front()) &&
                         absl::ascii_isdigit(line.back()) &&
                         absl::SimpleAtoi(line, index);
  if (is_number) return true;
  return FailDamaged(absl::StrCat("found ", QuotedName(line),
                                  ", but a memo index is expected"));
}

bool PickleMachine::OpPut() {
  uint64_t index;
  return TakeMemoIndex(&index) && Memoize(index);
}

template <int kWidth>
bool PickleMachine::OpBinPut() {
  uint64_t index;
  return TakeUint(kWidth, &index) && Memoize(index);
}

bool PickleMachine::OpMemoize() { return Memoize(memo_count_); }

bool PickleMachine::OpGet() {
  uint64_t index;
  return TakeMemoIndex(&index) && Recall(index);
}

template <int kWidth>
bool PickleMachine::OpBinGet() {
  uint64_t index;
  return TakeUint(kWidth, &index) && Recall(index);
}

bool PickleMachine::OpMark() {
  marks_.push_back(stack_.size());
  return true;
}

// Pops a mark, if that is what is on top.
bool PickleMachine::OpPop() {
  if (!marks_.empty() && marks_.back() == stack_.size()) {
    marks_.pop_back();
    return true;
  }
  PickleValue popped;
  return Pop(&popped);
}

bool PickleMachine::OpPopMark() {
  size_t begin;
  if (!PopMark(&begin)) return false;
  stack_.resize(begin);
  return true;
}

bool PickleMachine::OpDup() {
  if (!Need(1)) return false;
  return Push(PickleValue(stack_.back()));
}

bool PickleMachine::OpProto() {
  uint64_t protocol;
  if (!TakeUint(1, &protocol)) return false;
  if (protocol <= 5) return true;
  return Fail(absl::StatusCode::kUnimplemented,
              absl::StrCat("found protocol ", protocol,
                           ", but 0 to 5 are read here; save the checkpoint "
                           "with pickle_protocol=2"));
}

// Says how many bytes of opcodes follow; readers that stream want to know. None
// may reach behind STOP: what is there belongs to somebody else.
bool PickleMachine::OpFrame() {
  uint64_t length;
  if (!TakeLength(8, &length)) return false;
  if (length > remaining()) return FailShort(length);
  frame_end_ = std::max(frame_end_, offset_ + static_cast<size_t>(length));
  return true;
}

bool PickleMachine::CheckStop() {
  if (!Need(1)) return false;
  if (frame_end_ <= offset_) return true;
  return FailDamaged(absl::StrCat("a FRAME goes on to byte ", frame_end_));
}

bool PickleMachine::OpRefused() {
  return Fail(absl::StatusCode::kUnimplemented,
              "refers to something outside the pickle, a buffer or an entry "
              "of copyreg's table, which a checkpoint cannot have");
}

std::array<PickleMachine::Opcode, 256> PickleMachine::MakeOpcodes() {
  using M = PickleMachine;
  using K = PickleKind;
  std::array<Opcode, 256> ops = {};
  const auto set = [&ops](uint8_t code, const char* name, bool (M::*run)()) {
    ops[code] = Opcode{name, run};
  };
  set('N', "NONE", &M::OpNone);
  set(0x88, "NEWTRUE", &M::OpBool<true>);
  set(0x89, "NEWFALSE", &M::OpBool<false>);
  set('I', "INT", &M::OpInt);
  set('J', "BININT", &M::OpBinInt<4, true>);
  set('K', "BININT1", &M::OpBinInt<1, false>);
  set('M', "BININT2", &M::OpBinInt<2, false>);
  set('L', "LONG", &M::OpLong);
  set(0x8A, "LONG1", &M::OpLongN<1>);
  set(0x8B, "LONG4", &M::OpLongN<4>);
  set('F', "FLOAT", &M::OpFloat);
  set('G', "BINFLOAT", &M::OpBinFloat);
  set('S', "STRING", &M::OpString);
  set('T', "BINSTRING", &M::OpBinString<4>);
  set('U', "SHORT_BINSTRING", &M::OpBinString<1>);
  set('V', "UNICODE", &M::OpUnicode);
  set(0x8C, "SHORT_BINUNICODE", &M::OpBinText<K::kString, 1>);
  set('X', "BINUNICODE", &M::OpBinText<K::kString, 4>);
  set(0x8D, "BINUNICODE8", &M::OpBinText<K::kString, 8>);
  set('C', "SHORT_BINBYTES", &M::OpBinText<K::kBytes, 1>);
  set('B', "BINBYTES", &M::OpBinText<K::kBytes, 4>);
  set(0x8E, "BINBYTES8", &M::OpBinText<K::kBytes, 8>);
  set(0x96, "BYTEARRAY8", &M::OpBinText<K::kByteArray, 8>);
  set('p', "PUT", &M::OpPut);
  set('q', "BINPUT", &M::OpBinPut<1>);
  set('r', "LONG_BINPUT", &M::OpBinPut<4>);
  set(0x94, "MEMOIZE", &M::OpMemoize);
  set('g', "GET", &M::OpGet);
  set('h', "BINGET", &M::OpBinGet<1>);
  set('j', "LONG_BINGET", &M::OpBinGet<4>);
  set('(', "MARK", &M::OpMark);
  set('0', "POP", &M::OpPop);
  set('1', "POP_MARK", &M::OpPopMark);
  set('2', "DUP", &M::OpDup);
  set(0x80, "PROTO", &M::OpProto);
  set(0x95, "FRAME", &M::OpFrame);
  set(0x82, "EXT1", &M::OpRefused);
  set(0x83, "EXT2", &M::OpRefused);
  set(0x84, "EXT4", &M::OpRefused);
  set(0x97, "NEXT_BUFFER", &M::OpRefused);
  set(0x98, "READONLY_BUFFER", &M::OpRefused);
  AddObjectOpcodes(&ops);
  return ops;
}

}  // namespace checkpoint_internal
}  // namespace pretrained
