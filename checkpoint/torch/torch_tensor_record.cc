#include "checkpoint/torch/torch_tensor_record.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/error_text.h"
#include "checkpoint/pickle/pickle_globals.h"
#include "checkpoint/pickle/pickle_text.h"
#include "checkpoint/pickle/pickle_value.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace checkpoint_internal {

// A call that makes a tensor.
struct TorchTensorReader::Call {
  absl::string_view function;  // Of torch._utils.
  absl::Span<const PickleValue> args;
};

// A storage as one tensor sees it.
struct TorchTensorReader::StorageView {
  std::string key;
  std::optional<Dtype> dtype;  // None: untyped, counted in bytes.
  int64_t numel = 0;           // Of the whole.
  int64_t nbytes = 0;
  int64_t offset = 0;  // In elements; of a legacy view.
  int64_t size = 0;    // Of the view; the whole, without.
};

namespace {

constexpr int kMaxWrappers = 8;  // A parameter of a subclass of a ..

struct StorageType {
  absl::string_view name;
  Dtype dtype;
};
constexpr StorageType kStorageTypes[] = {
    {"DoubleStorage", Dtype::kFloat64},
    {"FloatStorage", Dtype::kFloat32},
    {"HalfStorage", Dtype::kFloat16},
    {"BFloat16Storage", Dtype::kBfloat16},
    {"LongStorage", Dtype::kInt64},
    {"IntStorage", Dtype::kInt32},
    {"ShortStorage", Dtype::kInt16},
    {"CharStorage", Dtype::kInt8},
    {"ByteStorage", Dtype::kUint8},
    {"BoolStorage", Dtype::kBool},
    {"ComplexDoubleStorage", Dtype::kComplex128},
    {"ComplexFloatStorage", Dtype::kComplex64},
};

struct NotRead {
  absl::string_view function;
  absl::string_view kind;
};
constexpr NotRead kNotRead[] = {
    {"_rebuild_sparse_tensor", "a sparse tensor"},
    {"_rebuild_sparse_csr_tensor", "a sparse tensor"},
    {"_rebuild_qtensor", "a quantised tensor"},
    {"_rebuild_nested_tensor", "a nested tensor"},
    {"_rebuild_meta_tensor_no_storage", "a tensor on the meta device"},
    {"_rebuild_wrapper_subclass", "a tensor of a wrapper class"},
    {"_rebuild_device_tensor_from_numpy", "a tensor stored as a numpy array"},
    {"_rebuild_device_tensor_from_cpu_tensor", "a copy of another tensor"},
    {"_rebuild_xla_tensor", "a tensor stored as a numpy array"},
};

bool IsPlainRebuild(absl::string_view function) {
  return function == "_rebuild_tensor" || function == "_rebuild_tensor_v2" ||
         function == "_rebuild_tensor_v3";
}

bool IsParameterRebuild(absl::string_view function) {
  return function == "_rebuild_parameter" ||
         function == "_rebuild_parameter_with_state";
}

const NotRead* FindNotRead(absl::string_view function) {
  for (const NotRead& row : kNotRead) {
    if (row.function == function) return &row;
  }
  return nullptr;
}

bool IsFromType(const PickleGlobal& global) {
  return (global.module == "torch._tensor" ||
          global.module == "torch.tensor") &&
         (global.name == "_rebuild_from_type_v2" ||
          global.name == "_rebuild_from_type");
}

bool IsRebuild(const PickleGlobal& global) {
  return global.module == "torch._utils" &&
         (IsPlainRebuild(global.name) || IsParameterRebuild(global.name) ||
          FindNotRead(global.name) != nullptr);
}

// a * b + c of numbers that are not negative; nullopt if it does not fit.
std::optional<int64_t> MultiplyAdd(int64_t a, int64_t b, int64_t c) {
  int64_t product;
  int64_t sum;
  if (__builtin_mul_overflow(a, b, &product) ||
      __builtin_add_overflow(product, c, &sum)) {
    return std::nullopt;
  }
  return sum;
}

std::string Short(PickleValue value) { return PickleText(value, 100); }

}  // namespace

bool IsTensorRecord(PickleValue value) {
  const PickleRecord* const record = value.record();
  if (record == nullptr) return false;
  const PickleGlobal* const global = record->callable().global();
  return global != nullptr && (IsRebuild(*global) || IsFromType(*global));
}

absl::Status TorchTensorReader::Error(absl::StatusCode code,
                                      absl::string_view name,
                                      absl::string_view what) const {
  return absl::Status(code, absl::StrCat(file_name_, ": tensor ",
                                         QuotedName(name), ": ", what));
}

absl::Status TorchTensorReader::Damaged(absl::string_view name,
                                        absl::string_view what) const {
  return Error(absl::StatusCode::kDataLoss, name,
               absl::StrCat(what,
                            "; the file is damaged: download or save it "
                            "again"));
}

