#include "checkpoint/pickle/pickle_decode.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "checkpoint/pickle/pickle.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// `digits` hexadecimal digits off the front of `text`.
std::optional<uint32_t> TakeHex(int digits, absl::string_view* text) {
  if (text->size() < digits) return std::nullopt;
  uint32_t value = 0;
  for (int i = 0; i < digits; ++i) {
    const int digit = HexDigit((*text)[i]);
    if (digit < 0) return std::nullopt;
    value = value << 4 | static_cast<uint32_t>(digit);
  }
  text->remove_prefix(digits);
  return value;
}

// How long the UTF-8 character at the start of `text` is; 0 if it is none.
size_t CharacterLength(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const auto continues = [&](size_t i) {
    return i < text.size() && (byte(i) & 0xC0) == 0x80;
  };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4 || !continues(1)) return 0;
  if (first < 0xE0) return 2;
  if (first == 0xE0 && byte(1) < 0xA0) return 0;  // Overlong.
  if (!continues(2)) return 0;
  if (first < 0xF0) return 3;                     // Surrogates too.
  if (first == 0xF0 && byte(1) < 0x90) return 0;  // Overlong.
  if (first == 0xF4 && byte(1) > 0x8F) return 0;  // Above U+10FFFF.
  return continues(3) ? 4 : 0;
}

// What follows a backslash in Python 2's repr; false if it is broken.
bool AppendEscape(absl::string_view* text, std::string* out) {
  static constexpr absl::string_view kLetters = "\\'\"abfnrtv";
  static constexpr absl::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
  const char c = text->front();
  if (c >= '0' && c <= '7') {
    int value = 0;
    for (int i = 0; i < 3 && !text->empty() && text->front() >= '0' &&
                    text->front() <= '7';
         ++i) {
      value = value * 8 + (text->front() - '0');
      text->remove_prefix(1);
    }
    out->push_back(static_cast<char>(value));
    return true;
  }
  text->remove_prefix(1);
  if (c == 'x') {
    const std::optional<uint32_t> value = TakeHex(2, text);
    if (!value.has_value()) return false;
    out->push_back(static_cast<char>(*value));
    return true;
  }
  const size_t letter = kLetters.find(c);
  if (letter != absl::string_view::npos) {
    out->push_back(kMeanings[letter]);
  } else {
    out->push_back('\\');
    out->push_back(c);
  }
  return true;
}

// Little-endian words to two's complement, whose magnitude they are.
std::string TwosComplement(const std::vector<uint32_t>& words, bool negative) {
  std::string bytes;
  uint32_t carry = 1;
  for (const uint32_t word : words) {
    for (int shift = 0; shift < 32; shift += 8) {
      uint32_t byte = word >> shift & 0xFF;
      if (negative) {
        byte = (~byte & 0xFF) + carry;
        carry = byte >> 8;
      }
      bytes.push_back(static_cast<char>(byte & 0xFF));
    }
  }
  const char sign = negative ? '\xFF' : '\0';
  bytes.push_back(sign);
  const auto is_negative = [](char c) { return (c & 0x80) != 0; };
  while (bytes.size() > 1 && bytes.back() == sign &&
         is_negative(bytes[bytes.size() - 2]) == negative) {
    bytes.pop_back();
  }
  if (bytes.size() == 1 && bytes[0] == '\0') bytes.clear();  // Zero.
  return bytes;
}

}  // namespace

bool IsPickleUtf8(absl::string_view text) {
  while (text.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, text.data(), 8);
    if ((word & 0x8080808080808080u) != 0) break;
    text.remove_prefix(8);
  }
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

void AppendPickleUtf8(uint32_t code_point, std::string* out) {
  const auto push = [out](uint32_t byte) {
    out->push_back(static_cast<char>(byte));
  };
  if (code_point < 0x80) {
    push(code_point);
    return;
  }
  if (code_point < 0x800) {
    push(0xC0 | code_point >> 6);
  } else {
    if (code_point < 0x10000) {
      push(0xE0 | code_point >> 12);
    } else {
      push(0xF0 | code_point >> 18);
      push(0x80 | (code_point >> 12 & 0x3F));
    }
    push(0x80 | (code_point >> 6 & 0x3F));
  }
  push(0x80 | (code_point & 0x3F));
}

uint32_t TakeCodePoint(absl::string_view* text) {
  const size_t length = std::max<size_t>(CharacterLength(*text), 1);
  uint32_t code_point = static_cast<uint8_t>(text->front());
  if (length > 1) code_point &= 0x7Fu >> length;
  for (size_t i = 1; i < length; ++i) {
    code_point = code_point << 6 | (static_cast<uint8_t>((*text)[i]) & 0x3F);
  }
  text->remove_prefix(length);
  return code_point;
}

