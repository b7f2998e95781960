#include "modeling/config_reader.h"

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

// Larger extents than any model has, small enough that the product of two
// always fits 64 bits.
constexpr int64_t kMaxSize = int64_t{1} << 31;

template <typename T>
void Take(absl::StatusOr<T> value, T& field, absl::Status& status) {
  if (value.ok()) {
    field = *std::move(value);
  } else {
    status.Update(value.status());
  }
}

// Whether `pruned` is of the form that PrunedHeads() wants.
bool ReadPrunedHeads(const nlohmann::ordered_json& pruned, int64_t num_layers,
                     int64_t num_heads,
                     std::map<int64_t, std::set<int64_t>>& found) {
  if (!pruned.is_object()) return false;
  for (const auto& [key, heads] : pruned.items()) {
    int64_t layer = 0;
    if (!absl::SimpleAtoi(key, &layer) || layer < 0 || layer >= num_layers ||
        !heads.is_array()) {
      return false;
    }
    for (const auto& head : heads) {
      if (!head.is_number_integer()) return false;
      const int64_t index = head.get<int64_t>();
      if (index < 0 || index >= num_heads) return false;
      found[layer].insert(index);
    }
    auto lost = found.find(layer);
    if (lost != found.end() &&
        static_cast<int64_t>(lost->second.size()) == num_heads) {
      return false;
    }
  }
  return true;
}

bool AreWholeGroups(const std::set<int64_t>& heads, int64_t group_size) {
  return absl::c_all_of(heads, [&](int64_t head) {
    const int64_t first = head / group_size * group_size;
    for (int64_t other = first; other < first + group_size; ++other) {
      if (!heads.contains(other)) return false;
    }
    return true;
  });
}

}  // namespace

void ConfigReader::Size(absl::string_view name, int64_t& field,
                        int64_t minimum) {
  absl::StatusOr<int64_t> value = config_.GetInt(name);
  if (value.ok() && (*value < minimum || *value > kMaxSize)) {
    status_.Update(config_.BadValue(
        name, absl::StrCat("a size from ", minimum, " to 2^31 is expected")));
    return;
  }
  Take(value, field, status_);
}

void ConfigReader::Number(absl::string_view name, double& field) {
  Take(config_.GetDouble(name), field, status_);
}

void ConfigReader::Probability(absl::string_view name, double& field) {
  Number(name, field);
  Require(field >= 0 && field <= 1, name,
          "a probability from 0 to 1 is expected");
}

void ConfigReader::Bool(absl::string_view name, bool& field) {
  Take(config_.GetBool(name), field, status_);
}

void ConfigReader::String(absl::string_view name, std::string& field) {
  Take(config_.GetString(name), field, status_);
}

void ConfigReader::OneOf(absl::string_view name, std::string& field,
                         std::initializer_list<absl::string_view> allowed) {
  String(name, field);
  Require(
      absl::c_linear_search(allowed, field), name,
      absl::StrCat("one of these is expected: ", absl::StrJoin(allowed, ", ")));
}

void ConfigReader::OptionalInt(absl::string_view name,
                               std::optional<int64_t>& field) {
  Take(config_.GetOptionalInt(name), field, status_);
}

void ConfigReader::PrunedHeads(int64_t num_layers, int64_t num_heads,
                               std::map<int64_t, std::set<int64_t>>& field,
                               int64_t group_size) {
  std::map<int64_t, std::set<int64_t>> found;
  if (ReadPrunedHeads(config_.Get("pruned_heads"), num_layers, num_heads,
                      found)) {
    Require(absl::c_all_of(found,
                           [&](const auto& lost) {
                             return AreWholeGroups(lost.second, group_size);
                           }),
            "pruned_heads",
            absl::StrCat("heads that share a key and value, ", group_size,
                         " in a row, are expected together"));
    if (ok()) field = std::move(found);
    return;
  }
  Require(
      false, "pruned_heads",
      "an object of layers and lists of heads within the model is expected");
}

void ConfigReader::Require(bool holds, absl::string_view name,
                           absl::string_view expected) {
  if (!holds) status_.Update(config_.BadValue(name, expected));
}

}  // namespace pretrained