// Goes through parameters and subclasses to the tensor inside: what is in
// `call` first is a tensor record's, and in the end one of IsPlainRebuild().
absl::Status TorchTensorReader::Unwrap(absl::string_view name,
                                       Call* call) const {
  PickleValue value = call->args[0];
  for (int i = 0; i < kMaxWrappers; ++i) {
    const PickleRecord* const record = value.record();
    const PickleGlobal* global =
        record == nullptr ? nullptr : record->callable().global();
    if (global == nullptr || (!IsRebuild(*global) && !IsFromType(*global))) {
      return Damaged(name, absl::StrCat("found ", Short(value),
                                        " in a parameter, but a tensor is "
                                        "expected"));
    }
    absl::Span<const PickleValue> args = record->args();
    if (IsFromType(*global)) {
      // (function, class, its arguments, state)
      if (args.size() != 4 || args[0].global() == nullptr ||
          !IsRebuild(*args[0].global()) || args[1].global() == nullptr ||
          !args[2].is(PickleKind::kTuple)) {
        return Damaged(name, absl::StrCat("found ", Short(value),
                                          ", but a function of torch._utils, a "
                                          "class, arguments and a state are "
                                          "expected"));
      }
      const PickleGlobal& type = *args[1].global();
      if (ClassifyPickleGlobal(type.module, type.name) !=
          PickleGlobalClass::kKnown) {
        return Error(
            absl::StatusCode::kUnimplemented, name,
            absl::StrCat("is of class ",
                         QuotedName(absl::StrCat(type.module, ".", type.name)),
                         ", which is not known here; save plain "
                         "tensors"));
      }
      global = args[0].global();
      args = args[2].items();
    }
    const NotRead* const not_read = FindNotRead(global->name);
    if (not_read != nullptr) {
      return Error(absl::StatusCode::kUnimplemented, name,
                   absl::StrCat("is ", not_read->kind,
                                ", which is not read here; save a dense copy"));
    }
    if (IsPlainRebuild(global->name)) {
      *call = {global->name, args};
      return absl::OkStatus();
    }
    if (args.empty()) return Damaged(name, "is a parameter without a tensor");
    value = args[0];
  }
  return Damaged(name,
                 absl::StrCat("is wrapped more than ", kMaxWrappers, " times"));
}

// What the persistent id's class says of its elements.
absl::Status TorchTensorReader::ReadElements(absl::string_view name,
                                             PickleValue type,
                                             StorageView* view) const {
  const PickleGlobal* const global = type.global();
  const bool is_torch =
      global != nullptr &&
      (global->module == "torch" || global->module == "torch.cuda" ||
       global->module == "torch.storage");
  if (is_torch &&
      (global->name == "UntypedStorage" || global->name == "_UntypedStorage")) {
    return absl::OkStatus();
  }
  for (const StorageType& known : kStorageTypes) {
    if (is_torch && known.name == global->name) {
      view->dtype = known.dtype;
      return absl::OkStatus();
    }
  }
  if (is_torch && (absl::StartsWith(global->name, "QInt") ||
                   absl::StartsWith(global->name, "QUInt"))) {
    return Error(absl::StatusCode::kUnimplemented, name,
                 absl::StrCat("is quantised (", QuotedName(global->name),
                              "), which is not read here; save a dense copy"));
  }
  return Error(absl::StatusCode::kUnimplemented, name,
               absl::StrCat("has a storage of type ", Short(type),
                            ", which is not known here; save the checkpoint "
                            "with a released torch"));
}

// (key of the view, offset, size), both in elements, or None.
absl::Status TorchTensorReader::ReadLegacyView(absl::string_view name,
                                               PickleValue metadata,
                                               StorageView* view) const {
  if (metadata.is(PickleKind::kNone)) return absl::OkStatus();
  const absl::Span<const PickleValue> items = metadata.items();
  if (!metadata.is(PickleKind::kTuple) || items.size() != 3 ||
      !items[1].is(PickleKind::kInt) || !items[2].is(PickleKind::kInt) ||
      items[1].int_value() < 0 || items[2].int_value() < 0) {
    return Damaged(name, absl::StrCat("views its storage by ", Short(metadata),
                                      ", but a key, an offset and a size are "
                                      "expected"));
  }
  view->offset = items[1].int_value();
  view->size = items[2].int_value();
  if (view->offset > view->numel || view->size > view->numel - view->offset) {
    return Damaged(
        name, absl::StrCat("views ", view->size, " elements from ",
                           view->offset, " on of storage ",
                           QuotedName(view->key), ", which has ", view->numel));
  }
  return absl::OkStatus();
}

