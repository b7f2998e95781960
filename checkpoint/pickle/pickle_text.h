#ifndef PRETRAINED_CHECKPOINT_PICKLE_PICKLE_TEXT_H_
#define PRETRAINED_CHECKPOINT_PICKLE_PICKLE_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "checkpoint/pickle/pickle_value.h"

namespace pretrained {

// `value` as Python's repr() would print what the pickle makes.
//
//   {'epoch': 3, 'lr': 0.1, 'betas': (0.9, 0.999)}
//   OrderedDict([('a', 1)])        Namespace(seed=0, name='x')
//   torch.Size([2, 3])             device(type='cpu')
//   array([1, 2, 3])               pathlib.PosixPath('a', 'b')
//
// Records of unknown globals, whose repr nobody can know, are printed as the
// call that would have made them: `module.name(arguments)`, with `, state=..`
// for what BUILD brings.
//   max_bytes  text beyond is cut between two characters, and " .." follows
//
// Cost: in proportion to max_bytes, however large or entangled the value; one
//     that contains itself is printed as `[...]`, `{...}` or `(...)`.
// Matches: CPython 3.10 repr(), numpy 1.24 for scalars.
// Differs: an array is on one line and its elements are not aligned; an int of
//     more than kMaxPickleDigits digits is `<int of N bytes>`; characters
//     above U+007F are printed unless they are controls or surrogates (Python
//     asks Unicode's tables which of them are printable).
std::string PickleText(PickleValue value, int64_t max_bytes);

// str() of what serves as a key: a string as it is, anything else as
// PickleText() prints it.
std::string PickleKeyText(PickleValue key, int64_t max_bytes);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_PICKLE_PICKLE_TEXT_H_
