#include "checkpoint/pickle/pickle_text_plain.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "checkpoint/pickle/pickle.h"
#include "checkpoint/pickle/pickle_decode.h"
#include "checkpoint/pickle/pickle_value.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

struct Range {
  uint32_t first;
  uint32_t last;
};

// Separators, formats, surrogates, private use and non-characters: what is
// commonly met of what Python escapes.
constexpr Range kNotPrintable[] = {
    {0x7F, 0xA0},     {0xAD, 0xAD},     {0x600, 0x605},     {0x61C, 0x61C},
    {0x1680, 0x1680}, {0x180E, 0x180E}, {0x2000, 0x200F},   {0x2028, 0x202F},
    {0x205F, 0x206F}, {0x3000, 0x3000}, {0xD800, 0xF8FF},   {0xFEFF, 0xFEFF},
    {0xFFF0, 0xFFFB}, {0xFFFE, 0xFFFF}, {0xE0000, 0x10FFFF}};

bool IsPrintable(uint32_t code_point) {
  return code_point >= 0x20 &&
         std::none_of(std::begin(kNotPrintable), std::end(kNotPrintable),
                      [code_point](const Range& range) {
                        return range.first <= code_point &&
                               code_point <= range.last;
                      });
}

// The quote that Python puts around `shown`.
char Quote(absl::string_view shown) {
  return shown.find('\'') != absl::string_view::npos &&
                 shown.find('"') == absl::string_view::npos
             ? '"'
             : '\'';
}

// What str and bytes escape alike; false if `c` is not among it.
bool AppendCommonEscape(uint32_t c, char quote, std::string* out) {
  switch (c) {
    case '\\':
      out->append("\\\\");
      return true;
    case '\n':
      out->append("\\n");
      return true;
    case '\r':
      out->append("\\r");
      return true;
    case '\t':
      out->append("\\t");
      return true;
    default:
      if (quote == '\0' || c != static_cast<uint8_t>(quote)) return false;
      out->push_back('\\');
      out->push_back(quote);
      return true;
  }
}

// The characters of a str between its quotes.
void AppendCharacters(absl::string_view utf8, char quote, size_t max_size,
                      std::string* out) {
  while (!utf8.empty() && out->size() <= max_size) {
    const absl::string_view before = utf8;
    const uint32_t c = TakeCodePoint(&utf8);
    if (AppendCommonEscape(c, quote, out)) continue;
    if (IsPrintable(c)) {
      out->append(before.substr(0, before.size() - utf8.size()));
    } else if (c < 0x100) {
      absl::StrAppendFormat(out, "\\x%02x", c);
    } else if (c < 0x10000) {
      absl::StrAppendFormat(out, "\\u%04x", c);
    } else {
      absl::StrAppendFormat(out, "\\U%08x", c);
    }
  }
}

// A bytes literal, `quote` escaped in it.
void AppendBytes(absl::string_view bytes, char quote, size_t max_size,
                 std::string* out) {
  out->push_back('b');
  out->push_back(quote);
  for (const char byte : bytes) {
    if (out->size() > max_size) break;
    const uint8_t c = static_cast<uint8_t>(byte);
    if (AppendCommonEscape(c, quote, out)) continue;
    if (c >= 0x20 && c < 0x7F) {
      out->push_back(byte);
    } else {
      absl::StrAppendFormat(out, "\\x%02x", c);
    }
  }
  out->push_back(quote);
}

// Python's layout of "d.ddde[+-]xx": a point where the exponent is small.
std::string Layout(absl::string_view scientific) {
  const bool negative = absl::ConsumePrefix(&scientific, "-");
  const size_t e = scientific.find('e');
  std::string digits(scientific.substr(0, 1));
  if (e > 2) digits.append(scientific.substr(2, e - 2));
  int exponent = 0;
  if (!absl::SimpleAtoi(absl::StripPrefix(scientific.substr(e + 1), "+"),
                        &exponent)) {
    return std::string(scientific);
  }
  std::string text;
  if (exponent < -4 || exponent >= 16) {
    text = digits.substr(0, 1);
    if (digits.size() > 1) absl::StrAppend(&text, ".", digits.substr(1));
    absl::StrAppendFormat(&text, "e%c%02d", exponent < 0 ? '-' : '+',
                          std::abs(exponent));
  } else if (exponent < 0) {
    text = absl::StrCat("0.", std::string(-exponent - 1, '0'), digits);
  } else {
    const size_t whole = static_cast<size_t>(exponent) + 1;
    if (digits.size() <= whole) {
      digits.append(whole - digits.size(), '0');
      text = absl::StrCat(digits, ".0");
    } else {
      text = absl::StrCat(digits.substr(0, whole), ".", digits.substr(whole));
    }
  }
  return negative ? absl::StrCat("-", text) : text;
}

std::optional<std::string> NotFinite(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  return std::nullopt;
}

template <typename Float>
std::string ShortestRepr(Float value) {
  const std::optional<std::string> not_finite = NotFinite(value);
  if (not_finite.has_value()) return *not_finite;
  char buffer[64];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer),
                                          value, std::chars_format::scientific);
  return Layout(absl::string_view(buffer, static_cast<size_t>(end - buffer)));
}

