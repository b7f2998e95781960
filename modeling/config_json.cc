#include "modeling/config_json.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/file_writer.h"
#include "checkpoint/python_json.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;
using checkpoint_internal::AppendPythonString;
using checkpoint_internal::PythonFloat;

// A config is a page of text; more than this is something else.
constexpr int64_t kMaxConfigBytes = 64 << 20;
constexpr int kMaxDepth = 256;
// Enough for ImageNet-21k, whose labels are two objects of 21,841 keys.
constexpr int64_t kMaxSteps = int64_t{1} << 29;

// Refuses nesting that would exhaust the stack of whoever walks the value, and
// objects of more keys than are put in within seconds: those that keep their
// order are searched from front to back, at each key.
class Limits {
 public:
  bool Allow(int depth, Json::parse_event_t event) {
    if (!broken_.empty()) return false;
    if (depth > kMaxDepth) {
      broken_ = absl::StrCat("nested more than ", kMaxDepth, " levels deep");
    } else if (event == Json::parse_event_t::object_start) {
      keys_[depth + 1] = 0;
    } else if (event == Json::parse_event_t::key) {
      steps_ += ++keys_[depth];
      if (steps_ > kMaxSteps) {
        broken_ = absl::StrCat("has an object of ", keys_[depth], " keys");
      }
    }
    return broken_.empty();
  }
  const std::string& broken() const { return broken_; }

 private:
  // Keys so far of the object that is open at each depth.
  std::array<int64_t, kMaxDepth + 2> keys_ = {};
  int64_t steps_ = 0;   // Of all searches.
  std::string broken_;  // What was too much; empty when nothing was.
};

// Writes values; each level is two spaces further in.
class Writer {
 public:
  explicit Writer(std::initializer_list<const char*> integer_keyed)
      : integer_keyed_(integer_keyed) {}

  void Append(const Json& value, int level, bool integer_keys = false) {
    switch (value.type()) {
      case Json::value_t::object:
        return AppendObject(value, level, integer_keys);
      case Json::value_t::array:
        return AppendArray(value, level);
      case Json::value_t::string:
        return AppendPythonString(value.get_ref<const std::string&>(), text);
      case Json::value_t::number_float:
        text += PythonFloat(value.get<double>());
        return;
      default:  // Integers, true, false and null, which all write alike.
        text += value.dump();
    }
  }

  std::string text;

 private:
  struct Field {
    const std::string* key;
    const Json* value;
    int64_t number = 0;
  };

  void NewLine(int level) {
    text += '\n';
    text.append(2 * static_cast<size_t>(level), ' ');
  }

  void AppendArray(const Json& array, int level) {
    text += '[';
    for (size_t i = 0; i < array.size(); ++i) {
      if (i > 0) text += ',';
      NewLine(level + 1);
      Append(array[i], level + 1);
    }
    if (!array.empty()) NewLine(level);
    text += ']';
  }

  // Bytes of UTF-8 sort as code points do, by which Python sorts.
  static std::vector<Field> Sorted(const Json& object, bool integer_keys) {
    std::vector<Field> fields;
    for (const auto& [key, value] : object.get_ref<const Json::object_t&>()) {
      fields.push_back({&key, &value});
      integer_keys =
          integer_keys && absl::SimpleAtoi(key, &fields.back().number);
    }
    std::sort(fields.begin(), fields.end(),
              [&](const Field& a, const Field& b) {
                return integer_keys ? a.number < b.number : *a.key < *b.key;
              });
    return fields;
  }

  void AppendObject(const Json& object, int level, bool integer_keys) {
    text += '{';
    bool first = true;
    for (const Field& field : Sorted(object, integer_keys)) {
      if (!first) text += ',';
      first = false;
      NewLine(level + 1);
      AppendPythonString(*field.key, text);
      text += ": ";
      Append(*field.value, level + 1, level == 0 && IsIntegerKeyed(*field.key));
    }
    if (!first) NewLine(level);
    text += '}';
  }

  bool IsIntegerKeyed(absl::string_view attribute) const {
    return std::find(integer_keyed_.begin(), integer_keyed_.end(), attribute) !=
           integer_keyed_.end();
  }

  std::initializer_list<const char*> integer_keyed_;
};

// The items of a list, of which a value that is no list is the only one; none
// for null. `read` makes an optional of each.
template <typename T, typename Read>
absl::StatusOr<std::vector<T>> List(const ConfigAttribute& attribute,
                                    absl::string_view expected, Read read) {
  std::vector<T> list;
  const Json& value = attribute.value;
  if (value.is_null()) return list;
  for (const Json& item : value.is_array() ? value : Json::array({value})) {
    std::optional<T> read_item = read(item);
    if (!read_item.has_value()) return attribute.Bad(expected);
    list.push_back(*std::move(read_item));
  }
  return list;
}

std::optional<int64_t> IntOf(const Json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) {
    return std::nullopt;
  }
  return value.get<int64_t>();
}

std::optional<std::string> StringOf(const Json& value) {
  if (!value.is_string()) return std::nullopt;
  return value.get<std::string>();
}

}  // namespace

