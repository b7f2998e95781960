#include "tools/heads_flag.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace pretrained {

absl::StatusOr<std::map<int64_t, std::vector<int64_t>>> ParseHeads(
    const std::string& text) {
  using Json = nlohmann::ordered_json;
  const absl::Status bad = absl::InvalidArgumentError(absl::StrCat(
      text,
      " is not a JSON object of layers and heads, such as {\"0\": [1, 3]}"));
  const Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  if (!json.is_object()) return bad;
  std::map<int64_t, std::vector<int64_t>> heads;
  for (const auto& [key, list] : json.items()) {
    int64_t layer = 0;
    if (!absl::SimpleAtoi(key, &layer) || !list.is_array()) return bad;
    for (const Json& head : list) {
      if (!head.is_number_integer()) return bad;
      heads[layer].push_back(head.get<int64_t>());
    }
  }
  return heads;
}

std::string CheckHeads(const std::string& text) {
  return std::string(ParseHeads(text).status().message());
}

}  // namespace pretrained
