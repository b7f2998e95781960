#ifndef PRETRAINED_CHECKPOINT_TORCH_ZIP_RECORD_H_
#define PRETRAINED_CHECKPOINT_TORCH_ZIP_RECORD_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/torch/read_at.h"
#include "checkpoint/torch/zip_directory.h"

namespace pretrained {
namespace checkpoint_internal {

// Reads all of `record`, inflated, into `destination`, whose size must be
// record.size. The CRC-32 is not looked at, as in torch.load.
//   kDataLoss           the deflated bytes are damaged
//   kResourceExhausted  no memory for them
//   and whatever `read` returns
// Cost: of a deflated record, memory for its deflated bytes.
absl::Status ReadZipRecord(ReadAt read, const ZipRecord& record,
                           absl::string_view file_name,
                           absl::Span<char> destination);

// That the bytes of `record` have the CRC-32 that the directory gives.
// kDataLoss if not, and as ReadZipRecord().
// Cost: one pass over it; of a stored record through 1 MiB of memory, of a
//     deflated one through all of it.
absl::Status CheckZipRecord(ReadAt read, const ZipRecord& record,
                            absl::string_view file_name);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_ZIP_RECORD_H_
