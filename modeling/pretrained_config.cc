#include "modeling/pretrained_config.h"

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "modeling/config_json.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

// Is not stored: it is the number of entries that `id2label` has.
constexpr absl::string_view kNumLabels = "num_labels";
// What FromJsonString() reads back; ImageNet-21k has 21,841.
constexpr int64_t kMaxLabels = 23'000;

// Set on a config by the peer's loader or by its classes; never written.
constexpr absl::string_view kNotWritten[] = {
    "_auto_class", "_commit_hash", "_flash_attn_2_enabled", "xla_device"};

// The argument of the peer's constructor, and what it becomes.
constexpr absl::string_view kNameArgument = "name_or_path";
constexpr absl::string_view kNameAttribute = "_name_or_path";

// Dicts that have integers for keys in Python.
constexpr std::initializer_list<const char*> kIntegerKeyed = {"id2label",
                                                              "pruned_heads"};

constexpr char kVersionKey[] = "transformers_version";

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
    "problem_type": null, "_name_or_path": "", "model_type": ""
  })json"));
  return *defaults;
}

// `num_labels` labels without a name of their own.
void PutLabels(int64_t num_labels, Json& attributes) {
  Json::object_t id2label, label2id;
  for (int64_t i = 0; i < num_labels; ++i) {
    const std::string label = absl::StrCat("LABEL_", i);
    // Unlike [], does not search what is there.
    id2label.emplace_back(absl::StrCat(i), label);
    label2id.emplace_back(label, i);
  }
  attributes["id2label"] = std::move(id2label);
  attributes["label2id"] = std::move(label2id);
}

// What the peer's constructor makes of the labels in a file: without id2label
// there are `num_labels` new ones, with it there is no other default.
void CompleteLabels(const Json& stored, Json& attributes) {
  Json num_labels = 2;
  if (stored.contains(kNumLabels)) num_labels = stored[kNumLabels];
  attributes.erase(std::string(kNumLabels));
  if (stored.contains("id2label") && !stored["id2label"].is_null()) {
    if (!stored.contains("label2id")) attributes["label2id"] = nullptr;
    return;
  }
  if (num_labels.is_number_integer() && num_labels >= 0 &&
      num_labels <= kMaxLabels) {
    PutLabels(num_labels.get<int64_t>(), attributes);
  }
}

// The keys of `object` as the integers that they are in Python.
void NormaliseIntegerKeys(Json& object) {
  if (!object.is_object()) return;
  std::vector<std::string> keys;
  bool normal = true;
  for (const auto& [key, value] : object.items()) {
    int64_t number = 0;
    if (!absl::SimpleAtoi(key, &number)) return;
    keys.push_back(absl::StrCat(number));
    normal = normal && keys.back() == key;
  }
  if (normal) return;
  Json result = Json::object();
  size_t i = 0;
  for (const auto& [key, value] : object.items()) result[keys[i++]] = value;
  object = std::move(result);
}

// torch.half is written as float16.
void NormaliseDtype(Json& dtype) {
  for (const auto& [alias, name] : {std::pair{"half", "float16"},
                                    {"float", "float32"},
                                    {"double", "float64"}}) {
    if (dtype == alias) dtype = name;
  }
}

}  // namespace

PretrainedConfig::PretrainedConfig(ConfigClass config_class)
    : class_(std::move(config_class)) {}

absl::StatusOr<PretrainedConfig> PretrainedConfig::FromPretrained(
    absl::string_view folder, ConfigClass config_class) {
  std::string path(folder);
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    absl::StrAppend(&path, "/config.json");
  } else if (!std::filesystem::is_regular_file(path, error)) {
    return absl::NotFoundError(absl::StrCat(
        folder,
        ": there is no such folder; expected a folder with config.json "
        "and weights, or the path of a config"));
  }
  absl::StatusOr<PretrainedConfig> config =
      FromJsonFile(path, std::move(config_class));
  if (config.ok()) config->WarnAboutModelType();
  return config;
}

void PretrainedConfig::WarnAboutModelType() const {
  const auto stored = stored_.find("model_type");
  if (stored == stored_.end() || class_.model_type.empty() ||
      *stored == class_.model_type) {
    return;
  }
  const ConfigAttribute attribute{file_name_, "model_type", *stored};
  ABSL_LOG(WARNING)
      << attribute
             .Bad(absl::StrCat(
                 "it is read as that of a '", class_.model_type,
                 "', with defaults for the attributes that it lacks"))
             .message();
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
  absl::StatusOr<Json> json = ParseConfigObject(text, file_name);
  if (!json.ok()) return json.status();
  config.Adopt(*std::move(json));
  return config;
}

