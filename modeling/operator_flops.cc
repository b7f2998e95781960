#include "modeling/operator_flops.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "ATen/ExpandUtils.h"
#include "ATen/core/Tensor.h"
#include "ATen/core/ivalue.h"
#include "absl/base/no_destructor.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "c10/util/ArrayRef.h"

namespace pretrained {
namespace {

using Inputs = c10::ArrayRef<c10::IValue>;
using Formula = OperatorFlops (*)(Inputs inputs);

bool IsTensor(Inputs inputs, size_t index) {
  return index < inputs.size() && inputs[index].isTensor() &&
         inputs[index].toTensor().defined();
}

bool IsFloating(const c10::IValue& value) {
  return value.isTensor() && value.toTensor().defined() &&
         value.toTensor().is_floating_point();
}

int64_t NumelOf(Inputs inputs, size_t index) {
  return IsTensor(inputs, index) ? inputs[index].toTensor().numel() : 0;
}

int64_t SizeOf(Inputs inputs, size_t index, int64_t dim) {
  return IsTensor(inputs, index) ? inputs[index].toTensor().size(dim) : 0;
}

// Numbers of what the tensors among `inputs` are broadcast to, if the result is
// floating.
int64_t BroadcastNumel(Inputs inputs) {
  std::vector<int64_t> sizes;
  bool is_floating = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].isDouble()) is_floating = true;
    if (!IsTensor(inputs, i)) continue;
    is_floating = is_floating || IsFloating(inputs[i]);
    sizes = at::infer_size(sizes, inputs[i].toTensor().sizes());
  }
  if (!is_floating) return 0;
  int64_t numel = 1;
  for (const int64_t size : sizes) numel *= size;
  return numel;
}

template <int64_t kEach>
OperatorFlops PerResult(Inputs inputs) {
  return {.other = kEach * BroadcastNumel(inputs)};
}

// Of the first tensor, if it is floating.
template <int64_t kEach>
OperatorFlops PerInput(Inputs inputs) {
  if (inputs.empty() || !IsFloating(inputs[0])) return {};
  return {.other = kEach * NumelOf(inputs, 0)};
}

// add(x, y, alpha): x + alpha y.
OperatorFlops Sum(Inputs inputs) {
  const bool has_factor = inputs.size() > 2 && inputs[2].isScalar() &&
                          !inputs[2].toScalar().equal(1);
  // The factor does not make the result floating.
  const int64_t numel =
      BroadcastNumel(inputs.slice(0, inputs.size() > 2 ? 2 : inputs.size()));
  return {.other = (has_factor ? 2 : 1) * numel};
}

// clamp(x, min, max)
OperatorFlops Clamp(Inputs inputs) {
  int64_t bounds = 0;
  for (size_t i = 1; i < inputs.size(); ++i) bounds += !inputs[i].isNone();
  return {.other = bounds * PerInput<1>(inputs).other};
}

OperatorFlops Gelu(Inputs inputs) {
  const bool is_tanh = inputs.size() > 1 && inputs[1].isString() &&
                       inputs[1].toStringRef() == "tanh";
  return is_tanh ? PerInput<8>(inputs) : PerInput<5>(inputs);
}

// native_layer_norm(x, normalized_shape, weight, bias, eps)
OperatorFlops LayerNorm(Inputs inputs) {
  const int64_t each = 5 + IsTensor(inputs, 2) + IsTensor(inputs, 3);
  return {.other = each * PerInput<1>(inputs).other};
}

// [m, k] x [k, n], behind `first` other arguments; a batch of them, with as
// many rows before.
OperatorFlops Product(Inputs inputs, size_t first) {
  if (!IsTensor(inputs, first) || !IsFloating(inputs[first])) return {};
  return {.matmul = 2 * NumelOf(inputs, first) * SizeOf(inputs, first + 1, -1)};
}

OperatorFlops Matmul(Inputs inputs) { return Product(inputs, 0); }

// addmm(c, a, b): c is broadcast to the result.
OperatorFlops AddMatmul(Inputs inputs) {
  OperatorFlops flops = Product(inputs, 1);
  const int64_t inner = SizeOf(inputs, 1, -1);
  if (inner > 0) flops.other = flops.matmul / (2 * inner);
  return flops;
}

// mv(a, x), dot(x, y)
OperatorFlops MatrixVector(Inputs inputs) {
  return {.matmul = 2 * PerInput<1>(inputs).other};
}

// addmv(c, a, x)
OperatorFlops AddMatrixVector(Inputs inputs) {
  OperatorFlops flops = MatrixVector(inputs.slice(1));
  if (flops.matmul > 0) flops.other = SizeOf(inputs, 1, 0);
  return flops;
}

// scaled_dot_product_attention(query [.., q, d], key [.., k, d],
// value [.., k, v], mask, ..)
OperatorFlops Attention(Inputs inputs) {
  if (!IsTensor(inputs, 0) || !IsTensor(inputs, 2)) return {};
  const int64_t inner = SizeOf(inputs, 0, -1);
  const int64_t queries = inner > 0 ? NumelOf(inputs, 0) / inner : 0;
  const int64_t scores = queries * SizeOf(inputs, 1, -2);
  constexpr int64_t kScale = 1;
  constexpr int64_t kSoftmax = 5;
  return {.matmul = 2 * scores * (inner + SizeOf(inputs, 2, -1)),
          .other = scores * (kScale + kSoftmax + IsTensor(inputs, 3))};
}

