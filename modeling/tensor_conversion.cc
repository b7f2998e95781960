#include "modeling/tensor_conversion.h"

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "c10/core/ScalarType.h"
#include "c10/core/StorageImpl.h"
#include "modeling/catch_torch.h"
#include "modeling/module.h"

namespace pretrained {
namespace {

// A view of memory: tensors of the same one hold the same numbers.
using View = std::tuple<const c10::StorageImpl*, int64_t, std::vector<int64_t>,
                        std::vector<int64_t>, at::ScalarType>;

View ViewOf(const at::Tensor& tensor) {
  return {tensor.storage().unsafeGetStorageImpl(), tensor.storage_offset(),
          tensor.sizes().vec(), tensor.strides().vec(), tensor.scalar_type()};
}

class Converter {
 public:
  explicit Converter(const TensorConversion& conversion)
      : conversion_(conversion) {}

  bool Changes(const at::Tensor& tensor) const {
    return DeviceOf(tensor) != tensor.device() ||
           DtypeOf(tensor) != tensor.scalar_type();
  }

  at::Device DeviceOf(const at::Tensor& tensor) const {
    if (!conversion_.device.has_value()) return tensor.device();
    // "cuda" is the current one: whichever the tensor is on will do.
    const bool same_kind = conversion_.device->type() == tensor.device().type();
    return same_kind && !conversion_.device->has_index() ? tensor.device()
                                                         : *conversion_.device;
  }

  at::Tensor Converted(const at::Tensor& tensor) const {
    return tensor.detach().to(DeviceOf(tensor), DtypeOf(tensor));
  }

 private:
  at::ScalarType DtypeOf(const at::Tensor& tensor) const {
    return tensor.is_floating_point()
               ? conversion_.dtype.value_or(tensor.scalar_type())
               : tensor.scalar_type();
  }

  const TensorConversion conversion_;
};

absl::Status Check(const std::vector<Module::NamedSlot>& slots,
                   const TensorConversion& conversion) {
  if (conversion.dtype.has_value() && !at::isFloatingType(*conversion.dtype)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a model cannot be converted to ", c10::toString(*conversion.dtype),
        ": give a floating dtype, such as float16"));
  }
  if (!conversion.device.has_value() || conversion.device->is_meta()) {
    return absl::OkStatus();
  }
  for (const Module::NamedSlot& slot : slots) {
    if (!slot.tensor.is_meta()) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "'", slot.name, "' is on the meta device and has no values to move to ",
        conversion.device->str(), ": load the model's weights first"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ConvertTensors(Module& root, const TensorConversion& conversion) {
  const std::vector<Module::NamedSlot> slots = root.TensorSlots();
  absl::Status status = Check(slots, conversion);
  if (!status.ok()) return status;
  return CatchTorch("converting a model", [&]() -> absl::Status {
    at::NoGradGuard no_grad;
    const Converter converter(conversion);
    absl::flat_hash_set<const c10::TensorImpl*> seen;
    absl::flat_hash_map<View, at::Tensor> converted;  // Of buffers.
    // For the slots, where the object cannot stay the same.
    absl::flat_hash_map<std::string, at::Tensor> others;
    for (const Module::NamedSlot& slot : slots) {
      at::Tensor tensor = slot.tensor;
      if (!seen.insert(tensor.unsafeGetTensorImpl()).second ||
          !converter.Changes(tensor)) {
        continue;
      }
      at::Tensor changed;
      if (slot.is_buffer && !tensor.is_meta()) {
        at::Tensor& first = converted[ViewOf(tensor)];
        if (!first.defined()) first = converter.Converted(tensor);
        changed = first.alias();
      } else {
        changed = converter.Converted(tensor);
      }
      if (converter.DeviceOf(tensor).type() != tensor.device().type()) {
        others.emplace(slot.name, std::move(changed));
        continue;
      }
      const at::Tensor gradient = tensor.grad();
      if (gradient.defined()) tensor.mutable_grad().reset();
      tensor.set_data(changed);
      if (gradient.defined()) {
        tensor.mutable_grad() = converter.Converted(gradient);
      }
    }
    return root.ReplaceTensors(others);
  });
}

}  // namespace pretrained
