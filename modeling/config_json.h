#ifndef PRETRAINED_MODELING_CONFIG_JSON_H_
#define PRETRAINED_MODELING_CONFIG_JSON_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// The JSON of config.json and its like, as Python reads, compares and writes
// it.
//
//   auto text = ReadConfigFile("gpt2/generation_config.json");
//   auto json = ParseConfigObject(*text, "gpt2/generation_config.json");
//   std::string again = PythonJson(*json);
//
// Threads: pure, but for those that read or write a file.

// The content of a config file. kNotFound if there is none; kInvalidArgument
// for what is not a regular file, or is too large for a config.
absl::StatusOr<std::string> ReadConfigFile(const std::string& path);

// `text` as a JSON object. kInvalidArgument, naming `file_name`, for anything
// else, and for nesting or numbers of keys that no config has.
absl::StatusOr<nlohmann::ordered_json> ParseConfigObject(
    absl::string_view text, absl::string_view file_name);

// Makes `folder`, with its parents, if it is missing, and in it the file `name`
// with this content, in one step. kInvalidArgument if `folder` is a file.
absl::Status WriteConfigFile(const std::string& folder, absl::string_view name,
                             absl::string_view content);

// An attribute and where it was found, to be read as the type that is wanted.
// Errors: kInvalidArgument, as Bad() makes it, for a value of another type.
// Lifetime: must not outlive what it was made from.
struct ConfigAttribute {
  absl::string_view file_name;
  std::string name;
  const nlohmann::ordered_json& value;

  absl::StatusOr<int64_t> Int() const;
  absl::StatusOr<double> Double() const;
  absl::StatusOr<bool> Bool() const;
  absl::StatusOr<std::string> String() const;
  // nullopt for null.
  absl::StatusOr<std::optional<int64_t>> OptionalInt() const;
  // Several, or one for a list of one, or null for none.
  absl::StatusOr<std::vector<int64_t>> Ints() const;
  absl::StatusOr<std::vector<std::string>> Strings() const;

  // "config.json: 'name' is <value>, but <expected>"; a long value is cut.
  absl::Status Bad(absl::string_view expected) const;
};

// The number that `value` is to Python, for which true is 1 and false is 0;
// nullopt if it is none. Exact: a long double holds every 64-bit integer.
std::optional<long double> PythonNumber(const nlohmann::ordered_json& value);

// Whether Python's == holds: 1, 1.0 and true are equal, and the order of keys
// does not count.
bool PythonEqual(const nlohmann::ordered_json& a,
                 const nlohmann::ordered_json& b);

// Python's json.dumps(attributes, indent=2, sort_keys=True) and a newline.
// The attributes in `integer_keyed` are dicts that have integers for keys in
// Python, and are sorted by number.
std::string PythonJson(const nlohmann::ordered_json& attributes,
                       std::initializer_list<const char*> integer_keyed = {});

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_CONFIG_JSON_H_
