#ifndef PRETRAINED_MODELING_CONFIG_READER_H_
#define PRETRAINED_MODELING_CONFIG_READER_H_

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// Reads and checks attribute after attribute, keeping the first error, so that
// a family's config reads as a list:
//
//   ConfigReader reader(config);
//   reader.Size("hidden_size", bert.hidden_size);
//   reader.Number("layer_norm_eps", bert.layer_norm_eps);
//   if (!reader.ok()) return reader.status();
//
// A field whose attribute is wrong keeps its value.
class ConfigReader {
 public:
  explicit ConfigReader(const PretrainedConfig& config) : config_(config) {}

  // An extent of a tensor: from `minimum` to 2^31.
  void Size(absl::string_view name, int64_t& field, int64_t minimum = 1);
  void Number(absl::string_view name, double& field);
  // A number in [0, 1].
  void Probability(absl::string_view name, double& field);
  void Bool(absl::string_view name, bool& field);
  void String(absl::string_view name, std::string& field);
  // One of `allowed`; the error lists them.
  void OneOf(absl::string_view name, std::string& field,
             std::initializer_list<absl::string_view> allowed);
  void OptionalInt(absl::string_view name, std::optional<int64_t>& field);

  // "pruned_heads", {"0": [1, 3], "2": [0]}: layers to the heads that they
  // lost, numbered as before. Each layer must keep a head; heads that share a
  // key and value, `group_size` in a row, go together.
  void PrunedHeads(int64_t num_layers, int64_t num_heads,
                   std::map<int64_t, std::set<int64_t>>& field,
                   int64_t group_size = 1);

  // Adds an error of the caller's about `name` unless `holds`.
  void Require(bool holds, absl::string_view name, absl::string_view expected);

  bool ok() const { return status_.ok(); }
  const absl::Status& status() const { return status_; }

 private:
  const PretrainedConfig& config_;
  absl::Status status_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_CONFIG_READER_H_
