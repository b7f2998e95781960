#ifndef PRETRAINED_MODELING_KEY_MATCHING_H_
#define PRETRAINED_MODELING_KEY_MATCHING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace pretrained {

// A stored or wanted tensor, as far as matching needs it.
struct NamedShape {
  std::string name;
  std::vector<int64_t> shape;
};

// What to match and by which rules.
struct KeyMatchingOptions {
  // The attribute that heads keep the base model under: "bert". Keys gain or
  // lose it where only one side has it. Empty: keys are compared as they are.
  std::string base_model_prefix;
  // State-dict names of the model's non-persistent buffers: old checkpoints
  // hold such keys, which are ignored silently.
  absl::flat_hash_set<std::string> ignored_buffers;
  // Groups of names of the model that are one tensor: what one of them gets,
  // all have.
  std::vector<std::vector<std::string>> tied;
  // Regular expressions (RE2) to be searched for in keys that are missing, or
  // unexpected: such keys are not reported. What is missing gets no value all
  // the same.
  std::vector<std::string> ignore_missing;
  std::vector<std::string> ignore_unexpected;
  // The names that count as stored where an index tells them, which may be
  // others than those that the shards hold; empty: those of the checkpoint.
  std::vector<std::string> reported_keys;
};

// A stored tensor whose shape is not the model's.
struct MismatchedKey {
  std::string name;  // As the checkpoint calls it.
  std::vector<int64_t> checkpoint_shape;
  std::vector<int64_t> model_shape;
};

// A tensor of the model, and the stored one it takes.
struct MatchedKey {
  std::string model_name;
  std::string stored_name;
};

struct KeyMatches {
  std::vector<MatchedKey> matched;  // In the model's order.
  // Reported names, sorted: those the checkpoint would use, so with the base
  // model prefix where it has that and the model has not.
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
  std::vector<MismatchedKey> mismatched;  // In the model's order.
  // The model's own names of all that gets no stored value, be it through a tie
  // or its own: missing and mismatched, in the model's order.
  std::vector<std::string> without_value;
  // Stored names, in the model's order, of what the index promises, and no
  // shard holds, of the model's tensors.
  std::vector<std::string> absent_from_shards;
  // The first tensor of a head, or other part that is not the base model's,
  // which the checkpoint stores beside tensors of the base model that lack its
  // prefix; empty: there is none. Such a checkpoint was put together wrongly.
  std::string head_without_prefix;
};

// Says which stored tensor each of the model's tensors takes.
//
// Legacy names are read as today's: a last part `gamma` is `weight`, and `beta`
// is `bias`.
// Matches: transformers 4.34 modeling_utils.py `_load_pretrained_model`.
// Differs: renames only a whole last part, where 4.34 replaces "gamma" and
//     "beta" anywhere within a key; a prefix ends at a dot, where there
//     "bertish.x" begins with "bert", too.
// Of tied names that are stored, each is matched: the last one, in the model's
// order, gives all their values.
// kInvalidArgument for a regular expression that is none.
absl::StatusOr<KeyMatches> MatchKeys(const std::vector<NamedShape>& model,
                                     const std::vector<NamedShape>& checkpoint,
                                     const KeyMatchingOptions& options);

// "gamma" to "weight", "beta" to "bias", as 4.34 renames old keys.
std::string ModernKeyName(absl::string_view key);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_KEY_MATCHING_H_
