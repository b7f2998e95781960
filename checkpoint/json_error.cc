#include "checkpoint/json_error.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// Takes every event of the parser, and stops it at the first fault.
class FaultFinder : public nlohmann::json_sax<nlohmann::json> {
 public:
  JsonError Result() && { return std::move(error_); }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  // Integers that need more than 64 bits come here too.
  bool number_float(number_float_t value, const string_t& text) override {
    const bool is_integer = text.find_first_of(".eE") == string_t::npos;
    if (!is_integer && std::isfinite(value)) return true;
    error_.number = text;
    return false;
  }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return Enter(); }
  bool end_object() override { return Leave(); }
  bool start_array(size_t) override { return Enter(); }
  bool end_array() override { return Leave(); }
  bool key(string_t& key) override {
    if (depth_ == 1) error_.key = key;
    return true;
  }

  // `position` counts the bytes read, the offending one included.
  bool parse_error(size_t position, const std::string& last_token,
                   const nlohmann::detail::exception& error) override {
    constexpr int kNumberOverflow = 406;  // nlohmann's own code for 1e400.
    if (error.id == kNumberOverflow) {
      error_.number = last_token;
    } else {
      error_.place = std::max<int64_t>(static_cast<int64_t>(position) - 1, 0);
    }
    return false;
  }

 private:
  bool Enter() {
    ++depth_;
    return true;
  }
  bool Leave() {
    // Past the value of a key of the root object the key is behind us.
    if (--depth_ <= 1) error_.key.reset();
    return true;
  }

  int64_t depth_ = 0;
  JsonError error_;
};

}  // namespace

JsonError FindJsonError(absl::string_view json) {
  FaultFinder finder;
  if (!nlohmann::json::sax_parse(json.begin(), json.end(), &finder)) {
    return std::move(finder).Result();
  }
  // To that parser a NUL is the end of its input.
  JsonError error;
  if (const size_t nul = json.find('\0'); nul != absl::string_view::npos) {
    error.place = static_cast<int64_t>(nul);
  }
  return error;
}

}  // namespace checkpoint_internal
}  // namespace pretrained
