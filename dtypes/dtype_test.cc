#include "dtypes/dtype.h"

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::string_view kNone = "";

struct Expected {
  Dtype dtype;
  int64_t size_bytes;
  bool floating_point;
  bool complex;
  absl::string_view name;
  absl::string_view safetensors;  // kNone: it has no such type.
};

// torch: `str(dtype)` without "torch.", `itemsize`, `is_floating_point` and
// `is_complex`; TensorFlow: `tf.as_dtype(..).name`; numpy: `np.dtype(..).name`,
// of an ml_dtypes type where numpy has none. All three agree on every name.
constexpr Expected kExpected[] = {
    {Dtype::kBool, 1, false, false, "bool", "BOOL"},
    {Dtype::kUint8, 1, false, false, "uint8", "U8"},
    {Dtype::kInt8, 1, false, false, "int8", "I8"},
    {Dtype::kUint16, 2, false, false, "uint16", "U16"},
    {Dtype::kInt16, 2, false, false, "int16", "I16"},
    {Dtype::kUint32, 4, false, false, "uint32", "U32"},
    {Dtype::kInt32, 4, false, false, "int32", "I32"},
    {Dtype::kUint64, 8, false, false, "uint64", "U64"},
    {Dtype::kInt64, 8, false, false, "int64", "I64"},
    {Dtype::kFloat8E4M3FN, 1, true, false, "float8_e4m3fn", "F8_E4M3"},
    {Dtype::kFloat8E5M2, 1, true, false, "float8_e5m2", "F8_E5M2"},
    {Dtype::kFloat16, 2, true, false, "float16", "F16"},
    {Dtype::kBfloat16, 2, true, false, "bfloat16", "BF16"},
    {Dtype::kFloat32, 4, true, false, "float32", "F32"},
    {Dtype::kFloat64, 8, true, false, "float64", "F64"},
    {Dtype::kComplex64, 8, false, true, "complex64", "C64"},
    {Dtype::kComplex128, 16, false, true, "complex128", kNone},
};

TEST(DtypeTest, HasTheSizesKindsAndNamesOfTheFormats) {
  for (const Expected& row : kExpected) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(DtypeSize(row.dtype), row.size_bytes);
    EXPECT_EQ(IsFloatingPoint(row.dtype), row.floating_point);
    EXPECT_EQ(IsComplex(row.dtype), row.complex);
    EXPECT_EQ(DtypeName(row.dtype), row.name);
    EXPECT_EQ(TorchName(row.dtype), absl::StrCat("torch.", row.name));
    EXPECT_EQ(TensorflowName(row.dtype), row.name);
    EXPECT_EQ(NumpyName(row.dtype), row.name);
    EXPECT_EQ(SafetensorsName(row.dtype).value_or(kNone), row.safetensors);
  }
}

TEST(DtypeTest, ListsEveryDtypeOnce) {
  std::set<Dtype> listed(kAllDtypes.begin(), kAllDtypes.end());
  EXPECT_EQ(listed.size(), kAllDtypes.size());
  EXPECT_EQ(std::size(kExpected), kAllDtypes.size());
}

struct Format {
  absl::string_view format;
  std::optional<absl::string_view> (*name)(Dtype);
  absl::StatusOr<Dtype> (*parse)(absl::string_view);
};

constexpr Format kFormats[] = {
    {"safetensors", SafetensorsName, DtypeFromSafetensors},
    {"torch", TorchName, DtypeFromTorch},
    {"TensorFlow", TensorflowName, DtypeFromTensorflow},
    {"numpy", NumpyName, DtypeFromNumpy},
};

TEST(DtypeTest, ReadsBackEveryNameOfEveryFormat) {
  for (const Format& format : kFormats) {
    for (Dtype dtype : kAllDtypes) {
      const std::optional<absl::string_view> name = format.name(dtype);
      if (!name.has_value()) continue;
      EXPECT_THAT(format.parse(*name), IsOkAndHolds(dtype)) << *name;
    }
  }
}

TEST(DtypeTest, NamesAnUnknownDtypeAndWhatIsKnown) {
  for (const Format& format : kFormats) {
    SCOPED_TRACE(format.format);
    for (absl::string_view name :
         {"F4", "", "float", "bf16", "f32", "F32 ", "torch.chalf", "int4"}) {
      EXPECT_THAT(
          format.parse(name),
          StatusIs(absl::StatusCode::kUnimplemented,
                   AllOf(HasSubstr(absl::StrCat(format.format, " dtype '", name,
                                                "'")),
                         HasSubstr(*format.name(Dtype::kBfloat16)),
                         HasSubstr(*format.name(Dtype::kFloat64)),
                         // No empty name stands for what a format lacks.
                         Not(HasSubstr(", ,")))));
    }
  }
}

TEST(ParseTorchDtypeTest, ReadsAuto) {
  EXPECT_THAT(ParseTorchDtype("auto"), IsOkAndHolds(std::nullopt));
}

TEST(ParseTorchDtypeTest, ReadsEveryNameWithAndWithoutPrefix) {
  for (Dtype dtype : kAllDtypes) {
    EXPECT_THAT(ParseTorchDtype(DtypeName(dtype)), IsOkAndHolds(dtype));
    EXPECT_THAT(ParseTorchDtype(*TorchName(dtype)), IsOkAndHolds(dtype));
  }
}

TEST(ParseTorchDtypeTest, ReadsTorchsAliases) {
  struct {
    absl::string_view alias;
    Dtype dtype;
  } constexpr kAliases[] = {
      {"half", Dtype::kFloat16},     {"float", Dtype::kFloat32},
      {"double", Dtype::kFloat64},   {"short", Dtype::kInt16},
      {"int", Dtype::kInt32},        {"long", Dtype::kInt64},
      {"cfloat", Dtype::kComplex64}, {"cdouble", Dtype::kComplex128},
  };
  for (const auto& [alias, dtype] : kAliases) {
    EXPECT_THAT(ParseTorchDtype(alias), IsOkAndHolds(dtype));
    EXPECT_THAT(ParseTorchDtype(absl::StrCat("torch.", alias)),
                IsOkAndHolds(dtype));
  }
}

TEST(ParseTorchDtypeTest, RefusesAnythingElseAndSaysWhatWouldDo) {
  for (absl::string_view text :
       {"", "torch.", "torch.auto", "Auto", "BF16", "fp16", "float 16",
        "torch.torch.half", "chalf", "float8_e4m3fnuz"}) {
    EXPECT_THAT(ParseTorchDtype(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(absl::StrCat("'", text, "'")),
                               HasSubstr("auto"), HasSubstr("bfloat16"),
                               HasSubstr("half"))));
  }
}

}  // namespace
}  // namespace pretrained
