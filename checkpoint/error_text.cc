#include "checkpoint/error_text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "simdjson.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

constexpr size_t kMaxNameBytes = 200;
constexpr size_t kMaxExtents = 12;

// Length of the longest prefix of at most `max_bytes` that ends between two
// UTF-8 characters.
size_t CutBetweenCharacters(absl::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text.size();
  size_t n = max_bytes;
  while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xC0) == 0x80) --n;
  return n;
}

// True if `text` is printable as it stands: no control character, and no quote
// or backslash that would make the quoted form ambiguous.
bool IsPlain(absl::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) {
    return c < 0x20 || c == 0x7F || c == '\'' || c == '\\';
  });
}

// True if what is not ASCII in `text` is UTF-8, and none of it a control
// character (U+0080 to U+009F).
bool IsPrintableUtf8(absl::string_view text) {
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    const auto next = static_cast<unsigned char>(text[i + 1]);
    if (text[i] == '\xC2' && next >= 0x80 && next < 0xA0) return false;
  }
  return simdjson::validate_utf8(text.data(), text.size());
}

}  // namespace

std::string QuotedName(absl::string_view name) {
  const absl::string_view shown =
      name.substr(0, CutBetweenCharacters(name, kMaxNameBytes));
  const std::string text = !IsPrintableUtf8(shown) ? absl::CHexEscape(shown)
                           : IsPlain(shown)        ? std::string(shown)
                                            : absl::Utf8SafeCHexEscape(shown);
  if (shown.size() == name.size()) return absl::StrCat("'", text, "'");
  return absl::StrCat("'", text, "..' (", name.size(), " bytes)");
}

std::string ShapeText(absl::Span<const int64_t> shape) {
  if (shape.size() <= kMaxExtents) {
    return absl::StrCat("[", absl::StrJoin(shape, ","), "]");
  }
  return absl::StrCat("[", absl::StrJoin(shape.subspan(0, kMaxExtents), ","),
                      ",.. (rank ", shape.size(), ")]");
}

}  // namespace checkpoint_internal
}  // namespace pretrained
