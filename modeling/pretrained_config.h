#ifndef PRETRAINED_MODELING_PRETRAINED_CONFIG_H_
#define PRETRAINED_MODELING_PRETRAINED_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace pretrained {

struct ConfigAttribute;

// The release whose config.json and generation_config.json are written; both
// say so under `transformers_version`.
inline constexpr char kTransformersVersion[] = "4.34.0";

// What a family adds to every config: its defaults, and its own names for the
// standard attributes.
struct ConfigClass {
  std::string model_type;  // "bert"
  // Default of each attribute that the family's constructor names.
  nlohmann::ordered_json defaults = nlohmann::ordered_json::object();
  // Standard name to the family's: {"hidden_size", "n_embd"} for GPT-2.
  std::map<std::string, std::string> attribute_map;
  // Sets attributes that the family's constructor derives from others, among
  // all attributes by their stored names; may be null. Saving writes them too:
  // T5's is_gated_act.
  void (*derive)(nlohmann::ordered_json& attributes) = nullptr;
};

// A model's configuration, config.json: attributes by name over the family's
// defaults and those of every config.
//
//   auto config = PretrainedConfig::FromPretrained("all-MiniLM-L6-v2",
//                                                  BertConfigClass());
//   absl::StatusOr<int64_t> size = config->GetInt("hidden_size");
//   config->Set("output_attentions", true);
//   std::string text = config->ToJsonString();
//   absl::Status saved = config->SavePretrained("my-model");
//
// What the file says is kept, keys this library never heard of included. A
// standard name that the family has another one for becomes that.
// Errors: a value of another JSON type is kInvalidArgument with the file, the
//     key and what was found.
// Threads: as a value; const use from several threads is safe.
// Matches: transformers 4.34 configuration_utils.py `PretrainedConfig`.
// Differs: a config of no family keeps its `model_type`; what a constructor
//     derives (ConfigClass::derive) follows what is set afterwards; an integer
//     of more than 64 bits is written as a float.
class PretrainedConfig {
 public:
  // Every default and nothing else.
  explicit PretrainedConfig(ConfigClass config_class = {});

  // Reads `folder`/config.json, or `folder` itself where that is a file.
  // kNotFound if there is none; kInvalidArgument if it is not a JSON object.
  // Logs a warning if it is of another `model_type` than `config_class`.
  static absl::StatusOr<PretrainedConfig> FromPretrained(
      absl::string_view folder, ConfigClass config_class = {});
  // Reads that very file.
  static absl::StatusOr<PretrainedConfig> FromJsonFile(
      const std::string& path, ConfigClass config_class = {});
  // Pure; `file_name` serves only in messages.
  static absl::StatusOr<PretrainedConfig> FromJsonString(
      absl::string_view text, absl::string_view file_name,
      ConfigClass config_class = {});

  // The same values over the defaults, and under the names, of another family.
  PretrainedConfig WithClass(ConfigClass config_class) const;

  // The value under `name`, through the attribute map: as stored, else the
  // family's default, else every config's, else null.
  const nlohmann::ordered_json& Get(absl::string_view name) const;
  // Whether the file, or Set(), gave `name` a value (null counts).
  bool IsSet(absl::string_view name) const;
  // Whether the family, or every config, has a default for it.
  bool HasDefault(absl::string_view name) const;
  // "num_labels" makes `id2label` and `label2id` anew where they have another
  // number of entries, as in 4.34.
  void Set(absl::string_view name, nlohmann::ordered_json value);

  absl::StatusOr<int64_t> GetInt(absl::string_view name) const;
  absl::StatusOr<double> GetDouble(absl::string_view name) const;
  absl::StatusOr<bool> GetBool(absl::string_view name) const;
  absl::StatusOr<std::string> GetString(absl::string_view name) const;
  // nullopt for null.
  absl::StatusOr<std::optional<int64_t>> GetOptionalInt(
      absl::string_view name) const;
  absl::StatusOr<std::vector<std::string>> GetStrings(
      absl::string_view name) const;

  // `model_type` as stored; empty when absent.
  std::string model_type() const;
  // `architectures` as stored: class names.
  std::vector<std::string> architectures() const;
  // 2 unless id2label or num_labels say otherwise.
  int64_t num_labels() const;

  const std::string& file_name() const { return file_name_; }
  const ConfigClass& config_class() const { return class_; }

  // config.json as 4.34 writes it, to the byte: sorted, two spaces a level,
  // with `transformers_version`. With `use_diff` only what the family's classes
  // add to every config, or what differs from every config's defaults or from
  // the family's.
  // Matches: `to_json_string`, and for ToJson() `to_diff_dict` and `to_dict`.
  std::string ToJsonString(bool use_diff = true) const;
  nlohmann::ordered_json ToJson(bool use_diff = true) const;
  // Writes that into `folder`/config.json; the folder is made if it is missing.
  // kInvalidArgument if it is a file; else as the file system has it.
  absl::Status SavePretrained(const std::string& folder) const;

  // What was read or set and nothing else, in its order: for programs that pass
  // on a config whose family they do not know.
  std::string StoredJsonString() const;

  // Starts an error about `name`: kInvalidArgument "config.json: 'name' is
  // <value>, but <expected>".
  absl::Status BadValue(absl::string_view name,
                        absl::string_view expected) const;

 private:
  void Adopt(nlohmann::ordered_json json);
  void WarnAboutModelType() const;
  // All of them, as the peer's to_dict() has them.
  nlohmann::ordered_json Attributes() const;
  std::string StoredName(absl::string_view name) const;
  ConfigAttribute Attribute(absl::string_view name) const;
  void SetNumLabels(int64_t num_labels);

  ConfigClass class_;
  nlohmann::ordered_json stored_ = nlohmann::ordered_json::object();
  std::string file_name_ = "config.json";
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_PRETRAINED_CONFIG_H_
