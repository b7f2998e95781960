// Any bytes as a file, and any bytes as the pickle of a good archive, through
// all of TorchCheckpoint: what it lists can be viewed and read, and either way
// gives the same bytes.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/torch/read_testutil.h"
#include "checkpoint/torch/torch_checkpoint.h"

namespace {

using pretrained::SliceRange;
using pretrained::TensorInfo;
using pretrained::TensorView;
using pretrained::TorchCheckpoint;
using pretrained::checkpoint_testing::TestRecord;
using pretrained::checkpoint_testing::ZipFile;

// Larger tensors, which a few bytes can expand to, are not made here.
constexpr int64_t kMaxTensorBytes = 1 << 16;
constexpr int64_t kMaxStorageBytes = 1 << 20;
constexpr size_t kMaxTensors = 20;

void CheckTensor(const TorchCheckpoint& checkpoint, const TensorInfo& tensor) {
  CHECK_LE(0, tensor.begin);
  CHECK_LE(tensor.begin, tensor.end);
  CHECK_LE(tensor.end, checkpoint.files()[0].size_bytes);
  const auto& storage = checkpoint.storages().at(tensor.storage);
  if (tensor.nbytes() > kMaxTensorBytes || storage.nbytes > kMaxStorageBytes) {
    return;
  }
  std::string bytes(tensor.nbytes(), '\0');
  const absl::Status status = checkpoint.Read(tensor, absl::MakeSpan(bytes));
  if (!status.ok()) {  // Deflated data are not looked at before.
    CHECK(storage.deflated && absl::IsDataLoss(status)) << status;
    return;
  }
  const absl::StatusOr<TensorView> view = checkpoint.View(tensor);
  CHECK_OK(view.status());
  CHECK_EQ(view->nbytes, tensor.nbytes());
  CHECK(bytes.empty() ||
        std::memcmp(view->data, bytes.data(), bytes.size()) == 0);
  if (tensor.shape.empty() || bytes.empty()) return;
  const int64_t rows = tensor.shape[0];
  std::string last(tensor.nbytes() / rows, '\0');
  CHECK_OK(checkpoint.ReadSlice(tensor, {SliceRange{rows - 1, rows}},
                                absl::MakeSpan(last)));
  CHECK(bytes.substr(bytes.size() - last.size()) == last);
}

void OpenAndCheck(absl::string_view content) {
  const int fd = memfd_create("fuzz", 0);
  CHECK_GE(fd, 0);
  CHECK_EQ(write(fd, content.data(), content.size()),
           static_cast<ssize_t>(content.size()));
  const std::string path = absl::StrCat("/proc/self/fd/", fd);
  const absl::StatusOr<std::unique_ptr<TorchCheckpoint>> checkpoint =
      TorchCheckpoint::Open({path});
  if (checkpoint.ok()) {
    const absl::Span<const TensorInfo> tensors = (*checkpoint)->tensors();
    for (const TensorInfo& tensor : tensors.subspan(0, kMaxTensors)) {
      CheckTensor(**checkpoint, tensor);
    }
  } else {
    const absl::Status& status = checkpoint.status();
    CHECK(absl::IsDataLoss(status) || absl::IsUnimplemented(status) ||
          absl::IsPermissionDenied(status) || absl::IsResourceExhausted(status))
        << status;
  }
  close(fd);
}

TestRecord Record(std::string name, std::string content) {
  TestRecord record;
  record.name = std::move(name);
  record.content = std::move(content);
  return record;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view content(reinterpret_cast<const char*>(data), size);
  OpenAndCheck(content);

  // The first byte says how the archive around the pickle is made.
  if (size == 0) return 0;
  TestRecord storage = Record("a/data/0", std::string(256, 'x'));
  storage.deflate = (data[0] & 1) != 0;
  OpenAndCheck(ZipFile(
      {Record("a/data.pkl", std::string(content.substr(1))),
       Record("a/byteorder", (data[0] & 2) != 0 ? "big" : "little"), storage,
       Record("a/data/1", std::string(64, 'y')), Record("a/version", "3\n")}));
  return 0;
}
