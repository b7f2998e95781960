#include "checkpoint/safetensors_header.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"
#include "checkpoint/json_error.h"
#include "checkpoint/tensor_table.h"
#include "dtypes/dtype.h"
#include "simdjson.h"

namespace pretrained {
namespace checkpoint_internal {

const int64_t kHeaderPadding = simdjson::SIMDJSON_PADDING;

namespace {

namespace dom = simdjson::dom;

// Depth at which nesting is refused; serde_json, which wrote and read the
// first of these files, has the same limit. A valid header needs three.
constexpr size_t kMaxDepth = 128;

// The header starts behind the eight bytes of its length.
constexpr int64_t kJsonBegin = 8;

constexpr absl::string_view kMetadataKey = "__metadata__";
constexpr absl::string_view kSaveAgain =
    "; the header is inconsistent: save the checkpoint again";

// What `element` is, for a message that expected something else.
std::string Describe(dom::element element) {
  switch (element.type()) {
    case dom::element_type::ARRAY:
      return "an array";
    case dom::element_type::OBJECT:
      return "an object";
    case dom::element_type::STRING:
      return absl::StrCat("the string ",
                          QuotedName(element.get_string().value_unsafe()));
    case dom::element_type::INT64:
      return absl::StrCat(element.get_int64().value_unsafe());
    case dom::element_type::UINT64:
      return absl::StrCat(element.get_uint64().value_unsafe());
    case dom::element_type::DOUBLE:
      return absl::StrCat("the number ", element.get_double().value_unsafe(),
                          ", not written as an integer");
    case dom::element_type::BOOL:
      return element.get_bool().value_unsafe() ? "true" : "false";
    case dom::element_type::NULL_VALUE:
      return "null";
  }
  return "something else";
}

// The offset of the first `-0` written as a number, or npos. It is an integer
// to JSON and a fraction to serde_json, while simdjson does not tell it from 0.
// `json` is well-formed.
size_t FindNegativeZero(absl::string_view json) {
  if (!absl::StrContains(json, "-0")) return absl::string_view::npos;
  bool in_string = false;
  for (size_t i = 0; i + 2 < json.size(); ++i) {
    if (in_string && json[i] == '\\') {
      ++i;
    } else if (json[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && json[i] == '-' && json[i + 1] == '0' &&
               !absl::StrContains(".eE", json[i + 2]) &&
               !absl::ascii_isalpha(json[i - 1])) {
      return i;
    }
  }
  return absl::string_view::npos;
}

// A name as the format coins them ("F8_E8M0"): this one may just be newer.
bool LooksLikeDtype(absl::string_view name) {
  return !name.empty() && name.size() <= 32 && absl::ascii_isupper(name[0]) &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isupper(c) || absl::ascii_isdigit(c) || c == '_';
         });
}

class HeaderParser {
 public:
  explicit HeaderParser(const HeaderPlace& place) : place_(place) {}

  absl::StatusOr<SafetensorsHeader> Parse(absl::string_view json);

 private:
  absl::Status ParseText(absl::string_view json, dom::object& header);
  absl::Status TextError(absl::string_view json, simdjson::error_code error);
  absl::Status ParseMetadata(dom::element value);
  absl::Status ParseTensor(absl::string_view name, dom::element value);
  absl::Status ParseDtype(absl::string_view name, dom::element value,
                          Dtype& dtype);
  absl::Status ParseShape(absl::string_view name, dom::element value,
                          std::vector<int64_t>& shape);
  absl::Status ParseOffsets(absl::string_view name, dom::element value,
                            TensorInfo& tensor);
  absl::Status CheckSize(const TensorInfo& tensor) const;
  absl::Status CheckTiling(absl::Span<const TensorInfo> tensors) const;

  // kDataLoss about the header, and about one tensor.
  template <typename... Parts>
  absl::Status Bad(const Parts&... parts) const {
    return absl::DataLossError(absl::StrCat(place_.file_name, ": ", parts...));
  }
  template <typename... Parts>
  absl::Status BadTensor(absl::string_view name, const Parts&... parts) const {
    return Bad("tensor ", QuotedName(name), ": ", parts...);
  }
  // "bytes [0, 16) hold 16 bytes", counted as the header counts.
  std::string RangeText(const TensorInfo& tensor) const {
    return absl::StrCat("bytes [", tensor.begin, ", ", tensor.end, ")");
  }