// nll_loss_forward(scores, labels, ..)
OperatorFlops PerLabel(Inputs inputs) { return {.other = NumelOf(inputs, 1)}; }

// few_row_linear(x [.., in], weight, bias), whose weight is [out, in] or
// [in, out].
OperatorFlops FewRowLinear(Inputs inputs) {
  const int64_t in = SizeOf(inputs, 0, -1);
  if (in == 0) return {};
  const int64_t rows = NumelOf(inputs, 0) / in;
  const int64_t out = NumelOf(inputs, 1) / in;
  return {.matmul = 2 * rows * in * out,
          .other = IsTensor(inputs, 2) ? rows * out : 0};
}

using FormulaTable = absl::flat_hash_map<absl::string_view, Formula>;

const FormulaTable& Formulas() {
  static const absl::NoDestructor<FormulaTable> formulas([] {
    FormulaTable table = {
        {"mm", Matmul},
        {"bmm", Matmul},
        {"addmm", AddMatmul},
        {"baddbmm", AddMatmul},
        {"mv", MatrixVector},
        {"dot", MatrixVector},
        {"vdot", MatrixVector},
        {"addmv", AddMatrixVector},
        {"scaled_dot_product_attention", Attention},
        {"few_row_linear", FewRowLinear},
        {"_softmax", PerInput<5>},
        {"_safe_softmax", PerInput<5>},
        {"_log_softmax", PerInput<5>},
        {"native_layer_norm", LayerNorm},
        {"gelu", Gelu},
        {"mish", PerInput<5>},
        {"silu", PerInput<4>},
        {"sigmoid", PerInput<4>},
        {"log_sigmoid_forward", PerInput<4>},
        {"add", Sum},
        {"sub", Sum},
        {"rsub", Sum},
        {"clamp", Clamp},
        {"mse_loss", PerInput<3>},
        {"nll_loss_forward", PerLabel},
        {"nll_loss2d_forward", PerLabel},
        {"native_dropout", PerInput<2>},
    };
    for (const absl::string_view name : {"mul", "div", "maximum", "minimum"}) {
      table[name] = PerResult<1>;
    }
    for (const absl::string_view name :
         {"pow",   "remainder", "fmod",       "exp",      "log",
          "log1p", "sin",       "cos",        "tanh",     "erf",
          "sqrt",  "rsqrt",     "reciprocal", "neg",      "abs",
          "relu",  "clamp_min", "clamp_max",  "hardtanh", "sum",
          "mean",  "prod",      "cumsum",     "amax",     "amin"}) {
      table[name] = PerInput<1>;
    }
    return table;
  }());
  return *formulas;
}

}  // namespace

std::optional<OperatorFlops> FlopsOfOperator(
    absl::string_view name, c10::ArrayRef<c10::IValue> inputs) {
  const auto formula = Formulas().find(name);
  if (formula == Formulas().end()) return std::nullopt;
  return formula->second(inputs);
}

bool ComputesNothing(absl::string_view name) {
  using Names = absl::flat_hash_set<absl::string_view>;
  static const absl::NoDestructor<Names> names(Names(
      {// The same numbers, seen another way.
       "view", "_unsafe_view", "_reshape_alias", "reshape", "expand",
       "expand_as", "permute", "transpose", "t", "select", "slice", "narrow",
       "squeeze", "unsqueeze", "unflatten", "flatten", "split",
       "split_with_sizes", "chunk", "unbind", "unfold", "diagonal",
       "as_strided", "alias", "detach", "view_as", "movedim", "lift_fresh",
       "resolve_conj", "resolve_neg", "contiguous", "set_data", "set",
       "result_type", "can_cast",
       // Copies, whole or in part.
       "clone", "copy", "_to_copy", "to", "type_as", "cat", "stack", "repeat",
       "repeat_interleave", "flip", "roll", "tril", "triu", "index",
       "index_select", "index_put", "_index_put_impl", "gather", "scatter",
       "embedding", "masked_fill", "masked_select", "where", "fill", "zero",
       "constant_pad_nd", "item", "_local_scalar_dense", "dropout", "resize",
       // New ones.
       "empty_like", "zeros_like", "ones_like", "full_like", "rand_like",
       "randn_like", "new_empty", "new_zeros", "new_ones", "new_full",
       "new_empty_strided", "bernoulli", "uniform", "normal", "random",
       // Comparisons.
       "eq", "ne", "lt", "le", "gt", "ge", "isinf", "isnan", "isfinite", "any",
       "all", "logical_not", "logical_and", "logical_or", "argmax", "argmin",
       "max", "min", "aminmax", "topk", "sort", "equal", "nonzero",
       "is_nonzero", "is_same_size"}));
  return names->contains(name);
}

bool HasFloatingTensor(c10::ArrayRef<c10::IValue> inputs) {
  for (const c10::IValue& input : inputs) {
    if (IsFloating(input)) return true;
    if (!input.isTensorList()) continue;
    for (const at::Tensor& tensor : input.toTensorVector()) {
      if (tensor.defined() && tensor.is_floating_point()) return true;
    }
  }
  return false;
}

}  // namespace pretrained
