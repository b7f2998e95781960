#ifndef PRETRAINED_CHECKPOINT_PICKLE_PICKLE_TEXT_PLAIN_H_
#define PRETRAINED_CHECKPOINT_PICKLE_PICKLE_TEXT_PLAIN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "checkpoint/pickle/pickle_value.h"

namespace pretrained {
namespace checkpoint_internal {

// Python's repr() of single values. Those of text stop once `out` is longer
// than `max_size`, and look no further into it.

void AppendVisible(absl::string_view utf8, size_t max_size,
                   std::string* out);  // Without quotes.
void AppendStrRepr(absl::string_view utf8, size_t max_size, std::string* out);
void AppendBytesRepr(absl::string_view bytes, size_t max_size,
                     std::string* out);
// Escapes every apostrophe, as Python does there alone.
void AppendByteArrayRepr(absl::string_view bytes, size_t max_size,
                         std::string* out);

// The fewest digits that read back as the same number.
std::string FloatRepr(double value);
std::string FloatRepr(float value);
std::string HalfRepr(uint16_t bits);
// "(1+2j)", of the parts as FloatRepr() gives them.
std::string ComplexRepr(std::string real, std::string imaginary);

// A decimal number, or `<int of N bytes>` beyond kMaxPickleDigits.
std::string BigIntRepr(absl::string_view twos_complement);

// True if Python's str.isidentifier() is: ASCII is looked at, and the rest
// taken for letters.
bool IsIdentifier(absl::string_view name);

// "builtins" for `__builtin__` and "numpy._core" for `numpy.core`; others as
// they are.
absl::string_view PythonModule(absl::string_view module);

// True if `value` is the global, or calls the global, of this name; the module
// is one that PythonModule() gives.
bool IsPythonGlobal(PickleValue value, absl::string_view module,
                    absl::string_view name);
bool CallsPython(PickleValue value, absl::string_view module,
                 absl::string_view name);

// The first `max_size` characters of `utf8` as a byte each; nullopt if one is
// above U+00FF.
std::optional<std::string> Latin1Prefix(absl::string_view utf8,
                                        size_t max_size);

// The first `max_size` bytes of a bytes object: of one that is stored as such,
// as a str of Python 2, or as `_codecs.encode('..', 'latin1')`, which is how
// protocol 2 has it. nullopt for any other value.
std::optional<std::string> BytesPrefix(PickleValue value, size_t max_size);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_PICKLE_PICKLE_TEXT_PLAIN_H_
