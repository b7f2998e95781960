#include "checkpoint/pickle/pickle_text_numpy.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/pickle/pickle_text_plain.h"
#include "checkpoint/pickle/pickle_value.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

struct ElementType {
  Dtype dtype;
  bool big_endian = false;
};

struct Code {
  absl::string_view code;
  Dtype dtype;
};
// As numpy.dtype is told, without its byte order.
constexpr Code kCodes[] = {
    {"b1", Dtype::kBool},      {"i1", Dtype::kInt8},
    {"i2", Dtype::kInt16},     {"i4", Dtype::kInt32},
    {"i8", Dtype::kInt64},     {"u1", Dtype::kUint8},
    {"u2", Dtype::kUint16},    {"u4", Dtype::kUint32},
    {"u8", Dtype::kUint64},    {"f2", Dtype::kFloat16},
    {"f4", Dtype::kFloat32},   {"f8", Dtype::kFloat64},
    {"c8", Dtype::kComplex64}, {"c16", Dtype::kComplex128}};

// `numpy.dtype('f8', False, True)` with the state (3, '<', ..).
std::optional<ElementType> ReadDtype(PickleValue value) {
  if (!CallsPython(value, "numpy", "dtype")) return std::nullopt;
  const absl::Span<const PickleValue> args = value.record()->args();
  if (args.empty()) return std::nullopt;
  const absl::Span<const PickleValue> state = value.record()->state().items();
  for (const Code& code : kCodes) {
    if (args[0].text() != code.code) continue;
    return ElementType{code.dtype, state.size() > 1 && state[1].text() == ">"};
  }
  return std::nullopt;
}

