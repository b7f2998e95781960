#include "modeling/tensor_bridge.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "ATen/Parallel.h"
#include "ATen/core/Tensor.h"
#include "ATen/ops/empty.h"
#include "ATen/ops/from_blob.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "c10/core/ScalarType.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/make_pages.h"
#include "dtypes/convert.h"
#include "dtypes/dtype.h"
#include "modeling/catch_torch.h"

namespace pretrained {
namespace {

at::IntArrayRef Sizes(absl::Span<const int64_t> shape) {
  return at::IntArrayRef(shape.data(), shape.size());
}

absl::Span<char> BytesOf(const at::Tensor& tensor) {
  return absl::MakeSpan(static_cast<char*>(tensor.data_ptr()), tensor.nbytes());
}

// Alignment that a load of one number needs; a complex one is two numbers.
int64_t AlignmentOf(Dtype dtype) {
  return IsComplex(dtype) ? DtypeSize(dtype) / 2 : DtypeSize(dtype);
}

// Stored bytes that are read and converted at a time: little enough to stay in
// a core's cache in between.
constexpr int64_t kPieceBytes = int64_t{1} << 19;

// Calls `work` for every i from 0 to `count` - 1, in as many threads as
// LibTorch computes with, until one call fails; returns the error of one that
// did.
absl::Status ForEachInParallel(int64_t count,
                               absl::FunctionRef<absl::Status(int64_t)> work) {
  std::atomic<int64_t> next = 0;
  absl::Mutex mutex;
  absl::Status result;
  const auto run = [&] {
    for (int64_t i = next++; i < count; i = next++) {
      absl::Status status = work(i);
      if (status.ok()) continue;
      next = count;
      absl::MutexLock lock(&mutex);
      result.Update(status);
    }
  };
  const int64_t threads = std::min<int64_t>(count, at::get_num_threads());
  std::vector<std::thread> others;
  for (int64_t i = 1; i < threads; ++i) others.emplace_back(run);
  run();
  for (std::thread& thread : others) thread.join();
  return result;
}

// Reads and converts a tensor in place piece by piece, so that it takes no more
// memory than the result has.
absl::Status ReadConvertedInPieces(const Checkpoint& checkpoint,
                                   const TensorInfo& info, Dtype dtype,
                                   char* destination) {
  const int64_t stored_size = DtypeSize(info.dtype);
  const int64_t piece = kPieceBytes / stored_size;
  const int64_t elements = info.num_elements();
  return ForEachInParallel(
      (elements + piece - 1) / piece, [&](int64_t i) -> absl::Status {
        thread_local std::vector<char> buffer;
        buffer.resize(kPieceBytes);
        const int64_t first = i * piece;
        const int64_t count = std::min(piece, elements - first);
        TensorInfo part = info;
        part.shape = {count};
        part.begin = info.begin + first * stored_size;
        part.end = part.begin + count * stored_size;
        absl::Status status = checkpoint.Read(
            part, absl::MakeSpan(buffer.data(), count * stored_size));
        if (!status.ok()) return status;
        char* const converted = destination + first * DtypeSize(dtype);
        MakePages(converted, count * DtypeSize(dtype));
        return Convert(info.dtype, buffer.data(), dtype, converted, count);
      });
}

// The same for any tensor.
absl::Status ReadConverted(const Checkpoint& checkpoint, const TensorInfo& info,
                           Dtype dtype, char* destination) {
  if (info.in_place) {
    return ReadConvertedInPieces(checkpoint, info, dtype, destination);
  }
  auto stored = std::make_unique_for_overwrite<char[]>(info.nbytes());
  absl::Status status =
      checkpoint.Read(info, absl::MakeSpan(stored.get(), info.nbytes()));
  if (!status.ok()) return status;
  return Convert(info.dtype, stored.get(), dtype, destination,
                 info.num_elements());
}

}  // namespace

at::ScalarType ToScalarType(Dtype dtype) {
  switch (dtype) {
    case Dtype::kBool:
      return at::kBool;
    case Dtype::kUint8:
      return at::kByte;
    case Dtype::kInt8:
      return at::kChar;
    case Dtype::kUint16:
      return at::kUInt16;
    case Dtype::kInt16:
      return at::kShort;
    case Dtype::kUint32:
      return at::kUInt32;
    case Dtype::kInt32:
      return at::kInt;
    case Dtype::kUint64:
      return at::kUInt64;
    case Dtype::kInt64:
      return at::kLong;
    case Dtype::kFloat8E4M3FN:
      return at::kFloat8_e4m3fn;
    case Dtype::kFloat8E5M2:
      return at::kFloat8_e5m2;
    case Dtype::kFloat16:
      return at::kHalf;
    case Dtype::kBfloat16:
      return at::kBFloat16;
    case Dtype::kFloat32:
      return at::kFloat;
    case Dtype::kFloat64:
      return at::kDouble;
    case Dtype::kComplex64:
      return at::kComplexFloat;
    case Dtype::kComplex128:
      return at::kComplexDouble;
  }
  return at::ScalarType::Undefined;
}

absl::StatusOr<Dtype> ToDtype(at::ScalarType type) {
  for (Dtype dtype : kAllDtypes) {
    if (ToScalarType(dtype) == type) return dtype;
  }
  return absl::UnimplementedError(
      absl::StrCat("LibTorch's dtype ", c10::toString(type),
                   " is not one that checkpoints hold"));
}

absl::StatusOr<at::Tensor> TensorFromView(const TensorView& view, Dtype dtype,
                                          absl::Span<const int64_t> shape) {
  return CatchTorch("making a tensor", [&]() -> absl::StatusOr<at::Tensor> {
    const at::ScalarType type = ToScalarType(dtype);
    const auto address = reinterpret_cast<uintptr_t>(view.data);
    if (view.nbytes == 0 || address % AlignmentOf(dtype) != 0) {
      at::Tensor copy = at::empty(Sizes(shape), at::dtype(type));
      if (view.nbytes > 0) {
        std::memcpy(copy.data_ptr(), view.data, view.nbytes);
      }
      return copy;
    }
    return at::from_blob(
        view.data, Sizes(shape),
        [owner = view.owner](void*) mutable { owner.reset(); },
        at::dtype(type));
  });
}

absl::StatusOr<at::Tensor> ReadTensor(const Checkpoint& checkpoint,
                                      const TensorInfo& info,
                                      const ReadOptions& options) {
  const bool convert = info.dtype != options.dtype;
  if (convert && !CanConvert(info.dtype, options.dtype)) {
    return absl::UnimplementedError(
        absl::StrCat(checkpoint.files()[info.file].path, ": tensor '",
                     info.name, "' is stored as ", DtypeName(info.dtype),
                     ", which is not converted to ", DtypeName(options.dtype)));
  }
  if (!convert && options.use_mmap) {
    absl::StatusOr<TensorView> view = checkpoint.View(info);
    if (!view.ok()) return view.status();
    return TensorFromView(*view, info.dtype, info.shape);
  }
  return CatchTorch(
      absl::StrCat("tensor '", info.name, "'"),
      [&]() -> absl::StatusOr<at::Tensor> {
        at::Tensor tensor = at::empty(Sizes(info.shape),
                                      at::dtype(ToScalarType(options.dtype)));
        absl::Status status =
            convert ? ReadConverted(checkpoint, info, options.dtype,
                                    static_cast<char*>(tensor.data_ptr()))
                    : checkpoint.Read(info, BytesOf(tensor));
        if (!status.ok()) return status;
        return tensor;
      });
}

}  // namespace pretrained
