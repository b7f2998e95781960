#ifndef PRETRAINED_CHECKPOINT_PICKLE_PICKLE_GLOBALS_H_
#define PRETRAINED_CHECKPOINT_PICKLE_PICKLE_GLOBALS_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace pretrained {

enum class PickleGlobalClass : uint8_t {
  kKnown,      // What checkpoints are made of; we know what it would make.
  kUnknown,    // Anything else: what it makes is an inert record.
  kDangerous,  // Can only be there to execute something.
};

// "known", "unknown", "dangerous".
absl::string_view PickleGlobalClassName(PickleGlobalClass global_class);

// What to think of a global that a pickle names.
//
//   ClassifyPickleGlobal("collections", "OrderedDict");     // kKnown
//   ClassifyPickleGlobal("pathlib", "PosixPath");           // kUnknown
//   ClassifyPickleGlobal("os", "system");                   // kDangerous
//   ClassifyPickleGlobal("torch", "serialization.os.system");  // kDangerous
//
// Nothing that a pickle names is ever run here, so that this does not protect
// this program: it keeps us from accepting, converting and passing on a file
// that attacks whoever loads it in Python. It is a list of the ways in that are
// known, and no list of those is complete.
//
// Dangerous are:
//   - every name of a module that runs code or commands, loads code, opens
//     files or sockets, or unpickles (os, subprocess, importlib, socket, ..);
//   - single functions of others (builtins.eval, torch.load, ..);
//   - names with a part in double underscores (`__import__`,
//     `x.__globals__`), and dotted names that walk through such a module.
// Python 2's names of the same modules count too.
// Unknown on purpose: `copyreg._reconstructor`, which makes an instance of its
// argument without running its constructor; functools.partial and pathlib,
// which the arguments of a training run often hold.
PickleGlobalClass ClassifyPickleGlobal(absl::string_view module,
                                       absl::string_view name);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_PICKLE_PICKLE_GLOBALS_H_
