#ifndef PRETRAINED_CHECKPOINT_SAFETENSORS_HEADER_H_
#define PRETRAINED_CHECKPOINT_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/tensor_table.h"

namespace pretrained {
namespace checkpoint_internal {

// What the JSON header of a safetensors file says, once every rule that
// docs/safetensors_format.md numbers was found kept.
struct SafetensorsHeader {
  TensorTable table;  // By first byte; [begin, end) from the start of the file.
  std::vector<std::pair<std::string, std::string>> metadata;
};

// Where a header stands, and what may be read around it.
struct HeaderPlace {
  absl::string_view file_name;  // For messages.
  int64_t data_begin = 0;       // The header ends, and the data begins, here.
  int64_t data_bytes = 0;       // From there to the end of the file.
  bool padded = false;  // kHeaderPadding bytes behind the JSON may be read;
                        // otherwise the parser makes its own copy.
};

// Bytes that the parser may read, and ignores, behind a padded header.
extern const int64_t kHeaderPadding;

// Parses and checks `json`, a whole header.
//   kDataLoss       it breaks a rule
//   kUnimplemented  a tensor has a dtype that this build does not know
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(
    absl::string_view json, const HeaderPlace& place);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAFETENSORS_HEADER_H_
