#include "modeling/generation_config.h"

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "modeling/config_json.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kFileName[] = "generation_config.json";
constexpr char kFromModelConfig[] = "_from_model_config";
constexpr char kVersionKey[] = "transformers_version";

// Set on a config by the peer's loader; never written.
constexpr absl::string_view kNotWritten[] = {"_commit_hash",
                                             "_original_object_hash"};

// Configs inside a model's, of which each may know how to generate.
constexpr absl::string_view kInnerConfigs[] = {"decoder", "generator",
                                               "text_config"};

constexpr absl::string_view kOnlySampling[] = {"temperature",    "top_p",
                                               "typical_p",      "top_k",
                                               "epsilon_cutoff", "eta_cutoff"};
constexpr absl::string_view kOnlyBeams[] = {"early_stopping", "num_beam_groups",
                                            "diversity_penalty",
                                            "length_penalty", "constraints"};

// What `GenerationConfig.__init__` of 4.34 gives every config.
const Json& Defaults() {
  static const Json* const defaults = [] {
    Json* json = new Json(Json::parse(R"json({
      "max_length": 20, "max_new_tokens": null, "min_length": 0,
      "min_new_tokens": null, "early_stopping": false, "max_time": null,
      "do_sample": false, "num_beams": 1, "num_beam_groups": 1,
      "penalty_alpha": null, "use_cache": true, "temperature": 1.0,
      "top_k": 50, "top_p": 1.0, "typical_p": 1.0, "epsilon_cutoff": 0.0,
      "eta_cutoff": 0.0, "diversity_penalty": 0.0, "repetition_penalty": 1.0,
      "encoder_repetition_penalty": 1.0, "length_penalty": 1.0,
      "no_repeat_ngram_size": 0, "bad_words_ids": null,
      "force_words_ids": null, "renormalize_logits": false,
      "constraints": null, "forced_bos_token_id": null,
      "forced_eos_token_id": null, "remove_invalid_values": false,
      "exponential_decay_length_penalty": null, "suppress_tokens": null,
      "begin_suppress_tokens": null, "forced_decoder_ids": null,
      "sequence_bias": null, "guidance_scale": null, "low_memory": null,
      "num_return_sequences": 1, "output_attentions": false,
      "output_hidden_states": false, "output_scores": false,
      "return_dict_in_generate": false, "pad_token_id": null,
      "bos_token_id": null, "eos_token_id": null,
      "encoder_no_repeat_ngram_size": 0, "decoder_start_token_id": null,
      "generation_kwargs": {}, "_from_model_config": false,
      "_commit_hash": null
    })json"));
    (*json)[kVersionKey] = kTransformersVersion;
    return json;
  }();
  return *defaults;
}

// Whether Python's `if` takes `value` for true.
bool IsTruthy(const Json& value) {
  if (const std::optional<long double> number = PythonNumber(value)) {
    return *number != 0;
  }
  if (value.is_string()) return value != "";
  return !value.empty();
}

}  // namespace

absl::StatusOr<GenerationConfig> GenerationConfig::FromPretrained(
    absl::string_view folder) {
  return FromJsonFile(absl::StrCat(folder, "/", kFileName));
}

absl::StatusOr<GenerationConfig> GenerationConfig::FromJsonFile(
    const std::string& path) {
  absl::StatusOr<std::string> text = ReadConfigFile(path);
  if (!text.ok()) return text.status();
  return FromJsonString(*text, path);
}

absl::StatusOr<GenerationConfig> GenerationConfig::FromJsonString(
    absl::string_view text, absl::string_view file_name) {
  absl::StatusOr<Json> json = ParseConfigObject(text, file_name);
  if (!json.ok()) return json.status();
  return FromJson(*std::move(json), file_name);
}

absl::StatusOr<GenerationConfig> GenerationConfig::FromJson(
    Json json, absl::string_view file_name) {
  GenerationConfig config;
  config.file_name_ = std::string(file_name);
  config.stored_ = std::move(json);
  if (IsTruthy(config.Get(kFromModelConfig))) {
    Json known = Json::object();
    for (const auto& [name, value] : config.stored_.items()) {
      if (config.HasDefault(name)) known[name] = value;
    }
    config.stored_ = std::move(known);
  }
  if (absl::Status status = config.Validate(); !status.ok()) return status;
  return config;
}

