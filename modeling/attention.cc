#include "modeling/attention.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "modeling/one_query_attention.h"
#include "modeling/wants_gradient.h"

namespace pretrained {
namespace {

// The kernel adds a float16 bias in float32, where its lowest value does not
// swallow the score: a row that sees no key would be other than the sum in
// float16, which is the same for every key.
bool HasNarrowBias(const AttentionArguments& arguments) {
  return arguments.bias.defined() &&
         arguments.bias.scalar_type() == at::kHalf &&
         arguments.query.scalar_type() == at::kHalf;
}

void CheckFusible(const AttentionArguments& arguments) {
  constexpr char kNextStep[] =
      " is not there in a model that is converted to BetterTransformer, whose "
      "attention is one fused kernel; reverse that first";
  TORCH_CHECK(!arguments.need_probabilities, "output_attentions", kNextStep);
  TORCH_CHECK(!arguments.head_mask.defined(), "head_mask", kNextStep);
}

// LibTorch's fused kernel keeps the logarithm of each row's sum; where a row
// sees no key, the lowest value swallows it, and gradients come out wrong.
bool LosesGradients(const AttentionArguments& arguments) {
  return arguments.bias.defined() &&
         WantsGradient(arguments.query, arguments.key, arguments.value,
                       arguments.bias);
}

bool IsFusible(const AttentionArguments& arguments) {
  if (arguments.always_fused) {
    CheckFusible(arguments);
    return !LosesGradients(arguments);
  }
  return !arguments.need_probabilities && !arguments.head_mask.defined() &&
         arguments.dropout_probability == 0.0 && !HasNarrowBias(arguments) &&
         !LosesGradients(arguments);
}

// The bias of heads `part`, `part` + parts, .. of all heads.
c10::optional<at::Tensor> BiasOfPart(const AttentionArguments& arguments,
                                     int64_t parts, int64_t part) {
  if (!arguments.bias.defined()) return c10::nullopt;
  const at::ScalarType type = arguments.query.scalar_type();
  // The kernel takes a float32 bias for half dtypes; its lowest value would be
  // -infinity in float16.
  const bool stays = arguments.bias.scalar_type() == at::kFloat &&
                     (type == at::kHalf || type == at::kBFloat16);
  const at::Tensor bias = stays ? arguments.bias : arguments.bias.to(type);
  if (parts == 1 || bias.dim() < 4 || bias.size(1) == 1) return bias;
  return bias.unflatten(1, {-1, parts}).select(2, part);
}

at::Tensor FusedPart(const AttentionArguments& arguments,
                     const at::Tensor& query, int64_t parts, int64_t part) {
  return at::scaled_dot_product_attention(
      query, arguments.key, arguments.value, BiasOfPart(arguments, parts, part),
      arguments.dropout_probability, arguments.is_causal, arguments.scale);
}

// The CPU's fused kernel wants as many key heads as query heads, and LibTorch's
// own `enable_gqa` leaves it for a slow one. Keys need not be repeated, though:
// one query of each of several heads is the same as several queries of one
// head; and where there are more, each head of a group is a call of its own.
at::Tensor FusedByGroup(const AttentionArguments& arguments) {
  const at::Tensor& query = arguments.query;
  const int64_t groups = arguments.key.size(1);
  const int64_t parts = query.size(1) / groups;
  const at::Tensor& bias = arguments.bias;
  const bool one_bias = !bias.defined() || bias.dim() < 4 || bias.size(1) == 1;
  if (query.size(2) == 1 && one_bias) {
    const at::Tensor rows =
        query.reshape({query.size(0), groups, parts, query.size(3)});
    return FusedPart(arguments, rows, 1, 0).reshape(query.sizes());
  }
  const at::Tensor by_group = query.unflatten(1, {groups, parts});
  std::vector<at::Tensor> contexts;  // Each [b, q, g, d].
  for (int64_t part = 0; part < parts; ++part) {
    contexts.push_back(
        FusedPart(arguments, by_group.select(2, part), parts, part)
            .transpose(1, 2));
  }
  return at::stack(contexts, 3).flatten(2, 3).transpose(1, 2);
}

at::Tensor Fused(const AttentionArguments& arguments) {
  if (arguments.key.size(1) == arguments.query.size(1)) {
    return FusedPart(arguments, arguments.query, 1, 0);
  }
  return FusedByGroup(arguments);
}

// x [b, h, n, m] times y [b, g, m, p], each of whose heads serves h / g heads
// of x in a row: [b, h, n, p].
at::Tensor MatmulByGroup(const at::Tensor& x, const at::Tensor& y) {
  const int64_t groups = y.size(1);
  if (x.size(1) == groups) return at::matmul(x, y);
  const at::Tensor rows =
      x.reshape({x.size(0), groups, x.size(1) / groups * x.size(2), x.size(3)});
  return at::matmul(rows, y).view({x.size(0), x.size(1), x.size(2), y.size(3)});
}

}  // namespace

AttentionResult Attend(const AttentionArguments& arguments) {
  if (IsFusible(arguments)) {
    std::optional<at::Tensor> context = AttendOneQuery(arguments);
    return {.context =
                context.has_value() ? *std::move(context) : Fused(arguments)};
  }
  at::Tensor scores =
      MatmulByGroup(arguments.query, arguments.key.transpose(-1, -2));
  if (arguments.scale != 1.0) scores = scores * arguments.scale;
  if (arguments.bias.defined()) scores = scores + arguments.bias;
  if (arguments.is_causal) {
    const at::Tensor later =
        at::ones({scores.size(2), scores.size(3)},
                 at::dtype(at::kBool).device(scores.device()))
            .triu(1);
    scores =
        scores.masked_fill(later, -std::numeric_limits<double>::infinity());
  }
  const at::ScalarType type = arguments.query.scalar_type();
  const bool widens =
      arguments.softmax_in_float32 && at::isReducedFloatingType(type);
  at::Tensor probabilities =
      (widens ? at::softmax(scores, -1, at::kFloat) : at::softmax(scores, -1))
          .to(type);  // A bias may be wider.
  if (arguments.dropout_probability > 0.0) {
    probabilities = at::dropout(probabilities, arguments.dropout_probability,
                                /*train=*/true);
  }
  if (arguments.head_mask.defined()) {
    probabilities = probabilities * arguments.head_mask;
  }
  return {.context = MatmulByGroup(probabilities, arguments.value),
          .probabilities = probabilities};
}

at::Tensor SplitHeads(const at::Tensor& x, int64_t head_size) {
  return x.view({x.size(0), x.size(1), -1, head_size}).transpose(1, 2);
}

at::Tensor MergeHeads(const at::Tensor& x) {
  if (x.size(2) == 1 && x.is_contiguous()) {
    return x.view({x.size(0), 1, x.size(1) * x.size(3)});
  }
  return x.transpose(1, 2).flatten(2);
}

}  // namespace pretrained