absl::StatusOr<std::string> ReadConfigFile(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    return absl::NotFoundError(
        absl::StrCat(path, ": there is no such file; a model folder holds a ",
                     std::filesystem::path(path).filename().string(),
                     " beside its weights: check the path"));
  }
  if (status.type() != std::filesystem::file_type::regular) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": is not a regular file",
        error ? absl::StrCat(" (", error.message(), ")") : std::string()));
  }
  const auto size = std::filesystem::file_size(path, error);
  if (!error && size > kMaxConfigBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": ", size, " bytes are too many for a config; at most ",
        kMaxConfigBytes, " are read"));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text;
  char block[1 << 14];
  while (file && text.size() <= kMaxConfigBytes) {
    file.read(block, sizeof(block));
    text.append(block, file.gcount());
  }
  if (!file.eof()) {
    return absl::PermissionDeniedError(
        absl::StrCat(path, ": cannot be read: ", std::strerror(errno),
                     "; check its permissions"));
  }
  return text;
}

absl::StatusOr<Json> ParseConfigObject(absl::string_view text,
                                       absl::string_view file_name) {
  Limits limits;
  Json json = Json::parse(
      text.begin(), text.end(),
      [&limits](int depth, Json::parse_event_t event, Json&) {
        return limits.Allow(depth, event);
      },
      /*allow_exceptions=*/false);
  if (!limits.broken().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file_name, ": ", limits.broken(),
                     ", which no config is; check that it is one"));
  }
  if (json.is_discarded()) {
    return absl::InvalidArgumentError(absl::StrCat(
        file_name,
        ": is not valid JSON; save the config again, or check that the "
        "download is complete"));
  }
  if (!json.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file_name, ": holds a JSON ", json.type_name(),
                     ", but a config is an object of attributes"));
  }
  return json;
}

absl::Status WriteConfigFile(const std::string& folder, absl::string_view name,
                             absl::string_view content) {
  std::error_code error;
  if (std::filesystem::exists(folder, error) &&
      !std::filesystem::is_directory(folder, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat(folder, ": is a file, but a folder is expected; pass the ",
                     "path of one, which is made if it is missing"));
  }
  std::filesystem::create_directories(folder, error);
  if (error) {
    return absl::Status(
        absl::ErrnoToStatusCode(error.value()),
        absl::StrCat(folder, ": cannot be made: ", error.message(),
                     "; pass a folder that may be written"));
  }
  absl::StatusOr<FileWriter> file =
      FileWriter::Create(absl::StrCat(folder, "/", name));
  absl::Status status = file.status();
  if (status.ok()) status = file->Append(content);
  if (status.ok()) status = file->Commit();
  return status;
}

absl::StatusOr<int64_t> ConfigAttribute::Int() const {
  if (std::optional<int64_t> number = IntOf(value)) return *number;
  return Bad(value.is_number_integer() ? "a 64-bit integer is expected"
                                       : "an integer is expected");
}

absl::StatusOr<std::optional<int64_t>> ConfigAttribute::OptionalInt() const {
  if (value.is_null()) return std::nullopt;
  return Int();
}

absl::StatusOr<double> ConfigAttribute::Double() const {
  if (!value.is_number()) return Bad("a number is expected");
  return value.get<double>();
}

absl::StatusOr<bool> ConfigAttribute::Bool() const {
  if (!value.is_boolean()) return Bad("true or false is expected");
  return value.get<bool>();
}

absl::StatusOr<std::string> ConfigAttribute::String() const {
  if (!value.is_string()) return Bad("a string is expected");
  return value.get<std::string>();
}

absl::StatusOr<std::vector<int64_t>> ConfigAttribute::Ints() const {
  return List<int64_t>(*this, "a list of 64-bit integers is expected", IntOf);
}

absl::StatusOr<std::vector<std::string>> ConfigAttribute::Strings() const {
  return List<std::string>(*this, "a list of strings is expected", StringOf);
}

absl::Status ConfigAttribute::Bad(absl::string_view expected) const {
  std::string shown =
      value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (shown.size() > 80) shown = absl::StrCat(shown.substr(0, 77), "...");
  return absl::InvalidArgumentError(
      absl::StrCat(file_name, ": '", name, "' is ", shown, ", but ", expected));
}

std::optional<long double> PythonNumber(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number()) return value.get<double>();
  return std::nullopt;
}

bool PythonEqual(const Json& a, const Json& b) {
  const std::optional<long double> number = PythonNumber(a);
  if (number.has_value() && PythonNumber(b).has_value()) {
    return number == PythonNumber(b);
  }
  if (a.type() != b.type()) return false;
  if (a.is_array()) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), PythonEqual);
  }
  if (!a.is_object()) return a == b;
  if (a.size() != b.size()) return false;
  for (const auto& [key, value] : a.items()) {
    const auto found = b.find(key);
    if (found == b.end() || !PythonEqual(value, *found)) return false;
  }
  return true;
}

std::string PythonJson(const Json& attributes,
                       std::initializer_list<const char*> integer_keyed) {
  Writer writer(integer_keyed);
  writer.Append(attributes, 0);
  writer.text += '\n';
  return std::move(writer.text);
}

}  // namespace pretrained