absl::StatusOr<GenerationConfig> GenerationConfig::FromModelConfig(
    const PretrainedConfig& model_config) {
  Json attributes = model_config.ToJson(/*use_diff=*/false);
  attributes[kFromModelConfig] = true;
  absl::StatusOr<GenerationConfig> config =
      FromJson(attributes, model_config.file_name());
  if (!config.ok()) return config;
  for (const absl::string_view name : kInnerConfigs) {
    const auto inner = attributes.find(name);
    if (inner == attributes.end()) continue;
    // The peer looks into text and lists too, and passes over them unless one
    // happens to hold an attribute's name.
    if (inner->is_string() || inner->is_array()) continue;
    if (!inner->is_object()) {
      return model_config.BadValue(name, "an object of attributes is expected");
    }
    for (const auto& [key, value] : inner->items()) {
      if (config->HasDefault(key) && config->IsDefault(key)) {
        config->Set(key, value);
      }
    }
  }
  return config;
}

const Json& GenerationConfig::Get(absl::string_view name) const {
  static const Json* const null = new Json();
  for (const Json* layer : {&stored_, &Defaults()}) {
    const auto found = layer->find(name);
    if (found != layer->end()) return *found;
  }
  return *null;
}

bool GenerationConfig::IsSet(absl::string_view name) const {
  return stored_.contains(name);
}

bool GenerationConfig::HasDefault(absl::string_view name) const {
  return Defaults().contains(name);
}

void GenerationConfig::Set(absl::string_view name, Json value) {
  stored_[std::string(name)] = std::move(value);
}

bool GenerationConfig::IsDefault(absl::string_view name) const {
  return PythonEqual(Get(name), Defaults().at(name));
}

bool GenerationConfig::Is(absl::string_view name, bool value) const {
  return Get(name) == Json(value);
}

bool GenerationConfig::HasOneBeam() const { return IsDefault("num_beams"); }

absl::Status GenerationConfig::Validate() const {
  const Json& early_stopping = Get("early_stopping");
  if (early_stopping != "never" && !PythonEqual(early_stopping, false) &&
      !PythonEqual(early_stopping, true)) {
    return BadValue("early_stopping", "true, false or \"never\" is expected");
  }
  const Json& dtype = Get("torch_dtype");
  if (!dtype.is_null() && !dtype.is_string()) {
    return BadValue("torch_dtype", "the name of a dtype is expected");
  }
  absl::Status status;
  if (!HasOneBeam()) status = ValidateBeams();
  if (status.ok()) status = ValidateReturnSequences();
  return status;
}

// Constrained beam search, and beams in groups, each leave something out.
absl::Status GenerationConfig::ValidateBeams() const {
  const bool samples = Is("do_sample", true);
  const bool grouped = !IsDefault("num_beam_groups");
  if (!Get("constraints").is_null()) {
    constexpr absl::string_view expected =
        "beams under 'constraints' neither sample nor form groups; unset one "
        "of the two";
    if (samples) return BadValue("do_sample", expected);
    if (grouped) return BadValue("num_beam_groups", expected);
  }
  if (!grouped && IsDefault("diversity_penalty")) return absl::OkStatus();
  if (samples) {
    return BadValue("do_sample",
                    "beams in groups, which 'num_beam_groups' or "
                    "'diversity_penalty' ask for, do not sample; unset those, "
                    "or this");
  }
  const auto beams = PythonNumber(Get("num_beams"));
  const auto groups = PythonNumber(Get("num_beam_groups"));
  // Zero groups leave a remainder that is not a number.
  if (!beams.has_value() || !groups.has_value() ||
      std::fmod(*beams, *groups) != 0) {
    return BadValue(
        "num_beams",
        absl::StrCat("a multiple of 'num_beam_groups', ",
                     Get("num_beam_groups").dump(), ", is expected"));
  }
  if (IsDefault("diversity_penalty")) {
    return BadValue("diversity_penalty",
                    "groups of beams find the same without one above 0; set "
                    "it, or 'num_beam_groups' to 1");
  }
  return absl::OkStatus();
}

