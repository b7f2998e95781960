#include "checkpoint/checkpoint_diff.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"
#include "checkpoint/value_diff.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

using checkpoint_internal::ShapeText;
using checkpoint_internal::ValueDiff;

// Of the widest dtype 4 MiB.
constexpr int64_t kPieceElements = int64_t{1} << 18;

// The elements of one tensor in pieces, from first to last.
class Pieces {
 public:
  Pieces(const Checkpoint& checkpoint, const TensorInfo& tensor)
      : checkpoint_(checkpoint), tensor_(tensor) {}

  // Tensors that are not in place are made here, whole.
  absl::Status Open() {
    if (tensor_.in_place) return absl::OkStatus();
    absl::StatusOr<TensorView> view = checkpoint_.View(tensor_);
    if (view.ok()) whole_ = *std::move(view);
    return view.status();
  }

  // Elements [first, first + count), good until the next call.
  absl::StatusOr<const char*> Read(int64_t first, int64_t count) {
    const int64_t size = DtypeSize(tensor_.dtype);
    if (!tensor_.in_place) {
      return static_cast<const char*>(whole_.data) + first * size;
    }
    buffer_.resize(count * size);
    TensorInfo piece;
    piece.name = tensor_.name;
    piece.dtype = tensor_.dtype;
    piece.shape = {count};
    piece.file = tensor_.file;
    piece.begin = tensor_.begin + first * size;
    piece.end = piece.begin + count * size;
    absl::Status status = checkpoint_.Read(piece, absl::MakeSpan(buffer_));
    if (!status.ok()) return status;
    return buffer_.data();
  }

 private:
  const Checkpoint& checkpoint_;
  const TensorInfo& tensor_;
  TensorView whole_;
  std::vector<char> buffer_;
};

// Two tensors of one name, the first of which is number `number` of its list.
struct Pair {
  size_t number;
  const TensorInfo* a;
  const TensorInfo* b;
};

class Differ {
 public:
  Differ(const Checkpoint& a, const Checkpoint& b, const DiffOptions& options)
      : a_(a), b_(b), options_(options) {}

  absl::StatusOr<CheckpointDiff> Run();

 private:
  std::vector<Pair> FindPairs();
  absl::Status ComparePair(const Pair& pair);
  absl::Status CompareValues(const Pair& pair, ValueDiff& values);
  void Report(const Pair& pair, const ValueDiff& values);

  const Checkpoint& a_;
  const Checkpoint& b_;
  const DiffOptions& options_;
  int64_t done_bytes_ = 0;
  int64_t total_bytes_ = 0;
  CheckpointDiff diff_;
  std::vector<std::pair<size_t, TensorDifference>> different_;  // By number.
};

// The coordinates of element `index`, row-major.
std::vector<int64_t> Coordinates(int64_t index,
                                 const std::vector<int64_t>& shape) {
  std::vector<int64_t> place(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    place[d] = index % shape[d];
    index /= shape[d];
  }
  return place;
}

std::vector<Pair> Differ::FindPairs() {
  absl::flat_hash_map<absl::string_view, const TensorInfo*> in_b;
  in_b.reserve(b_.tensors().size());
  for (const TensorInfo& tensor : b_.tensors()) in_b[tensor.name] = &tensor;
  std::vector<Pair> pairs;
  absl::flat_hash_set<absl::string_view> in_both;
  for (size_t i = 0; i < a_.tensors().size(); ++i) {
    const TensorInfo& tensor = a_.tensors()[i];
    const auto found = in_b.find(tensor.name);
    if (found == in_b.end()) {
      diff_.only_in_a.push_back(tensor.name);
      continue;
    }
    in_both.insert(tensor.name);
    pairs.push_back({i, &tensor, found->second});
    if (tensor.shape == found->second->shape) total_bytes_ += tensor.nbytes();
  }
  for (const TensorInfo& tensor : b_.tensors()) {
    if (!in_both.contains(tensor.name)) diff_.only_in_b.push_back(tensor.name);
  }
  return pairs;
}

