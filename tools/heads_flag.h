#ifndef PRETRAINED_TOOLS_HEADS_FLAG_H_
#define PRETRAINED_TOOLS_HEADS_FLAG_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace pretrained {

// Heads by layer, of a flag's text: {"0": [1, 3]}. kInvalidArgument, with the
// text, for anything else.
absl::StatusOr<std::map<int64_t, std::vector<int64_t>>> ParseHeads(
    const std::string& text);

// What CLI11 wants of a check: the complaint, or nothing.
std::string CheckHeads(const std::string& text);

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_HEADS_FLAG_H_
