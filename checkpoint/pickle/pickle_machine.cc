#include "checkpoint/pickle/pickle_machine.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "checkpoint/pickle/pickle.h"

namespace pretrained {
namespace checkpoint_internal {

absl::Status PickleMachine::Run() {
  if (bytes_.size() > static_cast<uint64_t>(kMaxPickleBytes)) {
    // What follows STOP does not count; TakeLength() and this keep every size
    // that is stored below 32 bits.
    const absl::string_view head =
        bytes_.substr(0, static_cast<size_t>(kMaxPickleBytes));
    PickleMachine bounded(head, options_);
    const absl::Status status = bounded.Run();
    stack_ = std::move(bounded.stack_);
    arena_ = std::move(bounded.arena_);
    globals_ = std::move(bounded.globals_);
    offset_ = bounded.offset_;
    op_offset_ = bounded.op_offset_;
    if (!absl::IsOutOfRange(status)) return status;
    return absl::ResourceExhaustedError(
        absl::StrCat(options_.name, ": a pickle of more than ", kMaxPickleBytes,
                     " bytes is not read"));
  }
  const std::array<Opcode, 256>& opcodes = Opcodes();
  while (true) {
    op_offset_ = offset_;
    if (remaining() == 0) {
      return absl::OutOfRangeError(
          absl::StrCat(options_.name, ": the pickle ends at byte ", offset_,
                       " without STOP; it is cut short"));
    }
    const uint8_t code = static_cast<uint8_t>(bytes_[offset_++]);
    if (code == '.') {
      CheckStop();
      return status_;
    }
    const Opcode& opcode = opcodes[code];
    if (opcode.run == nullptr) {
      FailDamaged("there is no such opcode");
      return status_;
    }
    if (!(this->*opcode.run)()) return status_;
    if (memory_bytes() > kMaxPickleMemoryBytes) {
      Fail(absl::StatusCode::kResourceExhausted,
           absl::StrCat("values, stack and memo take more than ",
                        kMaxPickleMemoryBytes, " bytes"));
      return status_;
    }
  }
}

Pickle PickleMachine::Release() && {
  Pickle pickle;
  if (!stack_.empty()) pickle.root_ = stack_.back();
  pickle.arena_ = std::move(arena_);
  pickle.globals_ = std::move(globals_);
  pickle.bytes_consumed_ = static_cast<int64_t>(offset_);
  return pickle;
}

int64_t PickleMachine::memory_bytes() const {
  constexpr int64_t kGlobalBytes = 64;  // In the two lists, about.
  return arena_.allocated_bytes() +
         static_cast<int64_t>(sizeof(PickleValue)) *
             static_cast<int64_t>(stack_.capacity() + memo_.capacity() +
                                  4 * far_memo_.size()) +
         static_cast<int64_t>(sizeof(size_t) * marks_.capacity()) +
         kGlobalBytes * static_cast<int64_t>(globals_.size());
}

bool PickleMachine::Fail(absl::StatusCode code, absl::string_view what) {
  const uint8_t opcode = static_cast<uint8_t>(bytes_[op_offset_]);
  const char* const name = opcode == '.' ? "STOP" : Opcodes()[opcode].name;
  status_ = absl::Status(
      code,
      absl::StrCat(options_.name, ": byte ", op_offset_, ": ",
                   name != nullptr ? name : absl::StrFormat("0x%02x", opcode),
                   ": ", what,
                   code == absl::StatusCode::kDataLoss
                       ? "; the pickle is damaged: download or save it again"
                       : ""));
  return false;
}

bool PickleMachine::FailShort(uint64_t needed) {
  return Fail(absl::StatusCode::kOutOfRange,
              absl::StrCat("needs ", needed, " bytes, but ", remaining(),
                           " follow; the pickle is cut short"));
}

bool PickleMachine::Take(uint64_t count, absl::string_view* out) {
  if (count > remaining()) return FailShort(count);
  *out = bytes_.substr(offset_, static_cast<size_t>(count));
  offset_ += static_cast<size_t>(count);
  return true;
}

bool PickleMachine::TakeUint(int width, uint64_t* out) {
  absl::string_view bytes;
  if (!Take(static_cast<uint64_t>(width), &bytes)) return false;
  *out = 0;
  for (int i = width; i-- > 0;) {
    *out = *out << 8 | static_cast<uint8_t>(bytes[i]);
  }
  return true;
}

bool PickleMachine::TakeLength(int width, uint64_t* out) {
  if (!TakeUint(width, out)) return false;
  if (*out <= static_cast<uint64_t>(kMaxPickleBytes)) return true;
  return FailDamaged(absl::StrCat("a length of ", *out, " bytes, but ",
                                  kMaxPickleBytes, " are the most"));
}

bool PickleMachine::TakeLine(absl::string_view* out) {
  const size_t end = bytes_.find('\n', offset_);
  if (end == absl::string_view::npos) {
    return Fail(absl::StatusCode::kOutOfRange,
                "the line has no end; the pickle is cut short");
  }
  *out = bytes_.substr(offset_, end - offset_);
  offset_ = end + 1;
  return true;
}

absl::string_view PickleMachine::Keep(absl::string_view text) {
  if (text.empty()) return absl::string_view();
  char* const copy = arena_.Allocate<char>(text.size());
  std::memcpy(copy, text.data(), text.size());
  return absl::string_view(copy, text.size());
}

bool PickleMachine::Need(size_t count) {
  const size_t found = stack_.size() - fence();
  if (found >= count) return true;
  return FailDamaged(absl::StrCat("the stack holds ", found, " values",
                                  marks_.empty() ? "" : " above the last MARK",
                                  ", but ", count, " are expected"));
}

bool PickleMachine::Pop(PickleValue* out) {
  if (!Need(1)) return false;
  *out = stack_.back();
  stack_.pop_back();
  return true;
}

bool PickleMachine::PopMark(size_t* begin) {
  if (marks_.empty()) return FailDamaged("there is no MARK on the stack");
  *begin = marks_.back();
  marks_.pop_back();
  return true;
}

const std::array<PickleMachine::Opcode, 256>& PickleMachine::Opcodes() {
  static const std::array<Opcode, 256>& opcodes =
      *new std::array<Opcode, 256>(MakeOpcodes());
  return opcodes;
}

}  // namespace checkpoint_internal
}  // namespace pretrained
