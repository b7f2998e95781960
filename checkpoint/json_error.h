#ifndef PRETRAINED_CHECKPOINT_JSON_ERROR_H_
#define PRETRAINED_CHECKPOINT_JSON_ERROR_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace pretrained {
namespace checkpoint_internal {

// Why a fast parser may have refused a text. Nothing is set if this one finds
// no fault.
struct JsonError {
  // Offset of the last byte of the first token that has no business there.
  std::optional<int64_t> place;
  // Or: the first number that no 64-bit type holds, as written.
  std::optional<std::string> number;
  // The key of the root object within whose value that is.
  std::optional<std::string> key;
};

// Looks for the first fault of `json`, a text that simdjson refused. simdjson
// does not say where; this slower parser (nlohmann's, without building a
// document) is asked afterwards, once, for the message.
// Cost: some 10 ns a byte, and memory for the longest string.
JsonError FindJsonError(absl::string_view json);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_JSON_ERROR_H_
