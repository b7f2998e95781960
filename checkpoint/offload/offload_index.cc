#include "checkpoint/offload/offload_index.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"
#include "dtypes/dtype.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;
using checkpoint_internal::QuotedName;

// File systems take names of 255 bytes; ".dat" and the random end of a file
// that is being written are part of them.
constexpr size_t kMaxNameBytes = 240;

// Reads one index; all errors name it.
class IndexReader {
 public:
  explicit IndexReader(absl::string_view file_name) : file_name_(file_name) {}

  absl::StatusOr<std::vector<OffloadEntry>> Read(absl::string_view text) const {
    const Json json = Json::parse(text.begin(), text.end(), nullptr,
                                  /*allow_exceptions=*/false);
    if (!json.is_object()) {
      return Bad("is not a JSON object of weights, as accelerate writes it");
    }
    std::vector<OffloadEntry> entries;
    entries.reserve(json.size());
    for (const auto& [name, value] : json.items()) {
      absl::StatusOr<OffloadEntry> entry = ReadEntry(name, value);
      if (!entry.ok()) return entry.status();
      entries.push_back(*std::move(entry));
    }
    return entries;
  }

 private:
  template <typename... Parts>
  absl::Status Bad(const Parts&... parts) const {
    return absl::DataLossError(
        absl::StrCat(file_name_, ": ", parts..., "; offload the model again"));
  }

  absl::StatusOr<OffloadEntry> ReadEntry(const std::string& name,
                                         const Json& value) const {
    if (!value.is_object()) {
      return Bad(QuotedName(name), " is not an object of dtype and shape");
    }
    if (absl::Status status = CheckOffloadName(name); !status.ok()) {
      return Bad(status.message());
    }
    OffloadEntry entry{.name = name};
    absl::Status status = ReadDtype(value, entry);
    if (!status.ok()) return status;
    if (const auto file = value.find("safetensors_file");
        file != value.end() && !file->is_null()) {
      if (!file->is_string() || file->get<std::string>().empty()) {
        return Bad(QuotedName(name), ": 'safetensors_file' is no path");
      }
      entry.safetensors_file = file->get<std::string>();
      const auto weight = value.find("weight_name");
      if (weight != value.end() && !weight->is_string()) {
        return Bad(QuotedName(name), ": 'weight_name' is no string");
      }
      entry.weight_name =
          weight == value.end() ? name : weight->get<std::string>();
      return entry;
    }
    if (!entry.dtype.has_value()) return Bad(QuotedName(name), " has no dtype");
    status = ReadShape(value, entry);
    if (!status.ok()) return status;
    return entry;
  }

  absl::Status ReadDtype(const Json& value, OffloadEntry& entry) const {
    const auto dtype = value.find("dtype");
    if (dtype == value.end() || dtype->is_null()) return absl::OkStatus();
    if (!dtype->is_string()) {
      return Bad(QuotedName(entry.name), ": 'dtype' is no name");
    }
    const absl::StatusOr<Dtype> known =
        DtypeFromNumpy(dtype->get<std::string>());
    if (!known.ok()) {
      return absl::Status(known.status().code(),
                          absl::StrCat(file_name_, ": ", QuotedName(entry.name),
                                       ": ", known.status().message()));
    }
    entry.dtype = *known;
    return absl::OkStatus();
  }

  absl::Status ReadShape(const Json& value, OffloadEntry& entry) const {
    const auto shape = value.find("shape");
    if (shape == value.end() || !shape->is_array()) {
      return Bad(QuotedName(entry.name), " has no shape");
    }
    for (const Json& extent : *shape) {
      // What is unsigned and not also an int64 would wrap.
      if (!extent.is_number_integer() || extent.get<int64_t>() < 0) {
        return Bad(QuotedName(entry.name), ": its shape is ",
                   shape->dump().substr(0, 80),
                   ", but must be a list of sizes");
      }
      entry.shape.push_back(extent.get<int64_t>());
    }
    const TensorInfo tensor{.dtype = *entry.dtype, .shape = entry.shape};
    if (tensor.num_elements() > INT64_MAX / DtypeSize(*entry.dtype)) {
      return Bad(QuotedName(entry.name), ": a tensor of shape ",
                 checkpoint_internal::ShapeText(entry.shape),
                 " has no size in 64 bits");
    }
    return absl::OkStatus();
  }

  const absl::string_view file_name_;
};

}  // namespace

absl::Status CheckOffloadName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes ||
      name.find('/') != absl::string_view::npos ||
      name.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("the weight ", QuotedName(name),
                     " cannot be stored under its name: a file NAME.dat needs "
                     "1 to ",
                     kMaxNameBytes, " bytes without '/'"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<OffloadEntry>> ParseOffloadIndex(
    absl::string_view json, absl::string_view file_name) {
  return IndexReader(file_name).Read(json);
}

std::string OffloadIndexJson(absl::Span<const OffloadEntry> entries) {
  Json json = Json::object();
  for (const OffloadEntry& entry : entries) {
    Json value = Json::object();
    if (entry.is_safetensors()) {
      value["safetensors_file"] = entry.safetensors_file;
      value["weight_name"] = entry.weight_name;
    }
    if (entry.dtype.has_value()) {
      value["dtype"] =
          NumpyName(*entry.dtype).value_or(DtypeName(*entry.dtype));
    }
    if (!entry.is_safetensors()) value["shape"] = entry.shape;
    json[entry.name] = std::move(value);
  }
  return json.dump(2, ' ', /*ensure_ascii=*/true,
                   Json::error_handler_t::replace);
}

}  // namespace pretrained