// ('storage', class, key, device, number of elements[, view])
absl::Status TorchTensorReader::ReadView(absl::string_view name,
                                         PickleValue value,
                                         StorageView* view) const {
  const PickleValue id = value.persistent_id();
  const absl::Span<const PickleValue> items = id.items();
  if (!id.is(PickleKind::kTuple) || (items.size() != 5 && items.size() != 6) ||
      items[0].text() != "storage") {
    return Damaged(name, absl::StrCat("found ", Short(value),
                                      ", but a storage is expected"));
  }
  const absl::Status elements = ReadElements(name, items[1], view);
  if (!elements.ok()) return elements;
  const PickleValue key = items[2];
  if (key.is(PickleKind::kString) || key.is(PickleKind::kBytes)) {
    view->key = std::string(key.text());
  } else if (key.is(PickleKind::kInt)) {
    view->key = absl::StrCat(key.int_value());
  } else {
    return Damaged(name,
                   absl::StrCat("found ", Short(key),
                                ", but the key of a storage is expected"));
  }
  const PickleValue numel = items[4];
  const int64_t size = view->dtype.has_value() ? DtypeSize(*view->dtype) : 1;
  view->numel = numel.int_value();
  if (!numel.is(PickleKind::kInt) || view->numel < 0 ||
      view->numel > std::numeric_limits<int64_t>::max() / size) {
    return Damaged(name,
                   absl::StrCat("its storage ", QuotedName(view->key), " has ",
                                Short(numel), " elements, which cannot be"));
  }
  view->nbytes = view->numel * size;
  view->size = view->numel;
  if (items.size() == 5) return absl::OkStatus();
  return ReadLegacyView(name, items[5], view);
}

absl::Status TorchTensorReader::ReadInts(absl::string_view name,
                                         absl::string_view what,
                                         PickleValue value,
                                         std::vector<int64_t>* out) const {
  const PickleRecord* const record = value.record();
  if (record != nullptr && record->Calls("torch", "Size") &&
      record->args().size() == 1) {
    value = record->args()[0];
  }
  if (!value.is(PickleKind::kTuple) && !value.is(PickleKind::kList)) {
    return Damaged(name, absl::StrCat("its ", what, " is ", Short(value),
                                      ", but a tuple is expected"));
  }
  if (value.items().size() > kMaxTorchRank) {
    return Damaged(name, absl::StrCat("has ", value.items().size(),
                                      " dimensions, but torch has ",
                                      kMaxTorchRank, " at most"));
  }
  for (const PickleValue item : value.items()) {
    if (!item.is(PickleKind::kInt) || item.int_value() < 0) {
      return Damaged(name, absl::StrCat("its ", what, " is ", Short(value),
                                        ", but numbers from 0 on are "
                                        "expected"));
    }
    out->push_back(item.int_value());
  }
  return absl::OkStatus();
}

// _rebuild_tensor_v3 has a dtype of its own; of the others it is the storage's.
// Both refuse tensors whose elements are not what the storage holds.
absl::Status TorchTensorReader::ReadDtype(const Call& call,
                                          const StorageView& view,
                                          TorchTensor* tensor) const {
  const bool is_v3 = call.function == "_rebuild_tensor_v3";
  const size_t metadata = is_v3 ? 7 : 6;
  if (call.args.size() > metadata) {
    for (const PickleEntry& entry : call.args[metadata].entries()) {
      if (entry.value.bool_value()) {
        return Error(absl::StatusCode::kUnimplemented, tensor->name,
                     absl::StrCat("is a lazy view (", Short(entry.key),
                                  "), which is not read here; save "
                                  "tensor.resolve_conj().resolve_neg()"));
      }
    }
  }
  if (!is_v3) {
    tensor->dtype = view.dtype.value_or(Dtype::kUint8);
    return absl::OkStatus();
  }
  const PickleGlobal* const global = call.args[6].global();
  if (global == nullptr || global->module != "torch") {
    return Damaged(tensor->name,
                   absl::StrCat("its dtype is ", Short(call.args[6]),
                                ", but one of torch's is "
                                "expected"));
  }
  const absl::StatusOr<Dtype> dtype =
      DtypeFromTorch(absl::StrCat("torch.", global->name));
  if (!dtype.ok()) {
    return Error(dtype.status().code(), tensor->name, dtype.status().message());
  }
  tensor->dtype = *dtype;
  return absl::OkStatus();
}

