// Any bytes at all: a pickle is refused with one of the codes that are
// documented, or its values can be walked, printed and turned into tensors that
// are as safe to use as they promise.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "checkpoint/pickle/pickle.h"
#include "checkpoint/pickle/pickle_globals.h"
#include "checkpoint/pickle/pickle_text.h"
#include "checkpoint/torch/torch_objects.h"
#include "dtypes/dtype.h"

namespace {

using pretrained::Pickle;
using pretrained::PickleOptions;
using pretrained::PickleScan;
using pretrained::PickleText;
using pretrained::TorchObjects;
using pretrained::TorchTensor;

constexpr PickleOptions kRefuse = {.name = "fuzz"};
constexpr PickleOptions kCollect = {.name = "fuzz",
                                    .refuse_dangerous_globals = false};

void CheckStatus(const absl::Status& status) {
  CHECK(absl::IsOutOfRange(status) || absl::IsDataLoss(status) ||
        absl::IsPermissionDenied(status) || absl::IsUnimplemented(status) ||
        absl::IsResourceExhausted(status))
      << status;
  CHECK(absl::StartsWith(status.message(), "fuzz: ")) << status;
}

void CheckTensor(const TorchObjects& objects, const TorchTensor& tensor) {
  CHECK_GE(tensor.storage, 0);
  CHECK_LT(tensor.storage, static_cast<int>(objects.storages.size()));
  CHECK_EQ(tensor.shape.size(), tensor.strides.size());
  CHECK_GE(tensor.storage_offset, 0);
  // 128 bits, so that no sum or product is wrong here of all places.
  __int128 last = tensor.storage_offset;
  __int128 count = 1;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    CHECK_GE(tensor.shape[i], 0);
    CHECK_GE(tensor.strides[i], 0);
    count *= tensor.shape[i];
    if (count == 0) return;
    last += static_cast<__int128>(tensor.shape[i] - 1) * tensor.strides[i];
    CHECK(last < (static_cast<__int128>(1) << 63));
    CHECK(count < (static_cast<__int128>(1) << 63));
  }
  CHECK((last + 1) * pretrained::DtypeSize(tensor.dtype) <=
        objects.storages[tensor.storage].nbytes);
}

void CheckObjects(const Pickle& pickle) {
  const absl::StatusOr<TorchObjects> objects =
      pretrained::ReadTorchObjects(pickle, "fuzz");
  if (!objects.ok()) {
    CheckStatus(objects.status());
    return;
  }
  absl::flat_hash_set<std::string> names;
  for (const TorchTensor& tensor : objects->tensors) {
    CheckTensor(*objects, tensor);
    CHECK(names.insert(tensor.name).second) << tensor.name;
  }
  for (const auto& [path, text] : objects->values) {
    CHECK(names.insert(path).second) << path;
    CHECK_LE(text.size(), pretrained::kMaxTorchValueBytes + 3);
  }
}

void CheckPickle(const Pickle& pickle, absl::string_view bytes) {
  const int64_t consumed = pickle.bytes_consumed();
  CHECK_GT(consumed, 0);
  CHECK_LE(consumed, static_cast<int64_t>(bytes.size()));
  CHECK_LE(pickle.memory_bytes(),
           pretrained::kMaxPickleMemoryPerByte * consumed + (1 << 16));
  // It is one pickle, no more and no less.
  CHECK_OK(Pickle::Parse(bytes.substr(0, consumed), kCollect).status());
  CHECK(absl::IsOutOfRange(
      Pickle::Parse(bytes.substr(0, consumed - 1), kCollect).status()));
  for (const int64_t max_bytes : {0, 10, 5000}) {
    CHECK_LE(PickleText(pickle.root(), max_bytes).size(), max_bytes + 3);
  }
  CheckObjects(pickle);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<Pickle> pickle = Pickle::Parse(bytes, kCollect);
  const PickleScan scan = pretrained::ScanPickle(bytes, kRefuse);
  CHECK_EQ(scan.status, pickle.status());
  bool is_dangerous = false;
  for (const PickleScan::Global& global : scan.globals) {
    is_dangerous |=
        global.global_class == pretrained::PickleGlobalClass::kDangerous;
  }
  const absl::Status refusing = Pickle::Parse(bytes, kRefuse).status();
  CHECK_EQ(absl::IsPermissionDenied(refusing), is_dangerous) << refusing;
  if (!pickle.ok()) {
    CheckStatus(pickle.status());
    return 0;
  }
  CHECK_EQ(scan.globals.size(), pickle->globals().size());
  CHECK_EQ(scan.bytes_consumed, pickle->bytes_consumed());
  CheckPickle(*pickle, bytes);
  return 0;
}