absl::Status Differ::CompareValues(const Pair& pair, ValueDiff& values) {
  const int64_t count = pair.a->num_elements();
  Pieces a(a_, *pair.a), b(b_, *pair.b);
  absl::Status status = a.Open();
  if (status.ok()) status = b.Open();
  for (int64_t first = 0; status.ok() && first < count;
       first += kPieceElements) {
    const int64_t n = std::min(kPieceElements, count - first);
    const absl::StatusOr<const char*> from_a = a.Read(first, n);
    if (!from_a.ok()) return from_a.status();
    const absl::StatusOr<const char*> from_b = b.Read(first, n);
    if (!from_b.ok()) return from_b.status();
    status = values.Compare(*from_a, *from_b, n);
    done_bytes_ += n * DtypeSize(pair.a->dtype);
    if (options_.progress) options_.progress(done_bytes_, total_bytes_);
  }
  return status;
}

void Differ::Report(const Pair& pair, const ValueDiff& values) {
  const bool dtypes_differ =
      options_.check_dtype && pair.a->dtype != pair.b->dtype;
  if (!dtypes_differ && values.different() == 0) {
    ++diff_.same_tensors;
    return;
  }
  TensorDifference difference;
  difference.name = pair.a->name;
  difference.different_values = values.different();
  difference.max_abs = values.max_abs();
  if (dtypes_differ) {
    absl::StrAppend(&difference.why, "dtype ", DtypeName(pair.a->dtype),
                    ", but ", DtypeName(pair.b->dtype));
  }
  if (values.different() > 0) {
    absl::StrAppend(&difference.why, dtypes_differ ? "; " : "",
                    values.different(), " of ", values.compared(),
                    " values differ, the first at ",
                    ShapeText(Coordinates(values.first(), pair.a->shape)), ": ",
                    values.first_a(), ", but ", values.first_b());
  }
  different_.emplace_back(pair.number, std::move(difference));
}

absl::Status Differ::ComparePair(const Pair& pair) {
  if (pair.a->shape != pair.b->shape) {
    TensorDifference difference;
    difference.name = pair.a->name;
    difference.why = absl::StrCat("shape ", ShapeText(pair.a->shape), ", but ",
                                  ShapeText(pair.b->shape));
    different_.emplace_back(pair.number, std::move(difference));
    return absl::OkStatus();
  }
  ValueDiff values(pair.a->dtype, pair.b->dtype, options_.rtol, options_.atol);
  absl::Status status = CompareValues(pair, values);
  if (status.ok()) Report(pair, values);
  return status;
}

absl::StatusOr<CheckpointDiff> Differ::Run() {
  if (!(options_.rtol >= 0 && options_.atol >= 0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tolerances rtol ", options_.rtol, " and atol ", options_.atol,
        " must be numbers from 0 on; pass such as "
        "rtol 1e-5 and atol 1e-8"));
  }
  std::vector<Pair> pairs = FindPairs();
  std::sort(pairs.begin(), pairs.end(), [](const Pair& x, const Pair& y) {
    return std::tie(x.a->file, x.a->begin) < std::tie(y.a->file, y.a->begin);
  });
  for (const Pair& pair : pairs) {
    if (absl::Status s = ComparePair(pair); !s.ok()) return s;
  }
  std::sort(different_.begin(), different_.end(),
            [](const auto& x, const auto& y) { return x.first < y.first; });
  for (auto& [number, difference] : different_) {
    diff_.different.push_back(std::move(difference));
  }
  return std::move(diff_);
}

}  // namespace

absl::StatusOr<CheckpointDiff> DiffCheckpoints(const Checkpoint& a,
                                               const Checkpoint& b,
                                               const DiffOptions& options) {
  return Differ(a, b, options).Run();
}

}  // namespace pretrained
