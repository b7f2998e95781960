#include "checkpoint/torch/torch_pickle_writer.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/error_text.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"
#include "simdjson.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// Python appends so many items to a list or dict at a time.
constexpr size_t kBatch = 1000;

// Emits a pickle, opcode after opcode, as Python's pickler numbers its memo.
class PickleEmitter {
 public:
  PickleEmitter() : bytes_("\x80\x02") {}  // PROTO 2

  void Op(char opcode) { bytes_ += opcode; }

  // Gives the value on top of the stack the next number of the memo.
  void Memoize() {
    const uint32_t number = memo_size_++;
    if (number < 256) {
      bytes_ += 'q';  // BINPUT
      bytes_ += static_cast<char>(number);
    } else {
      bytes_ += 'r';  // LONG_BINPUT
      Little32(number);
    }
  }

  void String(absl::string_view text) {
    if (FromMemo(absl::StrCat("X", text))) return;
    bytes_ += 'X';  // BINUNICODE
    Little32(static_cast<uint32_t>(text.size()));
    absl::StrAppend(&bytes_, text);
    Memoize();
  }

  // `lines`: "module\nname\n".
  void Global(absl::string_view lines) {
    if (FromMemo(absl::StrCat("c", lines))) return;
    absl::StrAppend(&bytes_, "c", lines);  // GLOBAL
    Memoize();
  }

  // Of a number that is not negative.
  void Int(int64_t value) {
    if (value < 256) {
      bytes_ += 'K';  // BININT1
      bytes_ += static_cast<char>(value);
    } else if (value < 65536) {
      bytes_ += 'M';  // BININT2
      bytes_ += static_cast<char>(value);
      bytes_ += static_cast<char>(value >> 8);
    } else if (value <= INT32_MAX) {
      bytes_ += 'J';  // BININT
      Little32(static_cast<uint32_t>(value));
    } else {
      Long(value);
    }
  }

  void IntTuple(absl::Span<const int64_t> values) {
    const bool marked = values.size() > 3;
    if (marked) Op('(');  // MARK
    for (const int64_t value : values) Int(value);
    if (values.empty()) {
      Op(')');  // EMPTY_TUPLE
      return;
    }
    // TUPLE1, TUPLE2, TUPLE3; TUPLE
    Op(marked ? 't' : static_cast<char>('\x84' + values.size()));
    Memoize();
  }

  void EmptyOrderedDict() {
    Global("collections\nOrderedDict\n");
    Op(')');  // EMPTY_TUPLE
    Op('R');  // REDUCE
    Memoize();
  }

  std::string Stop() && {
    Op('.');  // STOP
    return std::move(bytes_);
  }

 private:
  // Refers to what was memoized for `key` before, or else notes that it is
  // about to be.
  bool FromMemo(std::string key) {
    const auto [entry, is_new] = memo_.try_emplace(std::move(key), memo_size_);
    if (is_new) return false;
    if (entry->second < 256) {
      bytes_ += 'h';  // BINGET
      bytes_ += static_cast<char>(entry->second);
    } else {
      bytes_ += 'j';  // LONG_BINGET
      Little32(entry->second);
    }
    return true;
  }

  void Little32(uint32_t value) {
    for (int i = 0; i < 4; ++i) bytes_ += static_cast<char>(value >> (8 * i));
  }

  // LONG1: as few bytes as hold the number and its sign.
  void Long(int64_t value) {
    std::string digits;
    for (; value > 0; value >>= 8) digits += static_cast<char>(value);
    if ((digits.back() & 0x80) != 0) digits += '\0';
    bytes_ += '\x8a';
    bytes_ += static_cast<char>(digits.size());
    bytes_ += digits;
  }

  std::string bytes_;
  uint32_t memo_size_ = 0;
  absl::flat_hash_map<std::string, uint32_t> memo_;  // By opcode and text.
};

// The typed storage class of `dtype`; empty for those that have none and are
// rebuilt from raw bytes and a dtype.
absl::string_view StorageGlobal(Dtype dtype) {
  switch (dtype) {
    case Dtype::kBool:
      return "torch\nBoolStorage\n";
    case Dtype::kUint8:
      return "torch\nByteStorage\n";
    case Dtype::kInt8:
      return "torch\nCharStorage\n";
    case Dtype::kInt16:
      return "torch\nShortStorage\n";
    case Dtype::kInt32:
      return "torch\nIntStorage\n";
    case Dtype::kInt64:
      return "torch\nLongStorage\n";
    case Dtype::kFloat16:
      return "torch\nHalfStorage\n";
    case Dtype::kBfloat16:
      return "torch\nBFloat16Storage\n";
    case Dtype::kFloat32:
      return "torch\nFloatStorage\n";
    case Dtype::kFloat64:
      return "torch\nDoubleStorage\n";
    case Dtype::kComplex64:
      return "torch\nComplexFloatStorage\n";
    case Dtype::kComplex128:
      return "torch\nComplexDoubleStorage\n";
    case Dtype::kUint16:
    case Dtype::kUint32:
    case Dtype::kUint64:
    case Dtype::kFloat8E4M3FN:
    case Dtype::kFloat8E5M2:
      break;
  }
  return "";
}

