#include "tools/text_output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

std::string Scaled(int64_t value, absl::Span<const char* const> units) {
  double scaled = static_cast<double>(value);
  size_t unit = 0;
  while (scaled >= 999.5 && unit + 1 < units.size()) {
    scaled /= 1000;
    ++unit;
  }
  if (unit == 0) return absl::StrCat(value, units[0]);
  const int decimals = scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0;
  return absl::StrFormat("%.*f%s", decimals, scaled, units[unit]);
}

// Characters, not bytes, of UTF-8.
size_t Width(absl::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (c & 0xC0) != 0x80; });
}

// `text` in at most `width` characters, its middle left out.
std::string Cut(const std::string& text, size_t width) {
  if (Width(text) <= width || Width(text) != text.size() || width < 8) {
    return text;
  }
  const size_t head = (width - 2) / 2;
  const size_t tail = width - 2 - head;
  return absl::StrCat(text.substr(0, head), "..",
                      text.substr(text.size() - tail));
}

}  // namespace

std::string HumanBytes(int64_t bytes) {
  static constexpr const char* kUnits[] = {" B",  " kB", " MB",
                                           " GB", " TB", " PB"};
  return Scaled(bytes, kUnits);
}

std::string HumanCount(int64_t count) {
  static constexpr const char* kUnits[] = {"", " k", " M", " G", " T"};
  return Scaled(count, kUnits);
}

std::string HumanShape(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

int TerminalWidth() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 ||
      ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) {
    return 0;
  }
  return size.ws_col;
}

TextTable::TextTable(std::vector<std::string> header) {
  for (std::string& cell : header) {
    right_.push_back(!cell.empty() && cell[0] == '>');
    if (right_.back()) cell.erase(0, 1);
  }
  rows_.push_back(std::move(header));
}

void TextTable::AddRow(std::vector<std::string> cells) {
  cells.resize(right_.size());
  rows_.push_back(std::move(cells));
}

void TextTable::Print(std::ostream& out, int width) const {
  std::vector<size_t> widths(right_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Width(row[i]));
    }
  }
  size_t others = 0;
  for (size_t i = 1; i < widths.size(); ++i) others += widths[i] + 2;
  if (width > 0 && widths[0] + others > static_cast<size_t>(width)) {
    const size_t room = static_cast<size_t>(width);
    widths[0] = std::max<size_t>(room > others ? room - others : 0, 16);
  }
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string cell = i == 0 ? Cut(row[i], widths[0]) : row[i];
      const std::string padding(widths[i] - std::min(widths[i], Width(cell)),
                                ' ');
      if (i > 0) line += "  ";
      line += right_[i] ? padding + cell : cell + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << "\n";
  }
}

std::string Printable(absl::string_view text) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppendFormat(&shown, "\\x%02x", byte);
    } else {
      shown += c;
    }
  }
  return shown;
}

std::string JsonLine(const nlohmann::ordered_json& document) {
  return document.dump(-1, ' ', /*ensure_ascii=*/false,
                       nlohmann::ordered_json::error_handler_t::replace) +
         "\n";
}

}  // namespace pretrained