  const HeaderPlace& place_;
  dom::parser parser_;
  absl::string_view last_dtype_name_;  // Into parser_; empty at first.
  Dtype last_dtype_ = Dtype::kFloat32;
  // While the header is parsed, [begin, end) count from the data part.
  std::vector<TensorInfo> tensors_;
  std::vector<std::pair<std::string, std::string>> metadata_;
};

absl::StatusOr<SafetensorsHeader> HeaderParser::Parse(absl::string_view json) {
  dom::object header;
  if (absl::Status s = ParseText(json, header); !s.ok()) return s;

  tensors_.reserve(header.size());
  bool has_metadata = false;
  for (const dom::key_value_pair field : header) {
    absl::Status s;
    if (field.key != kMetadataKey) {
      s = ParseTensor(field.key, field.value);
    } else if (has_metadata) {
      s = Bad("`__metadata__` occurs twice", kSaveAgain);
    } else {
      has_metadata = true;
      s = ParseMetadata(field.value);
    }
    if (!s.ok()) return s;
  }

  // An empty tensor comes before the one that begins where it is, or the two
  // would look like an overlap.
  const auto comes_before = [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  };
  if (!std::is_sorted(tensors_.begin(), tensors_.end(), comes_before)) {
    std::stable_sort(tensors_.begin(), tensors_.end(), comes_before);
  }
  for (TensorInfo& tensor : tensors_) {
    tensor.begin += place_.data_begin;
    tensor.end += place_.data_begin;
  }
  absl::StatusOr<TensorTable> table = TensorTable::Create(
      std::move(tensors_), [this](const TensorInfo& a, const TensorInfo&) {
        return BadTensor(a.name, "the name occurs twice in the header",
                         kSaveAgain);
      });
  if (!table.ok()) return table.status();
  if (absl::Status s = CheckTiling(table->tensors()); !s.ok()) return s;
  return SafetensorsHeader{*std::move(table), std::move(metadata_)};
}

absl::Status HeaderParser::ParseText(absl::string_view json,
                                     dom::object& header) {
  constexpr absl::string_view kNotOne =
      ", but the header is a JSON object and begins with '{'; this is not a "
      "safetensors file, or it is damaged: download or save it again";
  if (json.empty()) return Bad("its header is empty", kNotOne);
  if (json[0] != '{') {
    return Bad("byte ", kJsonBegin, " is ", QuotedName(json.substr(0, 1)),
               kNotOne);
  }
  simdjson::error_code error = parser_.allocate(json.size(), kMaxDepth);
  dom::element root;
  if (error == simdjson::SUCCESS) {
    error = parser_.parse(json.data(), json.size(), !place_.padded).get(root);
  }
  if (error != simdjson::SUCCESS) return TextError(json, error);
  if (const size_t at = FindNegativeZero(json); at != absl::string_view::npos) {
    return Bad("the header has -0 at byte ", kJsonBegin + at,
               ", but sizes and offsets are unsigned integers", kSaveAgain);
  }
  if (root.get(header) != simdjson::SUCCESS) {
    return Bad("the header is ", Describe(root), ", not an object", kSaveAgain);
  }
  return absl::OkStatus();
}

absl::Status HeaderParser::TextError(absl::string_view json,
                                     simdjson::error_code error) {
  switch (error) {
    case simdjson::MEMALLOC:
    case simdjson::CAPACITY:
      return absl::ResourceExhaustedError(
          absl::StrCat(place_.file_name, ": not enough memory for its header, ",
                       json.size(), " bytes"));
    case simdjson::DEPTH_ERROR:
      return Bad("the header nests deeper than ", kMaxDepth,
                 " levels, but needs three", kSaveAgain);
    default:
      break;
  }
  const JsonError fault = FindJsonError(json);
  const std::string within =
      !fault.key ? ""
      : *fault.key == kMetadataKey
          ? "`__metadata__`: "
          : absl::StrCat("tensor ", QuotedName(*fault.key), ": ");
  if (fault.number) {
    return Bad(within, "the number ", QuotedName(*fault.number),
               " does not fit into 64 bits", kSaveAgain);
  }
  return Bad(
      within, "the header is not valid JSON",
      fault.place ? absl::StrCat(" at byte ", kJsonBegin + *fault.place) : "",
      " (", simdjson::error_message(error),
      "); the file is damaged: download or save it again");
}

absl::Status HeaderParser::ParseMetadata(dom::element value) {
  if (value.is_null()) return absl::OkStatus();
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS) {
    return Bad("`__metadata__` is ", Describe(value),
               ", but must be an object of strings", kSaveAgain);
  }
  absl::flat_hash_set<absl::string_view> keys;
  for (const dom::key_value_pair field : object) {
    absl::string_view text;
    if (field.value.get(text) != simdjson::SUCCESS) {
      return Bad("`__metadata__` key ", QuotedName(field.key), " is ",
                 Describe(field.value), ", but must be a string", kSaveAgain);
    }
    if (!keys.insert(field.key).second) {
      return Bad("`__metadata__` key ", QuotedName(field.key), " occurs twice",
                 kSaveAgain);
    }
    metadata_.emplace_back(field.key, text);
  }
  return absl::OkStatus();
}

absl::Status HeaderParser::ParseTensor(absl::string_view name,
                                       dom::element value) {
  dom::object fields;
  if (value.get(fields) != simdjson::SUCCESS) {
    return BadTensor(name, "its entry is ", Describe(value),
                     ", but must be an object with dtype, shape and "
                     "data_offsets",
                     kSaveAgain);
  }
  TensorInfo& tensor = tensors_.emplace_back();
  tensor.name = std::string(name);

  std::optional<dom::element> dtype, shape, data_offsets;
  absl::flat_hash_set<absl::string_view> others;  // Stays empty, as a rule.
  for (const dom::key_value_pair field : fields) {
    std::optional<dom::element>* known = field.key == "dtype"   ? &dtype
                                         : field.key == "shape" ? &shape
                                         : field.key == "data_offsets"
                                             ? &data_offsets
                                             : nullptr;
    if (known != nullptr ? known->has_value()
                         : !others.insert(field.key).second) {
      return BadTensor(name, "its field ", QuotedName(field.key),
                       " occurs twice", kSaveAgain);
    }
    if (known != nullptr) *known = field.value;
  }
  if (!dtype || !shape || !data_offsets) {
    return BadTensor(name, "its entry has no ",
                     !dtype   ? "dtype"
                     : !shape ? "shape"
                              : "data_offsets",
                     kSaveAgain);
  }
  absl::Status s = ParseDtype(name, *dtype, tensor.dtype);
  if (s.ok()) s = ParseShape(name, *shape, tensor.shape);
  if (s.ok()) s = ParseOffsets(name, *data_offsets, tensor);
  if (s.ok()) s = CheckSize(tensor);
  return s;
}

absl::Status HeaderParser::ParseDtype(absl::string_view name,
                                      dom::element value, Dtype& dtype) {
  absl::string_view text;
  if (value.get(text) != simdjson::SUCCESS) {
    return BadTensor(name, "its dtype is ", Describe(value),
                     ", but must be a string", kSaveAgain);
  }
  // Most files have one dtype: the last one looked up is mostly the next.
  if (!text.empty() && text == last_dtype_name_) {
    dtype = last_dtype_;
    return absl::OkStatus();
  }
  const absl::StatusOr<Dtype> known = DtypeFromSafetensors(text);
  if (known.ok()) {
    dtype = last_dtype_ = *known;
    last_dtype_name_ = text;
    return absl::OkStatus();
  }
  if (LooksLikeDtype(text)) {
    return absl::UnimplementedError(absl::StrCat(
        place_.file_name, ": tensor ", QuotedName(name), ": dtype ",
        QuotedName(text),
        " is not known to this version; save the checkpoint in another dtype, "
        "such as F32 or BF16, or use a newer version"));
  }
  return BadTensor(name, "its dtype is ", QuotedName(text),
                   ", which is not the name of a dtype (F32, BF16, ..)",
                   kSaveAgain);
}

absl::Status HeaderParser::ParseShape(absl::string_view name,
                                      dom::element value,
                                      std::vector<int64_t>& shape) {
  dom::array extents;
  if (value.get(extents) != simdjson::SUCCESS) {
    return BadTensor(name, "its shape is ", Describe(value),
                     ", but must be an array of sizes", kSaveAgain);
  }
  shape.reserve(extents.size());
  for (const dom::element extent : extents) {
    int64_t size;
    if (extent.get(size) != simdjson::SUCCESS || size < 0) {
      return BadTensor(name, "dimension ", shape.size(), " of its shape is ",
                       Describe(extent),
                       ", but must be an integer of 0 or more, below 2^63",
                       kSaveAgain);
    }
    shape.push_back(size);
  }
  return absl::OkStatus();
}

absl::Status HeaderParser::ParseOffsets(absl::string_view name,
                                        dom::element value,
                                        TensorInfo& tensor) {
  dom::array offsets;
  if (value.get(offsets) != simdjson::SUCCESS || offsets.size() != 2) {
    return BadTensor(name, "its data_offsets are ", Describe(value),
                     ", but must be an array of two: begin, end", kSaveAgain);
  }
  uint64_t numbers[2];
  size_t i = 0;
  for (const dom::element offset : offsets) {
    if (offset.get(numbers[i++]) != simdjson::SUCCESS) {
      return BadTensor(name, "one of its data_offsets is ", Describe(offset),
                       ", but must be an integer of 0 or more", kSaveAgain);
    }
  }
  const auto [begin, end] = numbers;
  if (begin > end) {
    return BadTensor(name, "bytes [", begin, ", ", end,
                     ") end before they begin", kSaveAgain);
  }
  if (end > static_cast<uint64_t>(place_.data_bytes)) {
    return BadTensor(name, "bytes [", begin, ", ", end, ") of the data, but ",
                     place_.data_bytes,
                     " bytes follow the header; the file is cut short, or the "
                     "header is inconsistent: download or save it again");
  }
  tensor.begin = static_cast<int64_t>(begin);
  tensor.end = static_cast<int64_t>(end);
  return absl::OkStatus();
}

// Multiplies as the Rust crate does, from the first dimension on: what
// overflows is refused even if a zero that follows would make it none.
absl::Status HeaderParser::CheckSize(const TensorInfo& tensor) const {
  uint64_t needed = 1;
  bool overflow = false;
  for (const int64_t extent : tensor.shape) {
    overflow |=
        __builtin_mul_overflow(needed, static_cast<uint64_t>(extent), &needed);
  }
  overflow |= __builtin_mul_overflow(
      needed, static_cast<uint64_t>(DtypeSize(tensor.dtype)), &needed);
  if (!overflow && needed == static_cast<uint64_t>(tensor.nbytes())) {
    return absl::OkStatus();
  }
  const std::string type =
      absl::StrCat(*SafetensorsName(tensor.dtype), ShapeText(tensor.shape));
  if (overflow) {
    return BadTensor(tensor.name, "the size of ", type,
                     " does not fit into 64 bits", kSaveAgain);
  }
  return BadTensor(tensor.name, RangeText(tensor), " hold ", tensor.nbytes(),
                   " bytes, but ", type, " needs ", needed, kSaveAgain);
}

// `tensors` are sorted, and each lies within the data: they tile it if each
// begins where the one before it ends.
absl::Status HeaderParser::CheckTiling(
    absl::Span<const TensorInfo> tensors) const {
  int64_t covered = 0;  // All of [0, covered) of the data is taken, once.
  const TensorInfo* before = nullptr;
  for (const TensorInfo& tensor : tensors) {
    const int64_t begin = tensor.begin - place_.data_begin;
    const int64_t end = tensor.end - place_.data_begin;
    if (begin > covered) {
      return BadTensor(tensor.name, "bytes [", covered, ", ", begin,
                       ") of the data, right before it, belong to no tensor",
                       kSaveAgain);
    }
    if (begin < covered) {
      return BadTensor(tensor.name, "bytes [", begin, ", ", end,
                       ") overlap those of tensor ", QuotedName(before->name),
                       ", [", before->begin - place_.data_begin, ", ", covered,
                       ")", kSaveAgain);
    }
    covered = end;
    before = &tensor;
  }
  if (covered == place_.data_bytes) return absl::OkStatus();
  return Bad(before == nullptr
                 ? std::string("the header lists no tensor")
                 : absl::StrCat("tensor ", QuotedName(before->name),
                                ": the last one ends at byte ", covered,
                                " of the data"),
             ", but ", place_.data_bytes - covered,
             " more bytes follow; the file is damaged: download or save it "
             "again");
}

}  // namespace

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(
    absl::string_view json, const HeaderPlace& place) {
  return HeaderParser(place).Parse(json);
}

}  // namespace checkpoint_internal
}  // namespace pretrained