// As torch gives a dense tensor; one without elements steps as if each extent
// of 0 were 1.
std::vector<int64_t> DenseStrides(absl::Span<const int64_t> shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

int64_t NumElements(const TensorToWrite& tensor) {
  int64_t count = 1;
  for (const int64_t extent : tensor.shape) count *= extent;
  return count;
}

// Only in zip archives: torch.load() of a legacy file fails on this class, even
// on files of its own torch.save(), and takes a class of bytes instead.
constexpr absl::string_view kUntypedStorage = "torch.storage\nUntypedStorage\n";

void EmitTensor(const TensorToWrite& tensor, size_t storage,
                TorchContainer container, PickleEmitter& out) {
  const absl::string_view typed = StorageGlobal(tensor.dtype);
  const int64_t count = NumElements(tensor);
  out.Global(typed.empty() ? "torch._utils\n_rebuild_tensor_v3\n"
                           : "torch._utils\n_rebuild_tensor_v2\n");
  out.Op('(');  // MARK: the arguments
  out.Op('(');  // MARK: the persistent id
  out.String("storage");
  out.Global(!typed.empty()                         ? typed
             : container == TorchContainer::kLegacy ? "torch\nByteStorage\n"
                                                    : kUntypedStorage);
  out.String(absl::StrCat(storage));
  out.String("cpu");
  out.Int(typed.empty() ? count * DtypeSize(tensor.dtype) : count);
  if (container == TorchContainer::kLegacy) out.Op('N');  // No view.
  out.Op('t');                                            // TUPLE
  out.Memoize();
  out.Op('Q');  // BINPERSID
  out.Int(0);   // The first element.
  out.IntTuple(tensor.shape);
  out.IntTuple(DenseStrides(tensor.shape));
  out.Op('\x89');  // NEWFALSE: requires_grad
  out.EmptyOrderedDict();
  if (typed.empty()) {
    out.Global(absl::StrCat("torch\n", DtypeName(tensor.dtype), "\n"));
  }
  out.Op('t');  // TUPLE
  out.Memoize();
  out.Op('R');  // REDUCE
  out.Memoize();
}

absl::Status CheckTensor(absl::Span<const TensorToWrite> tensors,
                         size_t index) {
  const TensorToWrite& tensor = tensors[index];
  const absl::StatusOr<int64_t> bytes = CheckedBytes(tensor);
  if (!bytes.ok()) return bytes.status();
  if (!simdjson::validate_utf8(tensor.name.data(), tensor.name.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", QuotedName(tensor.name),
                     ": its name is not UTF-8, but torch keeps names as text"));
  }
  if (tensor.alias_of < 0) return absl::OkStatus();
  const auto other = static_cast<size_t>(tensor.alias_of);
  if (other >= index) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", QuotedName(tensor.name), " (number ", index,
                     "): is said to share the bytes of number ", other,
                     ", but only an earlier one will do"));
  }
  if (tensors[other].dtype != tensor.dtype ||
      NumElements(tensors[other]) != NumElements(tensor)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", QuotedName(tensor.name), ": ", DtypeName(tensor.dtype),
        ShapeText(tensor.shape), " is said to share the bytes of ",
        QuotedName(tensors[other].name), ", but that is ",
        DtypeName(tensors[other].dtype), ShapeText(tensors[other].shape)));
  }
  return absl::OkStatus();
}

// Ends a batch of a list or dict: its opcode for one item, or for several.
void EndBatch(size_t items, char one, char several, PickleEmitter& out) {
  out.Op(items == 1 ? one : several);
}

}  // namespace

absl::StatusOr<TorchPickle> MakeTorchPickle(
    absl::Span<const TensorToWrite> tensors, TorchContainer container) {
  TorchPickle pickle;
  PickleEmitter out;
  out.EmptyOrderedDict();
  absl::flat_hash_set<absl::string_view> names;
  std::vector<size_t> storage_of(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorToWrite& tensor = tensors[i];
    const absl::Status status = CheckTensor(tensors, i);
    if (!status.ok()) return status;
    if (!names.insert(tensor.name).second) {
      return absl::InvalidArgumentError(absl::StrCat("two tensors are named ",
                                                     QuotedName(tensor.name),
                                                     "; names must differ"));
    }
    if (tensor.alias_of >= 0) {
      storage_of[i] = storage_of[tensor.alias_of];
    } else {
      storage_of[i] = pickle.storages.size();
      pickle.storages.push_back(i);
    }
    const size_t items = std::min(kBatch, tensors.size() - i / kBatch * kBatch);
    if (i % kBatch == 0 && items > 1) out.Op('(');  // MARK
    out.String(tensor.name);
    EmitTensor(tensor, storage_of[i], container, out);
    if (i % kBatch == items - 1) EndBatch(items, 's', 'u', out);  // SETITEM(S)
  }
  pickle.bytes = std::move(out).Stop();
  return pickle;
}

bool HasTypedStorage(Dtype dtype) { return !StorageGlobal(dtype).empty(); }

std::string MakeStorageKeysPickle(size_t count) {
  PickleEmitter out;
  out.Op(']');  // EMPTY_LIST
  out.Memoize();
  for (size_t i = 0; i < count; ++i) {
    const size_t items = std::min(kBatch, count - i / kBatch * kBatch);
    if (i % kBatch == 0 && items > 1) out.Op('(');  // MARK
    out.String(absl::StrCat(i));
    if (i % kBatch == items - 1) EndBatch(items, 'a', 'e', out);  // APPEND(S)
  }
  return std::move(out).Stop();
}

}  // namespace checkpoint_internal
}  // namespace pretrained
