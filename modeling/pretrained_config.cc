#include "modeling/pretrained_config.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

// A config is a page of text; more than this is something else.
constexpr int64_t kMaxConfigBytes = 64 << 20;
constexpr int kMaxDepth = 256;
// Enough for ImageNet-21k, whose labels are two objects of 21,841 keys.
constexpr int64_t kMaxSteps = int64_t{1} << 29;

// Is not stored: it is the number of entries that `id2label` has.
constexpr absl::string_view kNumLabels = "num_labels";
constexpr int64_t kMaxLabels = 1 << 14;

// What `PretrainedConfig.__init__` of 4.34 gives every config.
const Json& BaseDefaults() {
  static const Json* const defaults = new Json(Json::parse(R"json({
    "return_dict": true, "output_hidden_states": false,
    "output_attentions": false, "torchscript": false, "torch_dtype": null,
    "use_bfloat16": false, "tf_legacy_loss": false, "pruned_heads": {},
    "tie_word_embeddings": true, "is_encoder_decoder": false,
    "is_decoder": false, "cross_attention_hidden_size": null,
    "add_cross_attention": false, "tie_encoder_decoder": false,
    "max_length": 20, "min_length": 0, "do_sample": false,
    "early_stopping": false, "num_beams": 1, "num_beam_groups": 1,
    "diversity_penalty": 0.0, "temperature": 1.0, "top_k": 50, "top_p": 1.0,
    "typical_p": 1.0, "repetition_penalty": 1.0, "length_penalty": 1.0,
    "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0,
    "bad_words_ids": null, "num_return_sequences": 1,
    "chunk_size_feed_forward": 0, "output_scores": false,
    "return_dict_in_generate": false, "forced_bos_token_id": null,
    "forced_eos_token_id": null, "remove_invalid_values": false,
    "exponential_decay_length_penalty": null, "suppress_tokens": null,
    "begin_suppress_tokens": null, "architectures": null,
    "finetuning_task": null, "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
    "label2id": {"LABEL_0": 0, "LABEL_1": 1}, "tokenizer_class": null,
    "prefix": null, "bos_token_id": null, "pad_token_id": null,
    "eos_token_id": null, "sep_token_id": null,
    "decoder_start_token_id": null, "task_specific_params": null,
    "problem_type": null, "_name_or_path": ""
  })json"));
  return *defaults;
}

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

std::string Shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 80) text = absl::StrCat(text.substr(0, 77), "...");
  return text;
}

absl::StatusOr<std::string> ReadConfigFile(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    return absl::NotFoundError(absl::StrCat(
        path,
        ": there is no such file; a model folder holds a config.json "
        "beside its weights: check the path"));
  }
  if (status.type() != std::filesystem::file_type::regular) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": is not a regular file",
        error ? absl::StrCat(" (", error.message(), ")") : std::string()));
  }
  const auto size = std::filesystem::file_size(path, error);
  if (!error && size > kMaxConfigBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", size,
                     " bytes are too many for a config; at "
                     "most ",
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

}  // namespace

PretrainedConfig::PretrainedConfig(ConfigClass config_class)
    : class_(std::move(config_class)) {}

absl::StatusOr<PretrainedConfig> PretrainedConfig::FromPretrained(
    absl::string_view folder, ConfigClass config_class) {
  std::error_code error;
  if (!std::filesystem::is_directory(std::string(folder), error)) {
    return absl::NotFoundError(absl::StrCat(
        folder,
        ": there is no such folder; expected a folder with config.json "
        "and weights"));
  }
  return FromJsonFile(absl::StrCat(folder, "/config.json"),
                      std::move(config_class));
}

absl::StatusOr<PretrainedConfig> PretrainedConfig::FromJsonFile(
    const std::string& path, ConfigClass config_class) {
  absl::StatusOr<std::string> text = ReadConfigFile(path);
  if (!text.ok()) return text.status();
  return FromJsonString(*text, path, std::move(config_class));
}

absl::StatusOr<PretrainedConfig> PretrainedConfig::FromJsonString(
    absl::string_view text, absl::string_view file_name,
    ConfigClass config_class) {
  PretrainedConfig config(std::move(config_class));
  config.file_name_ = std::string(file_name);
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
        ": is not valid JSON; save the config again, or check that "
        "the download is complete"));
  }
  if (!json.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file_name, ": holds a JSON ", json.type_name(),
                     ", but a config is an object of attributes"));
  }
  config.Adopt(std::move(json));
  return config;
}

PretrainedConfig PretrainedConfig::WithClass(ConfigClass config_class) const {
  PretrainedConfig config(std::move(config_class));
  config.file_name_ = file_name_;
  config.Adopt(stored_);
  return config;
}

