#include "modeling/flops.h"

#include <cstdint>
#include <vector>

#include "modeling/parameter_counts.h"

namespace pretrained {

int64_t FloatingPointOps(const std::vector<CountedTensor>& tensors,
                         int64_t num_tokens, bool exclude_embeddings) {
  return 6 * num_tokens *
         CountParameters(tensors, {.exclude_embeddings = exclude_embeddings});
}

}  // namespace pretrained