PretrainedConfig PretrainedConfig::WithClass(ConfigClass config_class) const {
  PretrainedConfig config(std::move(config_class));
  config.file_name_ = file_name_;
  config.Adopt(stored_);
  return config;
}

// A file may spell a mapped attribute by its standard name, which then counts;
// `name_or_path` is that of an argument, which the attribute overrides.
void PretrainedConfig::Adopt(Json json) {
  if (class_.attribute_map.empty() && !json.contains(kNameArgument)) {
    stored_ = std::move(json);
    return;
  }
  for (const auto& [name, value] : json.items()) {
    const std::string key = StoredName(name);
    const bool counts = name == kNameArgument    ? false
                        : name == kNameAttribute ? true
                                                 : key != name;
    if (counts || !stored_.contains(key)) stored_[key] = value;
  }
}

std::string PretrainedConfig::StoredName(absl::string_view name) const {
  if (name == kNameArgument) return std::string(kNameAttribute);
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
  // In a file, labels without label2id have none; set later, they leave it.
  if (name == "id2label" && !IsSet("label2id")) {
    Json label2id = Get("label2id");
    stored_["label2id"] = std::move(label2id);
  }
  stored_[StoredName(name)] = std::move(value);
}

void PretrainedConfig::SetNumLabels(int64_t num_labels) {
  stored_.erase(std::string(kNumLabels));
  const Json& present = Get("id2label");
  if (present.is_object() && static_cast<int64_t>(present.size()) == num_labels)
    return;
  PutLabels(num_labels, stored_);
}

Json PretrainedConfig::Attributes() const {
  Json all = BaseDefaults();
  all.update(class_.defaults);
  if (!class_.model_type.empty()) all["model_type"] = class_.model_type;
  for (const auto& [name, value] : stored_.items()) {
    if (name != "model_type" || class_.model_type.empty()) all[name] = value;
  }
  CompleteLabels(stored_, all);
  for (const char* name : kIntegerKeyed) NormaliseIntegerKeys(all[name]);
  NormaliseDtype(all["torch_dtype"]);
  if (class_.derive != nullptr) class_.derive(all);
  for (const absl::string_view name : kNotWritten) {
    all.erase(std::string(name));
  }
  all[kVersionKey] = kTransformersVersion;
  return all;
}

Json PretrainedConfig::ToJson(bool use_diff) const {
  Json all = Attributes();
  if (!use_diff) return all;
  const Json of_class = PretrainedConfig(class_).Attributes();
  const auto differs = [](const Json& defaults, const std::string& name,
                          const Json& value, bool if_absent) {
    const auto found = defaults.find(name);
    return found == defaults.end() ? if_absent : !PythonEqual(*found, value);
  };
  Json written = Json::object();
  for (const auto& [name, value] : all.items()) {
    if (name == kVersionKey || differs(BaseDefaults(), name, value, true) ||
        differs(of_class, name, value, false)) {
      written[name] = value;
    }
  }
  return written;
}

std::string PretrainedConfig::ToJsonString(bool use_diff) const {
  return PythonJson(ToJson(use_diff), kIntegerKeyed);
}

absl::Status PretrainedConfig::SavePretrained(const std::string& folder) const {
  return WriteConfigFile(folder, "config.json", ToJsonString());
}

ConfigAttribute PretrainedConfig::Attribute(absl::string_view name) const {
  return {file_name_, StoredName(name), Get(name)};
}

absl::Status PretrainedConfig::BadValue(absl::string_view name,
                                        absl::string_view expected) const {
  return Attribute(name).Bad(expected);
}

absl::StatusOr<int64_t> PretrainedConfig::GetInt(absl::string_view name) const {
  return Attribute(name).Int();
}

absl::StatusOr<std::optional<int64_t>> PretrainedConfig::GetOptionalInt(
    absl::string_view name) const {
  return Attribute(name).OptionalInt();
}

absl::StatusOr<double> PretrainedConfig::GetDouble(
    absl::string_view name) const {
  return Attribute(name).Double();
}

absl::StatusOr<bool> PretrainedConfig::GetBool(absl::string_view name) const {
  return Attribute(name).Bool();
}

absl::StatusOr<std::string> PretrainedConfig::GetString(
    absl::string_view name) const {
  return Attribute(name).String();
}

absl::StatusOr<std::vector<std::string>> PretrainedConfig::GetStrings(
    absl::string_view name) const {
  return Attribute(name).Strings();
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

std::string PretrainedConfig::StoredJsonString() const {
  return stored_.dump(2, ' ', /*ensure_ascii=*/true,
                      Json::error_handler_t::replace) +
         "\n";
}

}  // namespace pretrained