// A file may spell a mapped attribute by its standard name, which then counts.
void PretrainedConfig::Adopt(Json json) {
  if (class_.attribute_map.empty()) {
    stored_ = std::move(json);
    return;
  }
  for (const auto& [name, value] : json.items()) {
    const std::string key = StoredName(name);
    if (key != name || !stored_.contains(key)) stored_[key] = value;
  }
}

std::string PretrainedConfig::StoredName(absl::string_view name) const {
  auto mapped = class_.attribute_map.find(std::string(name));
  return mapped == class_.attribute_map.end() ? std::string(name)
                                              : mapped->second;
}

const Json& PretrainedConfig::Get(absl::string_view name) const {
  static const Json* const null = new Json();
  const std::string key = StoredName(name);
  for (const Json* layer : {&stored_, &class_.defaults, &BaseDefaults()}) {
    auto found = layer->find(key);
    if (found != layer->end()) return *found;
  }
  return *null;
}

bool PretrainedConfig::IsSet(absl::string_view name) const {
  return stored_.contains(StoredName(name));
}

bool PretrainedConfig::HasDefault(absl::string_view name) const {
  const std::string key = StoredName(name);
  return class_.defaults.contains(key) || BaseDefaults().contains(key) ||
         name == kNumLabels;
}

void PretrainedConfig::Set(absl::string_view name, Json value) {
  if (name == kNumLabels && value.is_number_integer() && value >= 0 &&
      value <= kMaxLabels) {
    SetNumLabels(value.get<int64_t>());
    return;
  }
  stored_[StoredName(name)] = std::move(value);
}

void PretrainedConfig::SetNumLabels(int64_t num_labels) {
  stored_.erase(std::string(kNumLabels));
  const Json& present = Get("id2label");
  if (present.is_object() && static_cast<int64_t>(present.size()) == num_labels)
    return;
  Json id2label = Json::object();
  Json label2id = Json::object();
  for (int64_t i = 0; i < num_labels; ++i) {
    const std::string label = absl::StrCat("LABEL_", i);
    id2label[absl::StrCat(i)] = label;
    label2id[label] = i;
  }
  stored_["id2label"] = std::move(id2label);
  stored_["label2id"] = std::move(label2id);
}

absl::Status PretrainedConfig::BadValue(absl::string_view name,
                                        absl::string_view expected) const {
  return absl::InvalidArgumentError(
      absl::StrCat(file_name_, ": '", StoredName(name), "' is ",
                   Shown(Get(name)), ", but ", expected));
}

absl::StatusOr<int64_t> PretrainedConfig::GetInt(absl::string_view name) const {
  const Json& value = Get(name);
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) {
    return BadValue(name, "a 64-bit integer is expected");
  }
  if (!value.is_number_integer()) {
    return BadValue(name, "an integer is expected");
  }
  return value.get<int64_t>();
}

absl::StatusOr<std::optional<int64_t>> PretrainedConfig::GetOptionalInt(
    absl::string_view name) const {
  if (Get(name).is_null()) return std::nullopt;
  return GetInt(name);
}

absl::StatusOr<double> PretrainedConfig::GetDouble(
    absl::string_view name) const {
  const Json& value = Get(name);
  if (!value.is_number()) return BadValue(name, "a number is expected");
  return value.get<double>();
}

absl::StatusOr<bool> PretrainedConfig::GetBool(absl::string_view name) const {
  const Json& value = Get(name);
  if (!value.is_boolean()) return BadValue(name, "true or false is expected");
  return value.get<bool>();
}

absl::StatusOr<std::string> PretrainedConfig::GetString(
    absl::string_view name) const {
  const Json& value = Get(name);
  if (!value.is_string()) return BadValue(name, "a string is expected");
  return value.get<std::string>();
}

absl::StatusOr<std::vector<std::string>> PretrainedConfig::GetStrings(
    absl::string_view name) const {
  const Json& value = Get(name);
  std::vector<std::string> strings;
  if (value.is_null()) return strings;
  for (const Json& item : value.is_array() ? value : Json::array({value})) {
    if (!item.is_string()) {
      return BadValue(name, "a list of strings is expected");
    }
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

std::string PretrainedConfig::model_type() const {
  const Json& value = Get("model_type");
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::vector<std::string> PretrainedConfig::architectures() const {
  return GetStrings("architectures").value_or(std::vector<std::string>());
}

int64_t PretrainedConfig::num_labels() const {
  if (IsSet("id2label") && Get("id2label").is_object()) {
    return static_cast<int64_t>(Get("id2label").size());
  }
  if (IsSet("num_labels")) return GetInt("num_labels").value_or(2);
  return 2;
}

std::string PretrainedConfig::ToJsonString() const {
  return stored_.dump(2, ' ', /*ensure_ascii=*/true,
                      Json::error_handler_t::replace) +
         "\n";
}

}  // namespace pretrained
