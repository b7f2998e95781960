#include "modeling/tensor_bridge.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/ops/empty.h"
#include "ATen/ops/from_blob.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "c10/core/ScalarType.h"
#include "checkpoint/checkpoint.h"
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
        absl::Status status;
        if (convert) {
          auto stored = std::make_unique_for_overwrite<char[]>(info.nbytes());
          status = checkpoint.Read(info,
                                   absl::MakeSpan(stored.get(), info.nbytes()));
          if (status.ok()) {
            status = Convert(info.dtype, stored.get(), options.dtype,
                             tensor.data_ptr(), tensor.numel());
          }
        } else {
          status = checkpoint.Read(info, BytesOf(tensor));
        }
        if (!status.ok()) return status;
        return tensor;
      });
}

}  // namespace pretrained
