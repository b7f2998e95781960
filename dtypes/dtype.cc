#include "dtypes/dtype.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace pretrained {
namespace {

enum class Kind : uint8_t { kInteger, kFloat, kComplex };

// Everything this file knows. An empty name: that format has no such type.
struct Row {
  Dtype dtype;
  Kind kind;
  int8_t size_bytes;
  absl::string_view torch;  // With its prefix.
  absl::string_view safetensors;
  absl::string_view tensorflow;
  absl::string_view numpy;
};

constexpr absl::string_view kTorchPrefix = "torch.";

// clang-format off
constexpr std::array<Row, kAllDtypes.size()> kRows = {{
    {Dtype::kBool, Kind::kInteger, 1,
     "torch.bool", "BOOL", "bool", "bool"},
    {Dtype::kUint8, Kind::kInteger, 1,
     "torch.uint8", "U8", "uint8", "uint8"},
    {Dtype::kInt8, Kind::kInteger, 1,
     "torch.int8", "I8", "int8", "int8"},
    {Dtype::kUint16, Kind::kInteger, 2,
     "torch.uint16", "U16", "uint16", "uint16"},
    {Dtype::kInt16, Kind::kInteger, 2,
     "torch.int16", "I16", "int16", "int16"},
    {Dtype::kUint32, Kind::kInteger, 4,
     "torch.uint32", "U32", "uint32", "uint32"},
    {Dtype::kInt32, Kind::kInteger, 4,
     "torch.int32", "I32", "int32", "int32"},
    {Dtype::kUint64, Kind::kInteger, 8,
     "torch.uint64", "U64", "uint64", "uint64"},
    {Dtype::kInt64, Kind::kInteger, 8,
     "torch.int64", "I64", "int64", "int64"},
    {Dtype::kFloat8E4M3FN, Kind::kFloat, 1,
     "torch.float8_e4m3fn", "F8_E4M3", "float8_e4m3fn", "float8_e4m3fn"},
    {Dtype::kFloat8E5M2, Kind::kFloat, 1,
     "torch.float8_e5m2", "F8_E5M2", "float8_e5m2", "float8_e5m2"},
    {Dtype::kFloat16, Kind::kFloat, 2,
     "torch.float16", "F16", "float16", "float16"},
    {Dtype::kBfloat16, Kind::kFloat, 2,
     "torch.bfloat16", "BF16", "bfloat16", "bfloat16"},
    {Dtype::kFloat32, Kind::kFloat, 4,
     "torch.float32", "F32", "float32", "float32"},
    {Dtype::kFloat64, Kind::kFloat, 8,
     "torch.float64", "F64", "float64", "float64"},
    {Dtype::kComplex64, Kind::kComplex, 8,
     "torch.complex64", "C64", "complex64", "complex64"},
    {Dtype::kComplex128, Kind::kComplex, 16,
     "torch.complex128", "", "complex128", "complex128"},
}};
// clang-format on

// RowOf() is an index, so the table keeps the order of the enumerators.
constexpr bool InOrder() {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].dtype != kAllDtypes[i]) return false;
    if (static_cast<size_t>(kAllDtypes[i]) != i) return false;
  }
  return true;
}
static_assert(InOrder());

constexpr const Row& RowOf(Dtype dtype) {
  return kRows[static_cast<size_t>(dtype)];
}

// Other names that torch gives its dtypes: `torch.half is torch.float16`.
struct Alias {
  absl::string_view name;  // Without prefix.
  Dtype dtype;
};
constexpr Alias kTorchAliases[] = {
    {"half", Dtype::kFloat16},     {"float", Dtype::kFloat32},
    {"double", Dtype::kFloat64},   {"short", Dtype::kInt16},
    {"int", Dtype::kInt32},        {"long", Dtype::kInt64},
    {"cfloat", Dtype::kComplex64}, {"cdouble", Dtype::kComplex128},
};

using Column = absl::string_view Row::*;

std::optional<absl::string_view> Name(Dtype dtype, Column column) {
  const absl::string_view name = RowOf(dtype).*column;
  if (name.empty()) return std::nullopt;
  return name;
}

absl::StatusOr<Dtype> Find(absl::string_view format, Column column,
                           absl::string_view name) {
  std::vector<absl::string_view> known;
  for (const Row& row : kRows) {
    if ((row.*column).empty()) continue;
    if (row.*column == name) return row.dtype;
    known.push_back(row.*column);
  }
  return absl::UnimplementedError(
      absl::StrCat(format, " dtype '", name, "' is not known here; known are ",
                   absl::StrJoin(known, ", ")));
}

}  // namespace

int64_t DtypeSize(Dtype dtype) { return RowOf(dtype).size_bytes; }

bool IsFloatingPoint(Dtype dtype) { return RowOf(dtype).kind == Kind::kFloat; }

bool IsComplex(Dtype dtype) { return RowOf(dtype).kind == Kind::kComplex; }

absl::string_view DtypeName(Dtype dtype) {
  return absl::StripPrefix(RowOf(dtype).torch, kTorchPrefix);
}

std::optional<absl::string_view> SafetensorsName(Dtype dtype) {
  return Name(dtype, &Row::safetensors);
}
std::optional<absl::string_view> TorchName(Dtype dtype) {
  return Name(dtype, &Row::torch);
}
std::optional<absl::string_view> TensorflowName(Dtype dtype) {
  return Name(dtype, &Row::tensorflow);
}
std::optional<absl::string_view> NumpyName(Dtype dtype) {
  return Name(dtype, &Row::numpy);
}

absl::StatusOr<Dtype> DtypeFromSafetensors(absl::string_view name) {
  return Find("safetensors", &Row::safetensors, name);
}
absl::StatusOr<Dtype> DtypeFromTorch(absl::string_view name) {
  return Find("torch", &Row::torch, name);
}
absl::StatusOr<Dtype> DtypeFromTensorflow(absl::string_view name) {
  return Find("TensorFlow", &Row::tensorflow, name);
}
absl::StatusOr<Dtype> DtypeFromNumpy(absl::string_view name) {
  return Find("numpy", &Row::numpy, name);
}

absl::StatusOr<std::optional<Dtype>> ParseTorchDtype(absl::string_view text) {
  if (text == "auto") return std::optional<Dtype>();
  const absl::string_view name = absl::StripPrefix(text, kTorchPrefix);
  std::vector<absl::string_view> known = {"auto"};
  for (const Row& row : kRows) {
    if (DtypeName(row.dtype) == name) return row.dtype;
    known.push_back(DtypeName(row.dtype));
  }
  for (const Alias& alias : kTorchAliases) {
    if (alias.name == name) return alias.dtype;
    known.push_back(alias.name);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "torch_dtype: '", text, "' is not the name of a torch dtype; use one of ",
      absl::StrJoin(known, ", ")));
}

}  // namespace pretrained
