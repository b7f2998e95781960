#include "modeling/meta_kernels.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "ATen/ExpandUtils.h"
#include "ATen/WrapDimUtils.h"
#include "ATen/core/dispatch/Dispatcher.h"
#include "c10/core/DispatchKey.h"
#include "c10/core/Scalar.h"
#include "c10/util/Exception.h"
#include "torch/library.h"

namespace pretrained {
namespace {

at::Tensor IndexSelect(const at::Tensor& self, int64_t dim,
                       const at::Tensor& index) {
  std::vector<int64_t> sizes = self.sizes().vec();
  if (!sizes.empty()) {
    sizes[at::maybe_wrap_dim(dim, self.dim())] = index.numel();
  }
  return at::empty(sizes, self.options());
}

at::Tensor Where(const at::Tensor& condition, const at::Tensor& self,
                 const at::Tensor& other) {
  const std::vector<int64_t> sizes = at::infer_size(
      condition.sizes(), at::infer_size(self.sizes(), other.sizes()));
  return at::empty(sizes,
                   condition.options().dtype(at::result_type(self, other)));
}

at::Tensor& WhereOut(const at::Tensor& condition, const at::Tensor& self,
                     const at::Tensor& other, at::Tensor& out) {
  out.resize_(at::infer_size(condition.sizes(),
                             at::infer_size(self.sizes(), other.sizes())));
  return out;
}

at::Tensor Flip(const at::Tensor& self, at::IntArrayRef) {
  return at::empty_like(self);
}

at::Tensor Relu(const at::Tensor& self) { return at::empty_like(self); }

// The second is room that the backward pass needs elsewhere.
std::tuple<at::Tensor, at::Tensor> LogSigmoid(const at::Tensor& self) {
  return {at::empty_like(self), at::empty({0}, self.options())};
}

// The second says what was kept.
std::tuple<at::Tensor, at::Tensor> Dropout(const at::Tensor& self, double,
                                           std::optional<bool>) {
  return {at::empty_like(self),
          at::empty_like(self, self.options().dtype(at::kBool))};
}

// Then the mean and the reciprocal of the deviation of each row.
std::tuple<at::Tensor, at::Tensor, at::Tensor> LayerNorm(
    const at::Tensor& self, at::IntArrayRef normalized,
    const std::optional<at::Tensor>&, const std::optional<at::Tensor>&,
    double) {
  std::vector<int64_t> rows = self.sizes().vec();
  TORCH_CHECK(rows.size() >= normalized.size(), "layer_norm: ", self.sizes(),
              " has fewer dimensions than ", normalized);
  std::fill(rows.end() - static_cast<int64_t>(normalized.size()), rows.end(),
            1);
  return {at::empty(self.sizes(), self.options()),
          at::empty(rows, self.options()), at::empty(rows, self.options())};
}

at::Tensor Abs(const at::Tensor& self) { return at::empty_like(self); }

at::Tensor& AbsOut(const at::Tensor& self, at::Tensor& out) {
  out.resize_(self.sizes());
  return out;
}

// and, or
at::Tensor& LogicalOut(const at::Tensor& self, const at::Tensor& other,
                       at::Tensor& out) {
  out.resize_(at::infer_size(self.sizes(), other.sizes()));
  return out;
}

at::Tensor& LogicalNotOut(const at::Tensor& self, at::Tensor& out) {
  out.resize_(self.sizes());
  return out;
}

at::Tensor ReverseSub(const at::Tensor& self, const at::Tensor& other,
                      const at::Scalar& alpha) {
  return at::sub(other, self, alpha);
}

class Registration {
 public:
  Registration()
      : library_(torch::Library::IMPL, "aten", c10::DispatchKey::Meta, __FILE__,
                 __LINE__) {
    Add("index_select", "", IndexSelect);
    Add("where", "self", Where);
    Add("where", "self_out", WhereOut);
    Add("flip", "", Flip);
    Add("relu", "", Relu);
    Add("log_sigmoid_forward", "", LogSigmoid);
    Add("native_dropout", "", Dropout);
    Add("native_layer_norm", "", LayerNorm);
    Add("rsub", "Tensor", ReverseSub);
    Add("abs", "", Abs);
    Add("abs", "out", AbsOut);
    Add("logical_and", "out", LogicalOut);
    Add("logical_or", "out", LogicalOut);
    Add("logical_not", "out", LogicalNotOut);
  }

 private:
  template <typename Function>
  void Add(const std::string& name, const std::string& overload,
           Function function) {
    const auto found =
        c10::Dispatcher::singleton().findSchema({"aten::" + name, overload});
    if (!found.has_value() ||
        found->hasKernelForDispatchKey(c10::DispatchKey::Meta)) {
      return;
    }
    const std::string full = overload.empty() ? name : name + "." + overload;
    library_.impl(full.c_str(), function);
  }

  torch::Library library_;
};

}  // namespace

void RegisterMetaKernels() {
  // Never destroyed: kernels must outlive whoever may still call them.
  static const Registration* const registration = new Registration();
  static_cast<void>(registration);
}

}  // namespace pretrained
