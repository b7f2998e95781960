#ifndef PRETRAINED_TOOLS_TEXT_OUTPUT_H_
#define PRETRAINED_TOOLS_TEXT_OUTPUT_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// "91.0 MB": three digits, powers of 1000.
std::string HumanBytes(int64_t bytes);
// "22.7 M" for counts.
std::string HumanCount(int64_t count);
// "[384, 384]".
std::string HumanShape(absl::Span<const int64_t> shape);

// Columns of a terminal that stdout is; 0 when it is none, so that nothing is
// cut for a program that reads it.
int TerminalWidth();

// Rows in columns, two blanks apart. Columns whose header starts with '>' are
// aligned to the right. A first column too wide for `width` (0: no limit) is
// cut in its middle.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header);
  void AddRow(std::vector<std::string> cells);
  void Print(std::ostream& out, int width) const;

 private:
  std::vector<std::vector<std::string>> rows_;  // The header is the first.
  std::vector<bool> right_;
};

// Text as it is safe to show on a terminal: control characters escaped.
std::string Printable(absl::string_view text);

// A --json document on one line; bytes of file names that are not UTF-8 are
// replaced.
std::string JsonLine(const nlohmann::ordered_json& document);

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_TEXT_OUTPUT_H_
