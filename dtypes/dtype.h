#ifndef PRETRAINED_DTYPES_DTYPE_H_
#define PRETRAINED_DTYPES_DTYPE_H_

#include <array>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace pretrained {

// What one element of a stored tensor is: every element type that safetensors,
// torch, TensorFlow and Flax checkpoints hold.
//
//   absl::StatusOr<Dtype> dtype = DtypeFromSafetensors("BF16");
//   DtypeName(*dtype);           // "bfloat16"
//   DtypeSize(*dtype);           // 2 (bytes)
//   IsFloatingPoint(*dtype);     // true
//
// Numbers are little-endian wherever this library holds them.
// Threads: everything here is pure.
enum class Dtype : uint8_t {
  kBool,  // One byte; 0 or 1.
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kUint64,
  kInt64,
  kFloat8E4M3FN,  // 4 exponent, 3 mantissa bits; no infinity, one NaN per sign.
  kFloat8E5M2,    // 5 exponent, 2 mantissa bits; IEEE-like.
  kFloat16,
  kBfloat16,
  kFloat32,
  kFloat64,
  kComplex64,   // Two float32: real, imaginary.
  kComplex128,  // Two float64.
};

// All of them, in declaration order.
inline constexpr std::array<Dtype, 17> kAllDtypes = {
    Dtype::kBool,         Dtype::kUint8,      Dtype::kInt8,
    Dtype::kUint16,       Dtype::kInt16,      Dtype::kUint32,
    Dtype::kInt32,        Dtype::kUint64,     Dtype::kInt64,
    Dtype::kFloat8E4M3FN, Dtype::kFloat8E5M2, Dtype::kFloat16,
    Dtype::kBfloat16,     Dtype::kFloat32,    Dtype::kFloat64,
    Dtype::kComplex64,    Dtype::kComplex128};

// Bytes of one element.
int64_t DtypeSize(Dtype dtype);

// float8, float16, bfloat16, float32, float64; complex is not, as in torch.
bool IsFloatingPoint(Dtype dtype);
bool IsComplex(Dtype dtype);

// The field's own name, as torch prints it without its prefix: "bfloat16",
// "float8_e4m3fn", "int64". Messages and `--json` documents use this one.
absl::string_view DtypeName(Dtype dtype);

// As each format writes it: "BF16"; "torch.bfloat16"; "bfloat16" (the Python
// name, `tf.as_dtype(..).name`); "bfloat16" (numpy's, with ml_dtypes' names).
// nullopt where that format has no such type (safetensors, complex128).
std::optional<absl::string_view> SafetensorsName(Dtype dtype);
std::optional<absl::string_view> TorchName(Dtype dtype);
std::optional<absl::string_view> TensorflowName(Dtype dtype);
std::optional<absl::string_view> NumpyName(Dtype dtype);

// And back, from exactly these names. kUnimplemented for any other, with the
// name that was found and those that are known.
absl::StatusOr<Dtype> DtypeFromSafetensors(absl::string_view name);
absl::StatusOr<Dtype> DtypeFromTorch(absl::string_view name);
absl::StatusOr<Dtype> DtypeFromTensorflow(absl::string_view name);
absl::StatusOr<Dtype> DtypeFromNumpy(absl::string_view name);

// The value of `torch_dtype`: "auto" is nullopt; else a torch name with or
// without its prefix ("float16", "torch.bfloat16"), or one of torch's aliases
// ("half", "float", "double", ..). kInvalidArgument for anything else, with the
// names that would do.
absl::StatusOr<std::optional<Dtype>> ParseTorchDtype(absl::string_view text);

}  // namespace pretrained

#endif  // PRETRAINED_DTYPES_DTYPE_H_
