#ifndef PRETRAINED_CHECKPOINT_PYTHON_JSON_H_
#define PRETRAINED_CHECKPOINT_PYTHON_JSON_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "simdjson.h"

namespace pretrained {
namespace checkpoint_internal {

// JSON as Python's `json` module writes it, to the byte.
//
//   std::string out;
//   AppendPythonString("h\u00e9", out);   // "h\u00e9": ASCII only
//   AppendPythonJson(element, {}, out);   // json.dumps(value)
//   AppendPythonJson(element, {.indent = 2, .sort_keys = true}, out);

struct PythonJsonOptions {
  int indent = -1;         // Spaces a level; -1: all on one line.
  bool sort_keys = false;  // Of every object; else in stored order.
  int level = 0;           // How deep `element` lies in what is written.
};

// What json.dumps() makes of json.loads() of `element`: floats get the fewest
// digits that read back to them, -0 becomes 0. No key may occur twice.
void AppendPythonJson(simdjson::dom::element element,
                      const PythonJsonOptions& options, std::string& out);

// `text`, valid UTF-8, in quotes; what is not printable ASCII is escaped.
void AppendPythonString(absl::string_view text, std::string& out);

// A finite number as repr() gives it: "1.0", "0.1", "1e+16", "1e-05".
std::string PythonFloat(double number);

// The first key that an object within `element` has twice, escapes undone.
std::optional<std::string> FindDuplicateKey(simdjson::dom::element element);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_PYTHON_JSON_H_
