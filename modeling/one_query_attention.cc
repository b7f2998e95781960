#include "modeling/one_query_attention.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "ATen/Parallel.h"
#include "ATen/core/Tensor.h"
#include "ATen/core/ivalue.h"
#include "ATen/ops/empty.h"
#include "ATen/record_function.h"
#include "modeling/few_row_kernels.h"
#include "modeling/kernel_dtype.h"
#include "modeling/wants_gradient.h"

namespace pretrained {
namespace {

// Numbers of keys and values that are worth a thread.
constexpr int64_t kNumbersOfThread = 1 << 16;

// Whether the numbers of each head lie in one piece.
bool HasWholeHeads(const at::Tensor& x) {
  return x.is_cpu() && x.dim() == 4 && x.stride(3) == 1 &&
         (x.size(2) == 1 || x.stride(2) == x.size(3));
}

// The bias as float32, [b, h, k] by its strides; 0 where it is the same for
// all. nullopt for one that does not broadcast so.
std::optional<at::Tensor> Bias(const AttentionArguments& arguments) {
  const at::Tensor& bias = arguments.bias;
  const at::Tensor& query = arguments.query;
  const int64_t keys = arguments.key.size(2);
  if (!bias.defined()) return at::Tensor();
  if (!bias.is_cpu() || bias.dim() != 4 || bias.size(2) != 1 ||
      bias.size(3) != keys) {
    return std::nullopt;
  }
  for (const int64_t dim : {0, 1}) {
    if (bias.size(dim) != 1 && bias.size(dim) != query.size(dim)) {
      return std::nullopt;
    }
  }
  at::Tensor result = bias.select(2, 0).to(at::kFloat);
  if (keys > 1 && result.stride(2) != 1) result = result.contiguous();
  return result.expand({query.size(0), query.size(1), keys});
}

bool CanAttend(const AttentionArguments& arguments) {
  const at::Tensor& query = arguments.query;
  const at::Tensor& key = arguments.key;
  const at::Tensor& value = arguments.value;
  return query.dim() == 4 && query.size(2) == 1 && query.stride(3) == 1 &&
         query.is_cpu() && query.numel() > 0 && HasWholeHeads(key) &&
         HasWholeHeads(value) && key.sizes() == value.sizes() &&
         key.size(0) == query.size(0) && key.size(3) == query.size(3) &&
         key.size(1) > 0 && query.size(1) % key.size(1) == 0 &&
         key.size(2) > 0 && key.scalar_type() == query.scalar_type() &&
         value.scalar_type() == query.scalar_type() &&
         (!arguments.is_causal || key.size(2) == 1) &&
         !arguments.need_probabilities && !arguments.head_mask.defined() &&
         arguments.dropout_probability == 0.0 &&
         !WantsGradient(query, key, value, arguments.bias);
}

const char* At(const at::Tensor& x, int64_t row, int64_t head) {
  return static_cast<const char*>(x.data_ptr()) +
         (row * x.stride(0) + head * x.stride(1)) * x.element_size();
}

// What one thread computes with, in float32.
class Heads {
 public:
  Heads(const AttentionArguments& arguments, MatrixDtype dtype,
        const at::Tensor& bias)
      : arguments_(arguments),
        dtype_(dtype),
        bias_(bias),
        keys_(arguments.key.size(2)),
        size_(arguments.key.size(3)),
        queries_(kFewRows * size_),
        scores_(kFewRows * keys_),
        sums_(kFewRows * size_) {}

  // Heads `first` to `first` + count - 1 of that row, which head `group` of
  // keys serves; count <= kFewRows.
  void Attend(int64_t row, int64_t group, int64_t first, int64_t count,
              const at::Tensor& context) {
    for (int64_t i = 0; i < count; ++i) {
      float* const query = &queries_[i * size_];
      Widen(At(arguments_.query, row, first + i), dtype_, size_, query);
      const auto scale = static_cast<float>(arguments_.scale);
      for (int64_t j = 0; j < size_; ++j) query[j] *= scale;
    }
    TimesTransposed(queries_.data(), count, size_,
                    At(arguments_.key, row, group), dtype_, keys_, 0, keys_,
                    scores_.data());
    for (int64_t i = 0; i < count; ++i) {
      float* const scores = &scores_[i * keys_];
      if (bias_.defined()) {
        const auto* const bias =
            reinterpret_cast<const float*>(At(bias_, row, first + i));
        for (int64_t j = 0; j < keys_; ++j) scores[j] += bias[j];
      }
      Softmax(keys_, scores);
    }
    Times(scores_.data(), count, keys_, At(arguments_.value, row, group),
          dtype_, size_, 0, keys_, sums_.data());
    SumRounded(sums_.data(), 1, 0, nullptr, dtype_, count * size_,
               const_cast<char*>(At(context, row, first)));
  }

 private:
  const AttentionArguments& arguments_;
  MatrixDtype dtype_;
  const at::Tensor& bias_;  // [b, h, k] of float32, or undefined.
  int64_t keys_;
  int64_t size_;
  std::vector<float> queries_;
  std::vector<float> scores_;
  std::vector<float> sums_;
};

}  // namespace

std::optional<at::Tensor> AttendOneQuery(const AttentionArguments& arguments) {
  if (!CanAttend(arguments)) return std::nullopt;
  const std::optional<MatrixDtype> dtype =
      KernelDtype(arguments.query.scalar_type());
  if (!dtype.has_value()) return std::nullopt;
  const std::optional<at::Tensor> bias = Bias(arguments);
  if (!bias.has_value()) return std::nullopt;
  // Seen as the operator it stands for by whoever listens to LibTorch's
  // (exact_flops.h).
  RECORD_FUNCTION("pretrained::scaled_dot_product_attention",
                  (std::vector<c10::IValue>{arguments.query, arguments.key,
                                            arguments.value, arguments.bias}));
  const at::Tensor& key = arguments.key;
  const int64_t groups = key.size(1);
  const int64_t heads = arguments.query.size(1);
  const int64_t served = heads / groups;
  // [b, h, d], so that joining heads copies nothing.
  const at::Tensor context =
      at::empty({key.size(0), heads, key.size(3)}, arguments.query.options());
  const int64_t grain =
      std::max<int64_t>(1, kNumbersOfThread / (2 * key.size(2) * key.size(3)));
  at::parallel_for(0, key.size(0) * groups, grain,
                   [&](int64_t begin, int64_t end) {
                     Heads worker(arguments, *dtype, *bias);
                     for (int64_t at = begin; at < end; ++at) {
                       const int64_t row = at / groups;
                       const int64_t group = at % groups;
                       for (int64_t i = 0; i < served; i += kFewRows) {
                         worker.Attend(row, group, group * served + i,
                                       std::min(kFewRows, served - i), context);
                       }
                     }
                   });
  return context.unsqueeze(2);
}

}  // namespace pretrained
