#include "modeling/rotary_options.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Scaling = RotaryOptions::Scaling;

absl::string_view ScalingPartOfClassName(Scaling scaling) {
  switch (scaling) {
    case Scaling::kNone:
      return "";
    case Scaling::kLinear:
      return "LinearScaling";
    case Scaling::kDynamic:
      return "DynamicNTKScaling";
  }
  return "";
}

}  // namespace

absl::Status ReadRopeScaling(const PretrainedConfig& config,
                             RotaryOptions& options) {
  const nlohmann::ordered_json& json = config.Get("rope_scaling");
  if (json.is_null()) {
    options.scaling = Scaling::kNone;
    options.factor = 1.0;
    return absl::OkStatus();
  }
  const absl::Status bad = config.BadValue(
      "rope_scaling",
      R"(null or {"type": "linear" or "dynamic", "factor": a float above 1} is)"
      " expected");
  if (!json.is_object() || json.size() != 2 || !json.contains("type") ||
      !json.contains("factor")) {
    return bad;
  }
  const nlohmann::ordered_json& factor = json["factor"];
  if (!factor.is_number_float() || !(factor.get<double>() > 1.0)) return bad;
  if (json["type"] == "linear") {
    options.scaling = Scaling::kLinear;
  } else if (json["type"] == "dynamic") {
    options.scaling = Scaling::kDynamic;
  } else {
    return bad;
  }
  options.factor = factor.get<double>();
  return absl::OkStatus();
}

ModuleNode RotaryNode(std::string name, absl::string_view class_prefix,
                      const RotaryOptions& options) {
  const std::vector<int64_t> table = {1, 1, options.max_positions, options.dim};
  const auto buffer = [&](std::string buffer_name, std::vector<int64_t> shape) {
    return TensorSpec{.name = std::move(buffer_name),
                      .shape = std::move(shape),
                      .persistent = options.stores_frequencies};
  };
  ModuleNode node{.name = std::move(name),
                  .class_name = absl::StrCat(
                      class_prefix, ScalingPartOfClassName(options.scaling),
                      "RotaryEmbedding"),
                  .buffers = {buffer("inv_freq", {options.dim / 2})}};
  if (!options.stores_frequencies) {
    node.buffers.push_back(buffer("cos_cached", table));
    node.buffers.push_back(buffer("sin_cached", table));
  }
  return node;
}

}  // namespace pretrained
