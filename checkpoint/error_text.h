#ifndef PRETRAINED_CHECKPOINT_ERROR_TEXT_H_
#define PRETRAINED_CHECKPOINT_ERROR_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace pretrained {
namespace checkpoint_internal {

// How messages show what came out of a file nobody vouches for: control
// characters and broken UTF-8 are escaped, and what is long is cut.
//
//   QuotedName("wte.weight")    'wte.weight'
//   QuotedName("a\x1b[2J")      'a\x1b[2J'
//   ShapeText({4, 8})           [4,8]
std::string QuotedName(absl::string_view name);
std::string ShapeText(absl::Span<const int64_t> shape);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_ERROR_TEXT_H_