absl::Status GenerationConfig::ValidateReturnSequences() const {
  constexpr char kName[] = "num_return_sequences";
  if (IsDefault(kName)) return absl::OkStatus();
  if (HasOneBeam()) {
    if (!Is("do_sample", false)) return absl::OkStatus();
    return BadValue(kName,
                    "greedy search finds 1; set 'num_beams' or 'do_sample'");
  }
  const auto wanted = PythonNumber(Get(kName));
  const auto beams = PythonNumber(Get("num_beams"));
  if (!beams.has_value()) {
    return BadValue("num_beams", "a number is expected");
  }
  if (!wanted.has_value() || *wanted > *beams) {
    return BadValue(
        kName, absl::StrCat("at most 'num_beams', ", Get("num_beams").dump(),
                            ", is expected"));
  }
  return absl::OkStatus();
}

std::vector<std::string> GenerationConfig::Warnings() const {
  std::vector<std::string> warnings;
  const auto warn = [&](absl::string_view name, absl::string_view why) {
    warnings.emplace_back(BadValue(name, why).message());
  };
  if (Is("do_sample", false)) {
    for (const absl::string_view name : kOnlySampling) {
      // Contrastive search has a use for `top_k`.
      if (name == "top_k" && !Get("penalty_alpha").is_null()) continue;
      if (IsDefault(name)) continue;
      warn(name, "counts only when sampling; set 'do_sample', or unset it");
    }
  }
  if (HasOneBeam()) {
    for (const absl::string_view name : kOnlyBeams) {
      // 0, which equals false, does not pass for it.
      if (name == "early_stopping" ? Is(name, false) : IsDefault(name))
        continue;
      warn(name,
           "counts only with several beams; set 'num_beams', or unset it");
    }
  }
  return warnings;
}

absl::Status GenerationConfig::CheckSavable() const {
  std::vector<std::string> reasons = Warnings();
  const absl::Status status = Validate();
  if (!status.ok()) reasons.emplace(reasons.begin(), status.message());
  if (reasons.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(reasons, "\n"));
}

Json GenerationConfig::ToJson(bool use_diff) const {
  Json all = Defaults();
  all.update(stored_);
  all[kVersionKey] = kTransformersVersion;
  for (const absl::string_view name : kNotWritten) {
    all.erase(std::string(name));
  }
  if (!use_diff) return all;
  Json written = Json::object();
  for (const auto& [name, value] : all.items()) {
    if (name == kVersionKey || !HasDefault(name) || !IsDefault(name)) {
      written[name] = value;
    }
  }
  return written;
}

std::string GenerationConfig::ToJsonString(bool use_diff) const {
  return PythonJson(ToJson(use_diff));
}

absl::Status GenerationConfig::SavePretrained(const std::string& folder) const {
  if (absl::Status status = CheckSavable(); !status.ok()) return status;
  return WriteConfigFile(folder, kFileName, ToJsonString());
}

ConfigAttribute GenerationConfig::Attribute(absl::string_view name) const {
  return {file_name_, std::string(name), Get(name)};
}

absl::Status GenerationConfig::BadValue(absl::string_view name,
                                        absl::string_view expected) const {
  return Attribute(name).Bad(expected);
}

absl::StatusOr<int64_t> GenerationConfig::GetInt(absl::string_view name) const {
  return Attribute(name).Int();
}

absl::StatusOr<std::optional<int64_t>> GenerationConfig::GetOptionalInt(
    absl::string_view name) const {
  return Attribute(name).OptionalInt();
}

absl::StatusOr<double> GenerationConfig::GetDouble(
    absl::string_view name) const {
  return Attribute(name).Double();
}

absl::StatusOr<bool> GenerationConfig::GetBool(absl::string_view name) const {
  return Attribute(name).Bool();
}

absl::StatusOr<std::string> GenerationConfig::GetString(
    absl::string_view name) const {
  return Attribute(name).String();
}

absl::StatusOr<std::vector<int64_t>> GenerationConfig::GetInts(
    absl::string_view name) const {
  return Attribute(name).Ints();
}

}  // namespace pretrained
