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

// What a family adds to every config: its defaults, and its own names for the
// standard attributes.
struct ConfigClass {
  std::string model_type;  // "bert"
  // Default of each attribute that the family's constructor names.
  nlohmann::ordered_json defaults = nlohmann::ordered_json::object();
  // Standard name to the family's: {"hidden_size", "n_embd"} for GPT-2.
  std::map<std::string, std::string> attribute_map;
};

// A model's configuration, config.json: attributes by name over the family's
// defaults and those of every config.
//
//   auto config = PretrainedConfig::FromPretrained("all-MiniLM-L6-v2",
//                                                  BertConfigClass());
//   absl::StatusOr<int64_t> size = config->GetInt("hidden_size");
//   config->Set("output_attentions", true);
//   std::string text = config->ToJsonString();
//
// What the file says is kept, keys this library never heard of included, in the
// order of the file; ToJsonString() writes that and nothing that was not read
// or set. A standard name that the family has another one for becomes that.
// Errors: a value of another JSON type is kInvalidArgument with the file, the
//     key and what was found.
// Threads: as a value; const use from several threads is safe.
// Matches: transformers 4.34 configuration_utils.py `PretrainedConfig`.
// Differs: keeps the order of keys, where 4.34 sorts; writes no
//     `transformers_version` of its own.
class PretrainedConfig {
 public:
  // Every default and nothing else.
  explicit PretrainedConfig(ConfigClass config_class = {});

  // Reads `folder`/config.json. kNotFound if there is none; kInvalidArgument if
  // it is not a JSON object.
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

  // Two-space indented JSON with a final newline.
  std::string ToJsonString() const;

  // Starts an error about `name`: kInvalidArgument "config.json: 'name' is
  // <value>, but <expected>".
  absl::Status BadValue(absl::string_view name,
                        absl::string_view expected) const;

 private:
  void Adopt(nlohmann::ordered_json json);
  std::string StoredName(absl::string_view name) const;
  void SetNumLabels(int64_t num_labels);

  ConfigClass class_;
  nlohmann::ordered_json stored_ = nlohmann::ordered_json::object();
  std::string file_name_ = "config.json";
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_PRETRAINED_CONFIG_H_
