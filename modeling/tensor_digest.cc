#include "modeling/tensor_digest.h"

#include <cstdint>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "openssl/sha.h"

namespace pretrained {

std::string DigestOf(const at::Tensor& tensor) {
  const at::Tensor dense = tensor.contiguous();
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(static_cast<const uint8_t*>(dense.const_data_ptr()), dense.nbytes(),
         digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), 16));
}

}  // namespace pretrained
