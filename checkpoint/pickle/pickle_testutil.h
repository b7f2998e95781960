#ifndef PRETRAINED_CHECKPOINT_PICKLE_PICKLE_TESTUTIL_H_
#define PRETRAINED_CHECKPOINT_PICKLE_PICKLE_TESTUTIL_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace pretrained {
namespace checkpoint_testing {

// Pieces of pickles, to be put together with absl::StrCat().

// A string literal with zero bytes in it, whole: Raw("\x80\x02K\0.").
template <size_t kSize>
std::string Raw(const char (&literal)[kSize]) {
  return std::string(literal, kSize - 1);
}

std::string Int(int64_t value);           // LONG1.
std::string Str(absl::string_view text);  // BINUNICODE.
std::string Global(absl::string_view module, absl::string_view name);

// A storage as torch.save refers to it.
std::string Storage(absl::string_view type, absl::string_view key,
                    int64_t numel);

// `_rebuild_tensor_v2` of a storage; shape and strides are opcodes that push
// ints, all of them on one stack: "K\2K\3".
std::string Tensor(absl::string_view storage, int64_t offset,
                   absl::string_view shape, absl::string_view strides);

// A state dict of `count` F32 vectors with names like those of a transformer,
// as torch.save pickles it: protocol 2, everything in the memo.
std::string StateDictPickle(int64_t count);

}  // namespace checkpoint_testing
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_PICKLE_PICKLE_TESTUTIL_H_