// Finds the first element behind the tensor, and refuses one that is behind
// its view. A tensor without elements needs none: it gets plain strides.
absl::Status TorchTensorReader::CheckExtent(const StorageView& view,
                                            TorchTensor* tensor,
                                            int64_t* end) const {
  const std::string shape = ShapeText(tensor->shape);
  if (tensor->strides.size() != tensor->shape.size()) {
    return Damaged(tensor->name,
                   absl::StrCat("has shape ", shape, ", but ",
                                tensor->strides.size(), " strides"));
  }
  *end = 0;
  if (std::find(tensor->shape.begin(), tensor->shape.end(), 0) !=
      tensor->shape.end()) {
    tensor->storage_offset = 0;
    std::fill(tensor->strides.begin(), tensor->strides.end(), 1);
    return absl::OkStatus();
  }
  std::optional<int64_t> count = 1;
  std::optional<int64_t> last =
      MultiplyAdd(1, tensor->storage_offset, view.offset);
  for (size_t i = 0; i < tensor->shape.size() && count && last; ++i) {
    count = MultiplyAdd(*count, tensor->shape[i], 0);
    last = MultiplyAdd(tensor->shape[i] - 1, tensor->strides[i], *last);
  }
  if (count) count = MultiplyAdd(*count, DtypeSize(tensor->dtype), 0);
  if (!count || !last || *last == std::numeric_limits<int64_t>::max()) {
    return Damaged(tensor->name, absl::StrCat("shape ", shape, " with strides ",
                                              ShapeText(tensor->strides),
                                              " from ", tensor->storage_offset,
                                              " on counts more than 2^63"));
  }
  *end = *last + 1;
  if (view.size<view.numel&& * end> view.offset + view.size) {
    return Damaged(
        tensor->name,
        absl::StrCat("shape ", shape, " with strides ",
                     ShapeText(tensor->strides), " from ",
                     tensor->storage_offset, " on needs ", *end - view.offset,
                     " elements, but its view of storage ",
                     QuotedName(view.key), " has ", view.size));
  }
  tensor->storage_offset += view.offset;
  return absl::OkStatus();
}

int TorchTensorReader::StorageIndex(const StorageView& view) {
  const auto [slot, is_new] = storage_by_key_.try_emplace(
      view.key, static_cast<int>(objects_->storages.size()));
  if (is_new) objects_->storages.push_back(TorchStorage{view.key, 0});
  TorchStorage& storage = objects_->storages[slot->second];
  storage.nbytes = std::max(storage.nbytes, view.nbytes);
  return slot->second;
}

absl::Status TorchTensorReader::Read(PickleValue value, std::string name) {
  const PickleValue wrapped[] = {value};
  Call call{"", wrapped};
  absl::Status status = Unwrap(name, &call);
  if (!status.ok()) return status;
  // (storage, offset, size, stride[, requires_grad, hooks[, ..]])
  const size_t least = call.function == "_rebuild_tensor"      ? 4
                       : call.function == "_rebuild_tensor_v2" ? 6
                                                               : 7;
  const size_t most = call.function == "_rebuild_tensor" ? 4 : least + 1;
  if (call.args.size() < least || call.args.size() > most) {
    return Damaged(name,
                   absl::StrCat(call.function, " has ", call.args.size(),
                                " arguments, but ", least, " are expected"));
  }
  TorchTensor tensor;
  tensor.name = std::move(name);
  StorageView view;
  status = ReadView(tensor.name, call.args[0], &view);
  if (!status.ok()) return status;
  const PickleValue offset = call.args[1];
  if (!offset.is(PickleKind::kInt) || offset.int_value() < 0) {
    return Damaged(tensor.name,
                   absl::StrCat("its storage offset is ", Short(offset),
                                ", but a number from 0 on is "
                                "expected"));
  }
  tensor.storage_offset = offset.int_value();
  status = ReadInts(tensor.name, "shape", call.args[2], &tensor.shape);
  if (status.ok()) {
    status = ReadInts(tensor.name, "stride", call.args[3], &tensor.strides);
  }
  if (status.ok()) status = ReadDtype(call, view, &tensor);
  int64_t end = 0;
  if (status.ok()) status = CheckExtent(view, &tensor, &end);
  if (!status.ok()) return status;
  tensor.storage = StorageIndex(view);
  objects_->tensors.push_back(std::move(tensor));
  ends_.push_back(end);
  return absl::OkStatus();
}

absl::Status TorchTensorReader::CheckStorages() const {
  for (size_t i = 0; i < ends_.size(); ++i) {
    const TorchTensor& tensor = objects_->tensors[i];
    const TorchStorage& storage = objects_->storages[tensor.storage];
    const int64_t size = DtypeSize(tensor.dtype);
    if (ends_[i] <= storage.nbytes / size) continue;
    return Damaged(
        tensor.name,
        absl::StrCat("shape ", ShapeText(tensor.shape), " with strides ",
                     ShapeText(tensor.strides), " from ", tensor.storage_offset,
                     " on needs ", ends_[i], " ", DtypeName(tensor.dtype),
                     " elements, but storage ", QuotedName(storage.key),
                     " has ", storage.nbytes / size));
  }
  return absl::OkStatus();
}

}  // namespace checkpoint_internal
}  // namespace pretrained
