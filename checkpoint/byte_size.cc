#include "checkpoint/byte_size.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/error_text.h"

namespace pretrained {
namespace {

using checkpoint_internal::QuotedName;

constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();

struct Unit {
  absl::string_view name;  // Compared without regard to case.
  uint64_t bytes;
  bool may_be_bits;
};

constexpr Unit kUnits[] = {
    {"GiB", uint64_t{1} << 30, false},
    {"MiB", uint64_t{1} << 20, false},
    {"KiB", uint64_t{1} << 10, false},
    {"GB", 1'000'000'000, true},
    {"MB", 1'000'000, true},
    {"KB", 1'000, true},
    {"", 1, false},
};

absl::Status Bad(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("size ", QuotedName(text), ": ", why,
                   "; write a whole number and a unit, such as 10GB, 500MiB "
                   "or 4096 (bytes)"));
}

// The digits of a whole number as Python's int() takes them; nullopt if they
// are none. kMax + 1 stands for everything that does not fit.
std::optional<uint64_t> ParseDigits(absl::string_view digits) {
  if (digits.empty() || digits.back() == '_') return std::nullopt;
  uint64_t number = 0;
  char last = '_';  // No "_" may come first.
  for (const char c : digits) {
    if (c == '_' ? last == '_' : !absl::ascii_isdigit(c)) return std::nullopt;
    last = c;
    if (c == '_') continue;
    const uint64_t digit = c - '0';
    number = number > kMax / 10 ? kMax + 1 : number * 10 + digit;
  }
  return number;
}

}  // namespace

absl::StatusOr<int64_t> ParseByteSize(absl::string_view text) {
  absl::string_view number = text;
  const Unit* unit = kUnits;
  while (!absl::EndsWithIgnoreCase(number, unit->name)) ++unit;
  number.remove_suffix(unit->name.size());
  const bool bits = unit->may_be_bits && text.back() == 'b';

  number = absl::StripAsciiWhitespace(number);
  const bool negative = absl::StartsWith(number, "-");
  if (negative || absl::StartsWith(number, "+")) number.remove_prefix(1);
  const std::optional<uint64_t> count = ParseDigits(number);
  if (!count.has_value()) return Bad(text, "is not a whole number of bytes");
  if (negative && *count != 0) return Bad(text, "is negative");
  if (*count > kMax / unit->bytes)
    return Bad(text, "is more than 63 bits hold");
  return static_cast<int64_t>(*count * unit->bytes / (bits ? 8 : 1));
}

}  // namespace pretrained