double HalfToDouble(uint16_t bits) {
  const int exponent = bits >> 10 & 0x1F;
  const int mantissa = bits & 0x3FF;
  double value;
  if (exponent == 0x1F) {
    value = mantissa == 0 ? INFINITY : NAN;
  } else if (exponent == 0) {
    value = std::ldexp(mantissa, -24);
  } else {
    value = std::ldexp(mantissa | 0x400, exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

}  // namespace

void AppendVisible(absl::string_view utf8, size_t max_size, std::string* out) {
  AppendCharacters(utf8, '\0', max_size, out);
}

void AppendStrRepr(absl::string_view utf8, size_t max_size, std::string* out) {
  const char quote = Quote(utf8.substr(0, max_size));
  out->push_back(quote);
  AppendCharacters(utf8, quote, max_size, out);
  out->push_back(quote);
}

void AppendBytesRepr(absl::string_view bytes, size_t max_size,
                     std::string* out) {
  AppendBytes(bytes, Quote(bytes.substr(0, max_size)), max_size, out);
}

void AppendByteArrayRepr(absl::string_view bytes, size_t max_size,
                         std::string* out) {
  const char quote = Quote(bytes.substr(0, max_size));
  std::string text;
  AppendBytes(bytes, '\'', max_size, &text);
  text[1] = text.back() = quote;
  absl::StrAppend(out, "bytearray(", text, ")");
}

std::string FloatRepr(double value) { return ShortestRepr(value); }
std::string FloatRepr(float value) { return ShortestRepr(value); }

std::string HalfRepr(uint16_t bits) {
  const double value = HalfToDouble(bits);
  const std::optional<std::string> not_finite = NotFinite(value);
  if (not_finite.has_value()) return *not_finite;
  // Five digits tell any two halves apart; often fewer do.
  const uint16_t magnitude = bits & 0x7FFF;
  const double below =
      magnitude == 0 ? 0 : HalfToDouble(static_cast<uint16_t>(magnitude - 1));
  const double above = HalfToDouble(static_cast<uint16_t>(magnitude + 1));
  const double size = std::abs(value);
  for (int digits = 0;; ++digits) {
    const std::string text = absl::StrFormat("%.*e", digits, value);
    double read = 0;
    if (!absl::SimpleAtod(text, &read)) return text;
    const double distance = std::abs(std::abs(read) - size);
    const bool is_this = distance * 2 < size - below || distance == 0;
    if ((is_this && (std::isinf(above) || distance * 2 < above - size)) ||
        digits == 16) {
      return Layout(text);
    }
  }
}

std::string ComplexRepr(std::string real, std::string imaginary) {
  const auto without_zero = [](std::string text) {
    return std::string(absl::StripSuffix(text, ".0"));
  };
  imaginary = without_zero(std::move(imaginary));
  if (real == "0.0") return absl::StrCat(imaginary, "j");
  const bool has_sign = !imaginary.empty() && imaginary[0] == '-';
  return absl::StrCat("(", without_zero(std::move(real)), has_sign ? "" : "+",
                      imaginary, "j)");
}

std::string BigIntRepr(absl::string_view twos_complement) {
  // A byte is 2.4 digits.
  if (twos_complement.size() * 5 / 2 > kMaxPickleDigits) {
    return absl::StrCat("<int of ", twos_complement.size(), " bytes>");
  }
  return DecimalFromTwosComplement(twos_complement);
}

bool IsIdentifier(absl::string_view name) {
  if (name.empty() || absl::ascii_isdigit(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '_' || (c & 0x80) != 0;
  });
}

absl::string_view PythonModule(absl::string_view module) {
  if (module == "__builtin__") return "builtins";
  if (module == "numpy.core.multiarray") return "numpy._core.multiarray";
  if (module == "numpy.core.numeric") return "numpy._core.numeric";
  return module;
}

bool IsPythonGlobal(PickleValue value, absl::string_view module,
                    absl::string_view name) {
  const PickleGlobal* const global = value.global();
  return global != nullptr && global->name == name &&
         PythonModule(global->module) == module;
}

bool CallsPython(PickleValue value, absl::string_view module,
                 absl::string_view name) {
  const PickleRecord* const record = value.record();
  return record != nullptr && IsPythonGlobal(record->callable(), module, name);
}

std::optional<std::string> Latin1Prefix(absl::string_view utf8,
                                        size_t max_size) {
  std::string bytes;
  while (!utf8.empty() && bytes.size() < max_size) {
    const uint32_t c = TakeCodePoint(&utf8);
    if (c > 0xFF) return std::nullopt;
    bytes.push_back(static_cast<char>(c));
  }
  return bytes;
}

std::optional<std::string> BytesPrefix(PickleValue value, size_t max_size) {
  if (value.is(PickleKind::kBytes) || value.is(PickleKind::kByteArray) ||
      value.is(PickleKind::kString)) {
    return std::string(value.text().substr(0, max_size));
  }
  if (CallsPython(value, "builtins", "bytes") &&
      value.record()->args().empty()) {
    return std::string();
  }
  if (!CallsPython(value, "_codecs", "encode")) return std::nullopt;
  const absl::Span<const PickleValue> args = value.record()->args();
  if (args.size() != 2 || !args[0].is(PickleKind::kString) ||
      (args[1].text() != "latin1" && args[1].text() != "latin-1")) {
    return std::nullopt;
  }
  return Latin1Prefix(args[0].text(), max_size);
}

}  // namespace checkpoint_internal
}  // namespace pretrained
