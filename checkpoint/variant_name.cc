#include "checkpoint/variant_name.h"

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace pretrained {

std::string AddVariant(absl::string_view file_name, absl::string_view variant) {
  if (variant.empty()) return std::string(file_name);
  const size_t dot = file_name.rfind('.');
  if (dot == absl::string_view::npos) {
    return absl::StrCat(variant, ".", file_name);
  }
  return absl::StrCat(file_name.substr(0, dot), ".", variant,
                      file_name.substr(dot));
}

}  // namespace pretrained
