// Any bytes at all, and any bytes behind a good beginning of the legacy
// container: refused with one of the documented codes, or what is listed lies
// inside the file.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/torch/read_testutil.h"
#include "checkpoint/torch/torch_file.h"
#include "checkpoint/torch/torch_objects.h"
#include "dtypes/dtype.h"

namespace {

using pretrained::TorchTensor;
using pretrained::checkpoint_internal::ReadTorchFile;
using pretrained::checkpoint_internal::StoredBytes;
using pretrained::checkpoint_internal::TorchFile;
using pretrained::checkpoint_testing::MemoryFile;

// The magic number, the protocol version and an empty system info.
constexpr absl::string_view kGoodBeginning =
    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
    "\x80\x02M\xe9\x03.\x80\x02}.";

void CheckTensor(const TorchTensor& tensor, const StoredBytes& storage) {
  CHECK_EQ(tensor.shape.size(), tensor.strides.size());
  CHECK_GE(tensor.storage_offset, 0);
  int64_t last = tensor.storage_offset;
  bool empty = false;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    CHECK_GE(tensor.shape[i], 0);
    CHECK_GE(tensor.strides[i], 0);
    empty = empty || tensor.shape[i] == 0;
  }
  if (empty) return;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    last += (tensor.shape[i] - 1) * tensor.strides[i];
  }
  CHECK_LT(last, storage.size / pretrained::DtypeSize(tensor.dtype));
}

void ParseAndCheck(absl::string_view content) {
  const int64_t size = static_cast<int64_t>(content.size());
  const absl::StatusOr<TorchFile> file =
      ReadTorchFile(MemoryFile{content}, size, "fuzz.bin", /*check_crc=*/false);
  if (!file.ok()) {
    const absl::Status& status = file.status();
    CHECK(absl::IsDataLoss(status) || absl::IsUnimplemented(status) ||
          absl::IsPermissionDenied(status) || absl::IsResourceExhausted(status))
        << status;
    CHECK(status.message().find("fuzz.bin: ") == 0) << status;
    return;
  }
  CHECK_EQ(file->storages.size(), file->objects.storages.size());
  for (size_t i = 0; i < file->storages.size(); ++i) {
    const StoredBytes& storage = file->storages[i];
    CHECK_LE(0, storage.begin);
    CHECK_LE(storage.begin, storage.end);
    CHECK_LE(storage.end, size);
    CHECK_GE(storage.size, file->objects.storages[i].nbytes);
    CHECK(storage.deflated || storage.size == storage.end - storage.begin);
  }
  for (const TorchTensor& tensor : file->objects.tensors) {
    CheckTensor(tensor, file->storages.at(tensor.storage));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view content(reinterpret_cast<const char*>(data), size);
  ParseAndCheck(content);
  std::string file(kGoodBeginning);
  file.append(content.data(), content.size());
  ParseAndCheck(file);
  return 0;
}
