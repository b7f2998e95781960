#include "checkpoint/python_json.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "simdjson.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

namespace dom = simdjson::dom;

// The code point at `text[i]`, which starts one; moves `i` to its last byte.
uint32_t DecodeUtf8(absl::string_view text, size_t& i) {
  const auto byte = [&](size_t at) -> uint32_t {
    return static_cast<unsigned char>(text[at]);
  };
  const uint32_t lead = byte(i);
  const size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  uint32_t code_point = lead & (0x3F >> more);
  for (size_t k = 0; k < more && i + 1 < text.size(); ++k) {
    code_point = code_point << 6 | (byte(++i) & 0x3F);
  }
  return code_point;
}

void AppendEscape(uint32_t code_point, std::string& out) {
  if (code_point >= 0x10000) {
    code_point -= 0x10000;
    absl::StrAppendFormat(&out, "\\u%04x\\u%04x", 0xD800 + (code_point >> 10),
                          0xDC00 + (code_point & 0x3FF));
    return;
  }
  absl::StrAppendFormat(&out, "\\u%04x", code_point);
}

// Writes what stands between two values, or beside the first or the last one.
class Layout {
 public:
  explicit Layout(const PythonJsonOptions& options) : options_(options) {}

  void Separate(bool first, int level, std::string& out) const {
    if (!first) out += options_.indent < 0 ? ", " : ",";
    NewLine(level, out);
  }
  void NewLine(int level, std::string& out) const {
    if (options_.indent < 0) return;
    out += '\n';
    out.append(static_cast<size_t>(level) * options_.indent, ' ');
  }

 private:
  const PythonJsonOptions& options_;
};

void AppendArray(dom::array array, const PythonJsonOptions& options,
                 std::string& out) {
  const Layout layout(options);
  PythonJsonOptions inner = options;
  ++inner.level;
  out += '[';
  bool first = true;
  for (const dom::element element : array) {
    layout.Separate(first, inner.level, out);
    first = false;
    AppendPythonJson(element, inner, out);
  }
  if (!first) layout.NewLine(options.level, out);
  out += ']';
}

void AppendObject(dom::object object, const PythonJsonOptions& options,
                  std::string& out) {
  std::vector<std::pair<absl::string_view, dom::element>> fields;
  for (const dom::key_value_pair field : object) {
    fields.emplace_back(field.key, field.value);
  }
  if (options.sort_keys) {
    // Bytes of UTF-8 sort as its code points do, by which Python sorts.
    std::sort(fields.begin(), fields.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
  }
  const Layout layout(options);
  PythonJsonOptions inner = options;
  ++inner.level;
  out += '{';
  for (const auto& [key, value] : fields) {
    layout.Separate(key.data() == fields[0].first.data(), inner.level, out);
    AppendPythonString(key, out);
    out += ": ";
    AppendPythonJson(value, inner, out);
  }
  if (!fields.empty()) layout.NewLine(options.level, out);
  out += '}';
}

}  // namespace

void AppendPythonString(absl::string_view text, std::string& out) {
  out += '"';
  for (size_t i = 0; i < text.size(); ++i) {
    constexpr absl::string_view kShort("\"\\\n\r\t\f\b");
    constexpr absl::string_view kLetters("\"\\nrtfb");
    const unsigned char c = text[i];
    if (const size_t at = kShort.find(c); at != absl::string_view::npos) {
      out += '\\';
      out += kLetters[at];
    } else if (absl::ascii_isprint(c)) {
      out += static_cast<char>(c);
    } else {
      AppendEscape(c < 0x80 ? c : DecodeUtf8(text, i), out);
    }
  }
  out += '"';
}

std::string PythonFloat(double number) {
  // The fewest digits, as "d.ddde-XX"; what differs is where the point goes.
  char buffer[40];
  const std::to_chars_result end =
      std::to_chars(std::begin(buffer), std::end(buffer), number,
                    std::chars_format::scientific);
  const absl::string_view text(buffer, end.ptr - buffer);
  const size_t e = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  if (exponent < -4 || exponent >= 16) return std::string(text);

  const bool negative = text[0] == '-';
  std::string digits(text.substr(negative, 1));
  if (e > 2)
    absl::StrAppend(&digits, text.substr(negative + 2, e - negative - 2));
  if (exponent < 0) {
    digits = absl::StrCat(std::string(-exponent, '0'), digits);
  } else if (digits.size() < static_cast<size_t>(exponent) + 2) {
    digits.append(exponent + 2 - digits.size(), '0');
  }
  const absl::string_view all = digits;
  const size_t whole = static_cast<size_t>(std::max(exponent, 0)) + 1;
  return absl::StrCat(negative ? "-" : "", all.substr(0, whole), ".",
                      all.substr(whole));
}

void AppendPythonJson(dom::element element, const PythonJsonOptions& options,
                      std::string& out) {
  switch (element.type()) {
    case dom::element_type::ARRAY:
      return AppendArray(element.get_array().value_unsafe(), options, out);
    case dom::element_type::OBJECT:
      return AppendObject(element.get_object().value_unsafe(), options, out);
    case dom::element_type::STRING:
      return AppendPythonString(element.get_string().value_unsafe(), out);
    case dom::element_type::INT64:
      return absl::StrAppend(&out, element.get_int64().value_unsafe());
    case dom::element_type::UINT64:
      return absl::StrAppend(&out, element.get_uint64().value_unsafe());
    case dom::element_type::DOUBLE:
      out += PythonFloat(element.get_double().value_unsafe());
      return;
    case dom::element_type::BOOL:
      out += element.get_bool().value_unsafe() ? "true" : "false";
      return;
    case dom::element_type::NULL_VALUE:
      out += "null";
      return;
  }
}

std::optional<std::string> FindDuplicateKey(dom::element element) {
  if (dom::array items; element.get(items) == simdjson::SUCCESS) {
    for (const dom::element item : items) {
      if (auto key = FindDuplicateKey(item)) return key;
    }
  }
  dom::object fields;
  if (element.get(fields) != simdjson::SUCCESS) return std::nullopt;
  absl::flat_hash_set<absl::string_view> keys;
  for (const dom::key_value_pair field : fields) {
    if (!keys.insert(field.key).second) return std::string(field.key);
    if (auto key = FindDuplicateKey(field.value)) return key;
  }
  return std::nullopt;
}

}  // namespace checkpoint_internal
}  // namespace pretrained
