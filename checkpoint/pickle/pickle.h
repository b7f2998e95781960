#ifndef PRETRAINED_CHECKPOINT_PICKLE_PICKLE_H_
#define PRETRAINED_CHECKPOINT_PICKLE_PICKLE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/pickle/pickle_arena.h"
#include "checkpoint/pickle/pickle_globals.h"
#include "checkpoint/pickle/pickle_value.h"

namespace pretrained {

// No pickle longer than this is read; those of real checkpoints have 20 kB to
// some MB.
inline constexpr int64_t kMaxPickleBytes = int64_t{1} << 30;

// Nor is one whose values, stack and memo take more memory than this. A state
// dict takes 4 to 6 times the bytes of its pickle; the worst that a made-up
// pickle can ask for is kMaxPickleMemoryPerByte times.
inline constexpr int64_t kMaxPickleMemoryBytes = int64_t{1} << 30;
inline constexpr int64_t kMaxPickleMemoryPerByte = 100;

// An int in decimal digits (protocol 0) may have so many, as in CPython.
inline constexpr int64_t kMaxPickleDigits = 4300;

struct PickleOptions {
  // What messages begin with: "model.bin: data.pkl".
  absl::string_view name = "pickle";

  // Whether a global that can only be there to execute something is refused.
  // Without, it is listed among the others; it is not run either way.
  bool refuse_dangerous_globals = true;
};

// A Python pickle of protocol 0 to 5, read as data. Nothing in it is run or
// imported: a global stays a pair of names, and a call becomes a record of what
// would have been called with what.
//
//   auto pickle = Pickle::Parse(data_pkl, {.name = "model.bin: data.pkl"});
//   if (!pickle.ok()) return pickle.status();
//   for (const PickleEntry& entry : pickle->root().entries()) ..
//   PickleText(pickle->root(), 1000);   // as Python's repr would print it
//
// The bytes are not trusted. There is no recursion, whatever the nesting; every
// length is compared with the bytes that are there before memory is taken; and
// the limits above hold. A pickle may make its values contain themselves:
// whoever walks them needs a bound.
//
// Cost: one pass; text is viewed where it lies, and 16 bytes a value.
//     See pickle_benchmark.cc.
// Threads: immutable; any number of threads may share one.
// Lifetime: values live as long as the Pickle, which views the bytes that
//     Parse() was given (ParseOwned() keeps its own).
// Layout: CPython's Lib/pickletools.py documents the opcodes.
// Matches: CPython 3.10 pickle.load(encoding="utf-8"), as torch.load calls it,
//     in which byte streams are read and to which values.
// Differs: out-of-band buffers, extension codes (copyreg), and ints of protocol
//     0 in other bases than ten are refused; a Python 2 `str` that is not UTF-8
//     is bytes; the names of a global must be literal text.
class Pickle {
 public:
  // Reads the pickle at the start of `bytes`; what follows STOP is left alone.
  //   kOutOfRange        the bytes end before STOP: with more of them it may
  //                      be a pickle
  //   kDataLoss          it contradicts itself
  //   kPermissionDenied  a global that can only be there to execute something
  //   kUnimplemented     a protocol, or an opcode, that is not read here
  //   kResourceExhausted a limit above
  // Messages give the offset of the opcode.
  static absl::StatusOr<Pickle> Parse(absl::string_view bytes
                                          ABSL_ATTRIBUTE_LIFETIME_BOUND,
                                      const PickleOptions& options = {});
  static absl::StatusOr<Pickle> ParseOwned(std::string bytes,
                                           const PickleOptions& options = {});

  PickleValue root() const ABSL_ATTRIBUTE_LIFETIME_BOUND { return root_; }

  // Distinct, in the order in which the pickle names them.
  absl::Span<const PickleGlobal* const> globals() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return globals_;
  }

  // Through STOP.
  int64_t bytes_consumed() const { return bytes_consumed_; }

  // Memory that the values take, in bytes.
  int64_t memory_bytes() const { return arena_.allocated_bytes(); }

 private:
  friend class checkpoint_internal::PickleMachine;

  Pickle() = default;

  std::unique_ptr<std::string> bytes_;  // Null: the caller keeps them.
  checkpoint_internal::PickleArena arena_;
  PickleValue root_;
  std::vector<const PickleGlobal*> globals_;
  int64_t bytes_consumed_ = 0;
};

// What loading a pickle in Python would import, as far as it can be read.
struct PickleScan {
  struct Global {
    std::string module;
    std::string name;
    PickleGlobalClass global_class = PickleGlobalClass::kUnknown;
    int64_t offset = 0;  // Of the opcode that names it first.
  };
  std::vector<Global> globals;  // Distinct, in order.
  int64_t bytes_consumed = 0;   // Through STOP, or to where reading stopped.
  absl::Status status;          // Why it stopped, unless at STOP.
};

// Lists the globals of the pickle at the start of `bytes`, dangerous ones too,
// and of a broken pickle those before the break.
//   options  refuse_dangerous_globals has no effect
PickleScan ScanPickle(absl::string_view bytes,
                      const PickleOptions& options = {});

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_PICKLE_PICKLE_H_
