#include "checkpoint/tensor_source.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/convert.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

using checkpoint_internal::QuotedName;

// Elements handed on at a time fill so many bytes: enough for long writes, few
// enough to stay in a core's cache between reading, converting and writing.
constexpr int64_t kPieceBytes = int64_t{1} << 20;

// Which tensor, and how it is to come out.
struct Source {
  const Checkpoint* checkpoint;
  TensorInfo tensor;
  Dtype dtype;

  bool converts() const { return tensor.dtype != dtype; }
  // Of either dtype no more than kPieceBytes; DtypeSize divides it.
  int64_t piece_elements() const {
    return kPieceBytes /
           std::max(DtypeSize(tensor.dtype), DtypeSize(this->dtype));
  }
};

// Hands on `count` elements at `stored`, through `converted` where needed.
absl::Status HandOn(const Source& source, const char* stored, int64_t count,
                    std::vector<char>& converted, TensorSink sink) {
  const int64_t bytes = count * DtypeSize(source.dtype);
  if (!source.converts()) return sink(absl::string_view(stored, bytes));
  converted.resize(bytes);
  const absl::Status status = Convert(source.tensor.dtype, stored, source.dtype,
                                      converted.data(), count);
  if (!status.ok()) return status;
  return sink(absl::string_view(converted.data(), bytes));
}

// Reads piece after piece, so that memory stays small.
absl::Status ProduceInPlace(const Source& source, TensorSink sink) {
  const int64_t size = DtypeSize(source.tensor.dtype);
  TensorInfo piece = source.tensor;
  std::vector<char> stored;
  std::vector<char> converted;
  for (int64_t begin = source.tensor.begin; begin < source.tensor.end;) {
    const int64_t count =
        std::min(source.piece_elements(), (source.tensor.end - begin) / size);
    piece.begin = begin;
    piece.end = begin + count * size;
    piece.shape = {count};
    stored.resize(count * size);
    absl::Status status =
        source.checkpoint->Read(piece, absl::MakeSpan(stored));
    if (status.ok()) {
      status = HandOn(source, stored.data(), count, converted, sink);
    }
    if (!status.ok()) return status;
    begin = piece.end;
  }
  return absl::OkStatus();
}

// The checkpoint makes the tensor once, whole; no part of it can be had alone.
absl::Status ProduceMade(const Source& source, TensorSink sink) {
  const absl::StatusOr<TensorView> view =
      source.checkpoint->View(source.tensor);
  if (!view.ok()) return view.status();
  const int64_t size = DtypeSize(source.tensor.dtype);
  const int64_t elements = view->nbytes / size;
  std::vector<char> converted;
  for (int64_t done = 0; done < elements;) {
    const int64_t count = std::min(source.piece_elements(), elements - done);
    const char* stored = static_cast<const char*>(view->data) + done * size;
    const absl::Status status = HandOn(source, stored, count, converted, sink);
    if (!status.ok()) return status;
    done += count;
  }
  return absl::OkStatus();
}

absl::Status Produce(const Source& source, TensorSink sink) {
  if (source.converts() && !CanConvert(source.tensor.dtype, source.dtype)) {
    return absl::UnimplementedError(absl::StrCat(
        "tensor ", QuotedName(source.tensor.name), ": ",
        DtypeName(source.tensor.dtype), " cannot become ",
        DtypeName(source.dtype), "; only floating-point numbers convert"));
  }
  return source.tensor.in_place ? ProduceInPlace(source, sink)
                                : ProduceMade(source, sink);
}

// The strides that steps take: row-major where none are stored, 0 along
// extents of 1.
std::vector<int64_t> EffectiveStrides(const TensorInfo& tensor) {
  std::vector<int64_t> strides = tensor.strides;
  if (strides.empty()) {
    strides.resize(tensor.shape.size());
    int64_t step = 1;
    for (size_t i = strides.size(); i-- > 0;) {
      strides[i] = step;
      step *= tensor.shape[i];
    }
  }
  for (size_t i = 0; i < std::min(strides.size(), tensor.shape.size()); ++i) {
    if (tensor.shape[i] == 1) strides[i] = 0;
  }
  return strides;
}

}  // namespace

TensorToWrite TensorFromCheckpoint(const Checkpoint& checkpoint,
                                   const TensorInfo& tensor, Dtype dtype) {
  TensorToWrite result;
  result.name = tensor.name;
  result.dtype = dtype;
  result.shape = tensor.shape;
  result.produce = [source = Source{&checkpoint, tensor, dtype}](
                       TensorSink sink) { return Produce(source, sink); };
  return result;
}

std::vector<int> FindAliases(absl::Span<const TensorInfo> tensors) {
  using ViewKey = std::tuple<int, int, int64_t, Dtype, std::vector<int64_t>,
                             std::vector<int64_t>>;
  absl::flat_hash_map<ViewKey, int> first;
  std::vector<int> aliases(tensors.size(), -1);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorInfo& tensor = tensors[i];
    if (tensor.storage < 0 || tensor.num_elements() == 0) continue;
    const auto [entry, is_new] = first.try_emplace(
        ViewKey(tensor.file, tensor.storage, tensor.storage_offset,
                tensor.dtype, tensor.shape, EffectiveStrides(tensor)),
        static_cast<int>(i));
    if (!is_new) aliases[i] = entry->second;
  }
  return aliases;
}

}  // namespace pretrained