std::optional<std::string> DecodeQuotedString(absl::string_view quoted) {
  if (quoted.size() < 2 || quoted.front() != quoted.back() ||
      (quoted.front() != '\'' && quoted.front() != '"')) {
    return std::nullopt;
  }
  absl::string_view text = quoted.substr(1, quoted.size() - 2);
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const char c = text.front();
    text.remove_prefix(1);
    if (c != '\\') {
      out.push_back(c);
      continue;
    }
    if (text.empty() || !AppendEscape(&text, &out)) return std::nullopt;
  }
  return out;
}

std::optional<std::string> DecodeRawUnicodeEscape(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const uint8_t c = static_cast<uint8_t>(text.front());
    text.remove_prefix(1);
    if (c != '\\' || text.empty()) {
      AppendPickleUtf8(c, &out);  // Latin-1.
      continue;
    }
    const char kind = text.front();
    text.remove_prefix(1);
    if (kind != 'u' && kind != 'U') {
      out.push_back('\\');
      AppendPickleUtf8(static_cast<uint8_t>(kind), &out);
      continue;
    }
    const std::optional<uint32_t> code_point =
        TakeHex(kind == 'u' ? 4 : 8, &text);
    if (!code_point.has_value() || *code_point > 0x10FFFF) return std::nullopt;
    AppendPickleUtf8(*code_point, &out);
  }
  return out;
}

std::optional<std::string> DecodeDecimal(absl::string_view text) {
  const bool negative = absl::ConsumePrefix(&text, "-");
  if (text.empty() || text.size() > kMaxPickleDigits ||
      (text.size() > 1 && text.front() == '0')) {
    return std::nullopt;
  }
  std::vector<uint32_t> words;
  while (!text.empty()) {
    // Nine digits at a time: words = words * 10^9 + the next nine.
    uint64_t factor = 1;
    uint64_t carry = 0;
    const size_t digits = std::min<size_t>(text.size(), 9);
    for (size_t i = 0; i < digits; ++i) {
      if (!absl::ascii_isdigit(text[i])) return std::nullopt;
      carry = carry * 10 + static_cast<uint64_t>(text[i] - '0');
      factor *= 10;
    }
    text.remove_prefix(digits);
    for (uint32_t& word : words) {
      carry += word * factor;
      word = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    if (carry != 0) words.push_back(static_cast<uint32_t>(carry));
  }
  return TwosComplement(words, negative && !words.empty());
}

std::optional<int64_t> Int64FromTwosComplement(absl::string_view bytes) {
  if (bytes.empty()) return 0;
  const bool negative = (bytes.back() & 0x80) != 0;
  const char sign = negative ? '\xFF' : '\0';
  while (bytes.size() > 8 && bytes.back() == sign) bytes.remove_suffix(1);
  if (bytes.size() > 8) return std::nullopt;
  if (bytes.size() == 8 && ((bytes.back() & 0x80) != 0) != negative) {
    return std::nullopt;
  }
  uint64_t value = negative ? ~uint64_t{0} : 0;
  for (size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | static_cast<uint8_t>(bytes[i]);
  }
  return static_cast<int64_t>(value);
}

std::string DecimalFromTwosComplement(absl::string_view bytes) {
  const bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
  std::vector<uint32_t> words((bytes.size() + 3) / 4, 0);
  uint32_t carry = 1;
  for (size_t i = 0; i < words.size() * 4; ++i) {
    uint32_t byte = i < bytes.size() ? static_cast<uint8_t>(bytes[i])
                                     : (negative ? 0xFFu : 0u);
    if (negative) {
      byte = (~byte & 0xFF) + carry;
      carry = byte >> 8;
      byte &= 0xFF;
    }
    words[i / 4] |= byte << (i % 4 * 8);
  }
  std::string digits;  // Last first.
  while (!words.empty()) {
    uint64_t remainder = 0;
    for (size_t i = words.size(); i-- > 0;) {
      remainder = remainder << 32 | words[i];
      words[i] = static_cast<uint32_t>(remainder / 1'000'000'000);
      remainder %= 1'000'000'000;
    }
    while (!words.empty() && words.back() == 0) words.pop_back();
    for (int i = 0; i < 9; ++i) {
      digits.push_back(static_cast<char>('0' + remainder % 10));
      remainder /= 10;
    }
  }
  while (digits.size() > 1 && digits.back() == '0') digits.pop_back();
  if (digits.empty()) digits.push_back('0');
  if (negative) digits.push_back('-');
  std::reverse(digits.begin(), digits.end());
  return digits;
}

}  // namespace checkpoint_internal
}  // namespace pretrained
