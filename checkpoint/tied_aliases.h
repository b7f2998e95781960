#ifndef PRETRAINED_CHECKPOINT_TIED_ALIASES_H_
#define PRETRAINED_CHECKPOINT_TIED_ALIASES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace pretrained {

// Which of `names` a format that knows no aliases leaves out, so that each
// tensor is stored once.
//
//   first  for each name the index of the first one that is the same tensor;
//          its own index, or -1, where it is the first
//   tied_weights_keys  regular expressions (RE2), a class's
//          `_tied_weights_keys`, each of which is searched for in a name
//
// Of the names of one tensor those that match a key go, in alphabetical order,
// until one name is left; without enough matches the first one stays.
// kInvalidArgument for a key that is no regular expression.
// Threads: pure.
// Matches: transformers 4.34 modeling_utils.py `save_pretrained`.
absl::StatusOr<std::vector<bool>> AliasesToLeaveOut(
    absl::Span<const absl::string_view> names, absl::Span<const int> first,
    const std::vector<std::string>& tied_weights_keys);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TIED_ALIASES_H_