template <typename T>
T Load(absl::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

// One element, in the machine's byte order.
std::string ElementRepr(Dtype dtype, absl::string_view bytes) {
  switch (dtype) {
    case Dtype::kBool:
      return bytes[0] != 0 ? "True" : "False";
    case Dtype::kInt8:
      return absl::StrCat(static_cast<int>(Load<int8_t>(bytes)));
    case Dtype::kInt16:
      return absl::StrCat(Load<int16_t>(bytes));
    case Dtype::kInt32:
      return absl::StrCat(Load<int32_t>(bytes));
    case Dtype::kInt64:
      return absl::StrCat(Load<int64_t>(bytes));
    case Dtype::kUint8:
      return absl::StrCat(static_cast<int>(Load<uint8_t>(bytes)));
    case Dtype::kUint16:
      return absl::StrCat(Load<uint16_t>(bytes));
    case Dtype::kUint32:
      return absl::StrCat(Load<uint32_t>(bytes));
    case Dtype::kUint64:
      return absl::StrCat(Load<uint64_t>(bytes));
    case Dtype::kFloat16:
      return HalfRepr(Load<uint16_t>(bytes));
    case Dtype::kFloat32:
      return FloatRepr(Load<float>(bytes));
    case Dtype::kFloat64:
      return FloatRepr(Load<double>(bytes));
    case Dtype::kComplex64:
      return ComplexRepr(FloatRepr(Load<float>(bytes)),
                         FloatRepr(Load<float>(bytes.substr(4))));
    case Dtype::kComplex128:
      return ComplexRepr(FloatRepr(Load<double>(bytes)),
                         FloatRepr(Load<double>(bytes.substr(8))));
    default:
      return "?";  // No code of kCodes.
  }
}

std::string Element(const ElementType& type, std::string bytes) {
  if (type.big_endian) {
    const ptrdiff_t part =
        static_cast<ptrdiff_t>(bytes.size()) / (IsComplex(type.dtype) ? 2 : 1);
    for (auto it = bytes.begin(); it != bytes.end(); it += part) {
      std::reverse(it, it + part);
    }
  }
  return ElementRepr(type.dtype, bytes);
}

struct Array {
  ElementType type;
  std::vector<int64_t> shape;
  bool column_major = false;
  bool is_native = true;  // Made with the machine's byte order in its dtype.
  PickleValue data;
};

// Extents whose product, and that times an element, stays far below 2^63.
bool ReadShape(PickleValue value, std::vector<int64_t>* shape) {
  if (!value.is(PickleKind::kTuple) || value.items().size() > 32) return false;
  int64_t product = 1;
  for (const PickleValue extent : value.items()) {
    const int64_t n = extent.int_value();
    if (!extent.is(PickleKind::kInt) || n < 0 || n > (int64_t{1} << 40)) {
      return false;
    }
    product *= std::max<int64_t>(n, 1);
    if (product > (int64_t{1} << 40)) return false;
    shape->push_back(n);
  }
  return true;
}

// `_reconstruct(ndarray, (0,), b'b')` with the state (version, shape, dtype,
// is column-major, data), or `_frombuffer(data, dtype, shape, order)`.
std::optional<Array> ReadArray(PickleValue value) {
  PickleValue shape;
  PickleValue type;
  Array array;
  if (CallsPython(value, "numpy._core.multiarray", "_reconstruct")) {
    const absl::Span<const PickleValue> state = value.record()->state().items();
    if (state.size() != 5) return std::nullopt;
    shape = state[1];
    type = state[2];
    array.column_major = state[3].int_value() != 0;
    array.data = state[4];
  } else if (CallsPython(value, "numpy._core.numeric", "_frombuffer")) {
    const absl::Span<const PickleValue> args = value.record()->args();
    if (args.size() != 4) return std::nullopt;
    array.data = args[0];
    type = args[1];
    shape = args[2];
    array.column_major = args[3].text() == "F";
  } else {
    return std::nullopt;
  }
  const std::optional<ElementType> element = ReadDtype(type);
  if (!element.has_value() || !ReadShape(shape, &array.shape)) {
    return std::nullopt;
  }
  array.type = *element;
  // _reconstruct swaps what it is given, _frombuffer leaves it.
  array.is_native = !element->big_endian || value.record()->has_state();
  return array;
}

// Where element `index`, counted row-major, is in a column-major array.
int64_t ColumnMajor(absl::Span<const int64_t> shape, int64_t index) {
  int64_t place = 0;
  int64_t stride = 1;
  for (const int64_t extent : shape) stride *= extent;
  for (size_t i = shape.size(); i-- > 0;) {
    stride /= shape[i];
    place += index % shape[i] * stride;
    index /= shape[i];
  }
  return place;
}

std::string ArraySuffix(const Array& array, bool is_empty) {
  std::string suffix;
  if (is_empty && array.shape != std::vector<int64_t>{0}) {
    absl::StrAppend(&suffix, ", shape=(", absl::StrJoin(array.shape, ", "),
                    array.shape.size() == 1 ? ",)" : ")");
  }
  const Dtype dtype = array.type.dtype;
  const bool is_default =
      array.is_native &&
      (dtype == Dtype::kBool || dtype == Dtype::kInt64 ||
       dtype == Dtype::kFloat64 || dtype == Dtype::kComplex128);
  if (!is_default || is_empty) {
    absl::StrAppend(&suffix, ", dtype=", DtypeName(dtype));
  }
  return suffix;
}

std::optional<std::string> ArrayRepr(const Array& array, size_t max_size) {
  int64_t count = 1;
  for (const int64_t extent : array.shape) count *= extent;
  if (count == 0)
    return absl::StrCat("array([]", ArraySuffix(array, true), ")");
  const int64_t size = DtypeSize(array.type.dtype);
  // Every element prints at least one character.
  const int64_t shown =
      std::min<int64_t>(count, static_cast<int64_t>(max_size) + 1);
  const int64_t wanted = array.column_major ? count : shown;
  if (wanted > 4 * shown + 4096) return std::nullopt;
  const std::optional<std::string> data =
      BytesPrefix(array.data, static_cast<size_t>(wanted * size));
  if (!data.has_value() ||
      static_cast<int64_t>(data->size()) != wanted * size) {
    return std::nullopt;
  }
  std::string out = "array(";
  for (int64_t i = 0; i < shown && out.size() <= max_size; ++i) {
    // A bracket for every dimension in which this is the first, or the last.
    int64_t below = 1;
    int opens = 0;
    int closes = 0;
    for (size_t d = array.shape.size(); d-- > 0;) {
      below *= array.shape[d];
      opens += i % below == 0 ? 1 : 0;
      closes += (i + 1) % below == 0 ? 1 : 0;
    }
    const int64_t place = array.column_major ? ColumnMajor(array.shape, i) : i;
    absl::StrAppend(
        &out, i == 0 ? "" : ", ", std::string(opens, '['),
        Element(array.type, data->substr(static_cast<size_t>(place * size),
                                         static_cast<size_t>(size))),
        std::string(closes, ']'));
  }
  return absl::StrCat(out, ArraySuffix(array, false), ")");
}

std::optional<std::string> ScalarRepr(PickleValue value) {
  const absl::Span<const PickleValue> args = value.record()->args();
  if (args.size() != 2) return std::nullopt;
  const std::optional<ElementType> type = ReadDtype(args[0]);
  if (!type.has_value()) return std::nullopt;
  const size_t size = static_cast<size_t>(DtypeSize(type->dtype));
  std::optional<std::string> data = BytesPrefix(args[1], size + 1);
  if (!data.has_value() || data->size() != size) return std::nullopt;
  return Element(*type, *data);
}

}  // namespace

std::optional<std::string> NumpyRepr(PickleValue value, size_t max_size) {
  if (CallsPython(value, "numpy._core.multiarray", "scalar")) {
    return ScalarRepr(value);
  }
  if (CallsPython(value, "numpy", "dtype")) {
    const std::optional<ElementType> type = ReadDtype(value);
    if (!type.has_value() || type->big_endian) return std::nullopt;
    return absl::StrCat("dtype('", DtypeName(type->dtype), "')");
  }
  const std::optional<Array> array = ReadArray(value);
  if (!array.has_value()) return std::nullopt;
  return ArrayRepr(*array, max_size);
}

}  // namespace checkpoint_internal
}  // namespace pretrained
