#include "checkpoint/safetensors_writer.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/error_text.h"
#include "checkpoint/file_writer.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using checkpoint_internal::QuotedName;
using Json = nlohmann::ordered_json;

constexpr int kLengthBytes = 8;

// Where the crate's ordering has the dtype; the highest is written first.
int Rank(Dtype dtype) {
  switch (dtype) {
    case Dtype::kBool:
      return 0;
    case Dtype::kUint8:
      return 1;
    case Dtype::kInt8:
      return 2;
    case Dtype::kFloat8E5M2:
      return 3;
    case Dtype::kFloat8E4M3FN:
      return 4;
    case Dtype::kInt16:
      return 5;
    case Dtype::kUint16:
      return 6;
    case Dtype::kFloat16:
      return 7;
    case Dtype::kBfloat16:
      return 8;
    case Dtype::kInt32:
      return 9;
    case Dtype::kUint32:
      return 10;
    case Dtype::kFloat32:
      return 11;
    case Dtype::kComplex64:
      return 12;
    case Dtype::kFloat64:
      return 13;
    case Dtype::kInt64:
      return 14;
    case Dtype::kUint64:
      return 15;
    case Dtype::kComplex128:
      break;  // Not a safetensors dtype.
  }
  return -1;
}

absl::Status CheckTensors(absl::Span<const TensorToWrite> tensors) {
  absl::flat_hash_set<absl::string_view> seen;
  for (const TensorToWrite& tensor : tensors) {
    if (tensor.name == "__metadata__") {
      return absl::InvalidArgumentError(
          "a tensor cannot be named '__metadata__': the format keeps that name "
          "for itself");
    }
    if (!seen.insert(tensor.name).second) {
      return absl::InvalidArgumentError(absl::StrCat("two tensors are named ",
                                                     QuotedName(tensor.name),
                                                     "; names must differ"));
    }
    if (tensor.alias_of >= 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor ", QuotedName(tensor.name),
          ": shares the bytes of another, but safetensors has no views; leave "
          "it out, or give it bytes of its own"));
    }
  }
  return absl::OkStatus();
}

std::string LittleEndian64(uint64_t value) {
  std::string bytes(kLengthBytes, '\0');
  for (int i = 0; i < kLengthBytes; ++i) {
    bytes[i] = static_cast<char>(value >> (8 * i));
  }
  return bytes;
}

}  // namespace

absl::StatusOr<std::string> SafetensorsHeaderBytes(
    absl::Span<const TensorToWrite> tensors,
    const SafetensorsMetadata& metadata, std::vector<size_t>* order) {
  absl::Status status = CheckTensors(tensors);
  if (!status.ok()) return status;
  std::vector<size_t> sorted(tensors.size());
  std::iota(sorted.begin(), sorted.end(), size_t{0});
  std::sort(sorted.begin(), sorted.end(), [&](size_t a, size_t b) {
    const int rank_a = Rank(tensors[a].dtype);
    const int rank_b = Rank(tensors[b].dtype);
    return rank_a != rank_b ? rank_a > rank_b
                            : tensors[a].name < tensors[b].name;
  });

  Json header = Json::object();
  if (!metadata.empty()) {
    Json& entries = header["__metadata__"] = Json::object();
    for (const auto& [key, value] : metadata) entries[key] = value;
  }
  std::string text;
  try {
    text = header.dump();
    text.pop_back();  // The closing brace.
    int64_t offset = 0;
    for (size_t index : sorted) {
      const TensorToWrite& tensor = tensors[index];
      const std::optional<absl::string_view> dtype =
          SafetensorsName(tensor.dtype);
      if (!dtype.has_value()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "tensor ", QuotedName(tensor.name),
            ": safetensors has no dtype for ", DtypeName(tensor.dtype)));
      }
      absl::StatusOr<int64_t> bytes = CheckedBytes(tensor);
      if (!bytes.ok()) return bytes.status();
      // Piecewise, for a JSON object looks every key up among those before.
      absl::StrAppend(&text, text.size() > 1 ? "," : "",
                      Json(tensor.name).dump(), ":{\"dtype\":\"", *dtype,
                      "\",\"shape\":[", absl::StrJoin(tensor.shape, ","),
                      "],\"data_offsets\":[", offset, ",", offset + *bytes,
                      "]}");
      offset += *bytes;
    }
  } catch (const Json::type_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("a name or metadata entry is not UTF-8: ", error.what()));
  }
  text += '}';
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  if (order != nullptr) *order = std::move(sorted);
  return absl::StrCat(LittleEndian64(text.size()), text);
}

absl::Status WriteSafetensors(const std::string& path,
                              absl::Span<const TensorToWrite> tensors,
                              const SafetensorsMetadata& metadata) {
  std::vector<size_t> order;
  absl::StatusOr<std::string> header =
      SafetensorsHeaderBytes(tensors, metadata, &order);
  if (!header.ok()) return NamingFile(path, header.status());
  absl::StatusOr<FileWriter> file = FileWriter::Create(path);
  if (!file.ok()) return file.status();
  absl::Status status = file->Append(*header);
  for (size_t index : order) {
    if (!status.ok()) break;
    status = ProduceBytes(tensors[index], [&](absl::string_view piece) {
      return file->Append(piece);
    });
  }
  if (status.ok()) status = file->Commit();
  return NamingFile(path, status);
}

}  // namespace pretrained
