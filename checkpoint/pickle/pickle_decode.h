#ifndef PRETRAINED_CHECKPOINT_PICKLE_PICKLE_DECODE_H_
#define PRETRAINED_CHECKPOINT_PICKLE_PICKLE_DECODE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace pretrained {
namespace checkpoint_internal {

// How the opcodes of protocol 0 write text and numbers, and how all of them
// write ints. Threads: everything here is pure.

// True if Python's bytes.decode("utf-8", "surrogatepass") takes `text`.
bool IsPickleUtf8(absl::string_view text);

// Appends a code point as UTF-8; a surrogate as if it were a character.
void AppendPickleUtf8(uint32_t code_point, std::string* out);

// The code points of what IsPickleUtf8() is true for: takes the first off
// `text`, which is not empty.
uint32_t TakeCodePoint(absl::string_view* text);

// Python 2's repr of a str (STRING), quotes and all, to its bytes. nullopt if
// the quotes do not match or an escape is broken.
std::optional<std::string> DecodeQuotedString(absl::string_view quoted);

// Python's raw-unicode-escape (UNICODE) to UTF-8. nullopt if an escape is
// broken or above U+10FFFF.
std::optional<std::string> DecodeRawUnicodeEscape(absl::string_view text);

// -?[0-9]+ of at most kMaxPickleDigits digits, the first of several not 0, to
// two's complement, little-endian, without superfluous bytes. nullopt for other
// text.
std::optional<std::string> DecodeDecimal(absl::string_view text);

// Two's complement to a number, if it fits.
std::optional<int64_t> Int64FromTwosComplement(absl::string_view bytes);

// Two's complement to decimal digits. Takes time in proportion to the square
// of the length: callers bound it.
std::string DecimalFromTwosComplement(absl::string_view bytes);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_PICKLE_PICKLE_DECODE_H_
