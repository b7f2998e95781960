#ifndef PRETRAINED_MODELING_GENERATION_CONFIG_H_
#define PRETRAINED_MODELING_GENERATION_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {

struct ConfigAttribute;

// How a model is to generate, generation_config.json: attributes by name over
// the defaults. It says what is wanted, and generates nothing.
//
//   auto config = GenerationConfig::FromPretrained("gpt2");
//   if (absl::IsNotFound(config.status())) {
//     config = GenerationConfig::FromModelConfig(model_config);
//   }
//   absl::StatusOr<bool> sample = config->GetBool("do_sample");
//   config->Set("num_beams", 4);
//   if (config->CheckSavable().ok()) config->SavePretrained("my-model");
//
// What the file says is kept, keys this library never heard of included, unless
// it has `_from_model_config`: then they are a model's, and dropped.
// Errors: a value of another JSON type is kInvalidArgument with the file, the
//     key and what was found.
// Threads: as a value; const use from several threads is safe.
// Matches: transformers 4.34 generation/configuration_utils.py
//     `GenerationConfig`.
// Differs: SavePretrained() fails where 4.34 warns and writes nothing; an
//     integer of more than 64 bits is written as a float; `num_beams` and
//     `num_return_sequences` that are both text or lists are refused, where
//     4.34 compares them as such.
class GenerationConfig {
 public:
  // Every default and nothing else.
  GenerationConfig() = default;

  // Reads `folder`/generation_config.json. kNotFound if there is none;
  // kInvalidArgument if it is not a JSON object, or Validate() refuses it.
  static absl::StatusOr<GenerationConfig> FromPretrained(
      absl::string_view folder);
  // Reads that very file.
  static absl::StatusOr<GenerationConfig> FromJsonFile(const std::string& path);
  // Pure; `file_name` serves only in messages.
  static absl::StatusOr<GenerationConfig> FromJsonString(
      absl::string_view text, absl::string_view file_name);
  // What an older model's config.json says about generating. What it leaves at
  // the default is taken from the configs inside it, its `decoder`, `generator`
  // and `text_config`; Validate() has not seen those values.
  static absl::StatusOr<GenerationConfig> FromModelConfig(
      const PretrainedConfig& model_config);

  // The value under `name`: as stored, else the default, else null.
  const nlohmann::ordered_json& Get(absl::string_view name) const;
  // Whether the file, or Set(), gave `name` a value (null counts).
  bool IsSet(absl::string_view name) const;
  // Whether there is a default for it.
  bool HasDefault(absl::string_view name) const;
  // Checks nothing: Validate() does once all are set.
  void Set(absl::string_view name, nlohmann::ordered_json value);

  absl::StatusOr<int64_t> GetInt(absl::string_view name) const;
  absl::StatusOr<double> GetDouble(absl::string_view name) const;
  absl::StatusOr<bool> GetBool(absl::string_view name) const;
  absl::StatusOr<std::string> GetString(absl::string_view name) const;
  // nullopt for null.
  absl::StatusOr<std::optional<int64_t>> GetOptionalInt(
      absl::string_view name) const;
  // One integer is a list of one, and null an empty one: `eos_token_id`.
  absl::StatusOr<std::vector<int64_t>> GetInts(absl::string_view name) const;

  const std::string& file_name() const { return file_name_; }

  // kInvalidArgument for values that contradict one another, or whose types
  // leave that open.
  // Matches: `validate`, where it raises.
  absl::Status Validate() const;
  // Attributes that count only when sampling, or only with several beams, and
  // are set without: a sentence on each, in the form of the errors.
  // Matches: `validate`, where it warns.
  std::vector<std::string> Warnings() const;
  // OK if Validate() is and there are no warnings; else all of them, under
  // kInvalidArgument.
  absl::Status CheckSavable() const;

  // generation_config.json as 4.34 writes it, to the byte: sorted, two spaces a
  // level, with `transformers_version`. With `use_diff` only what differs from
  // the defaults.
  // Matches: `to_json_string`, and for ToJson() `to_diff_dict` and `to_dict`.
  std::string ToJsonString(bool use_diff = true) const;
  nlohmann::ordered_json ToJson(bool use_diff = true) const;
  // Writes that into `folder`/generation_config.json; the folder is made if it
  // is missing. Writes nothing unless CheckSavable(); kInvalidArgument if
  // `folder` is a file; else as the file system has it.
  absl::Status SavePretrained(const std::string& folder) const;

  // Starts an error about `name`: kInvalidArgument "generation_config.json:
  // 'name' is <value>, but <expected>".
  absl::Status BadValue(absl::string_view name,
                        absl::string_view expected) const;

 private:
  static absl::StatusOr<GenerationConfig> FromJson(nlohmann::ordered_json json,
                                                   absl::string_view file_name);
  ConfigAttribute Attribute(absl::string_view name) const;
  // Whether it equals its default in Python.
  bool IsDefault(absl::string_view name) const;
  // Whether it is that very boolean, and no number that equals it.
  bool Is(absl::string_view name, bool value) const;
  bool HasOneBeam() const;
  absl::Status ValidateBeams() const;
  absl::Status ValidateReturnSequences() const;

  nlohmann::ordered_json stored_ = nlohmann::ordered_json::object();
  std::string file_name_ = "generation_config.json";
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GENERATION_CONFIG_H_
