#include "modeling/attention_mask.h"

#include <cstdint>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "modeling/catch_torch.h"

namespace pretrained {
namespace {

absl::Status BadShape(absl::string_view what, const at::Tensor& tensor,
                      absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": has shape [", absl::StrJoin(tensor.sizes(), ", "),
                   "], but ", expected));
}

double Lowest(at::ScalarType dtype) {
  switch (dtype) {
    case at::kHalf:
      return -65504.0;
    case at::kBFloat16:
      return -3.3895313892515355e38;
    case at::kDouble:
      return -1.7976931348623157e308;
    default:
      return -3.4028234663852886e38;
  }
}

at::Tensor ToAdditive(const at::Tensor& mask, at::ScalarType dtype) {
  return (1.0 - mask.to(dtype)) * Lowest(dtype);
}

}  // namespace

absl::StatusOr<at::Tensor> CausalAttentionMask(const at::Tensor& attention_mask,
                                               int64_t query_length) {
  if (attention_mask.dim() != 2 || attention_mask.size(1) < query_length) {
    return BadShape("attention_mask", attention_mask,
                    absl::StrCat("[batch, keys] with at least ", query_length,
                                 " keys is expected"));
  }
  return CatchTorch("attention_mask", [&]() -> absl::StatusOr<at::Tensor> {
    const int64_t keys = attention_mask.size(1);
    const at::TensorOptions index =
        at::dtype(at::kLong).device(attention_mask.device());
    // The last query sees every key; each one before it sees one less.
    const at::Tensor last_seen =
        at::arange(keys - query_length, keys, index).unsqueeze(1);
    const at::Tensor causal = at::arange(keys, index).unsqueeze(0) <= last_seen;
    return causal.to(attention_mask.scalar_type()).unsqueeze(0).unsqueeze(0) *
           attention_mask.unsqueeze(1).unsqueeze(1);
  });
}

absl::StatusOr<at::Tensor> ExtendedAttentionMask(
    const at::Tensor& attention_mask, const AttentionMaskOptions& options) {
  if (attention_mask.dim() != 2 && attention_mask.dim() != 3) {
    return BadShape("attention_mask", attention_mask,
                    "[batch, keys] or [batch, queries, keys] is expected");
  }
  at::Tensor mask;
  if (attention_mask.dim() == 2 && options.is_decoder) {
    absl::StatusOr<at::Tensor> causal =
        CausalAttentionMask(attention_mask, options.query_length);
    if (!causal.ok()) return causal.status();
    mask = *causal;
  }
  return CatchTorch("attention_mask", [&]() -> absl::StatusOr<at::Tensor> {
    if (!mask.defined()) {
      mask = attention_mask.unsqueeze(1);
      if (attention_mask.dim() == 2) mask = mask.unsqueeze(1);
    }
    return ToAdditive(mask, options.dtype);
  });
}

absl::StatusOr<at::Tensor> InvertAttentionMask(
    const at::Tensor& encoder_attention_mask, at::ScalarType dtype) {
  const int64_t rank = encoder_attention_mask.dim();
  if (rank != 2 && rank != 3) {
    return BadShape("encoder_attention_mask", encoder_attention_mask,
                    "[batch, keys] or [batch, queries, keys] is expected");
  }
  return CatchTorch("encoder_attention_mask",
                    [&]() -> absl::StatusOr<at::Tensor> {
                      at::Tensor mask = encoder_attention_mask.unsqueeze(1);
                      if (rank == 2) mask = mask.unsqueeze(1);
                      return ToAdditive(mask, dtype);
                    });
}

absl::StatusOr<std::vector<at::Tensor>> ExpandHeadMask(
    const at::Tensor& head_mask, int64_t num_layers, at::ScalarType dtype,
    bool is_attention_chunked, int64_t num_heads) {
  std::vector<at::Tensor> layers(num_layers);
  if (!head_mask.defined()) return layers;
  const int64_t rank = head_mask.dim();
  if (rank != 1 && rank != 2 && rank != 5) {
    return BadShape("head_mask", head_mask,
                    "[heads] or [layers, heads] is expected");
  }
  if (rank != 1 && head_mask.size(0) != num_layers) {
    return BadShape("head_mask", head_mask,
                    absl::StrCat("one entry for each of the ", num_layers,
                                 " layers is expected"));
  }
  if (num_heads >= 0 && rank != 5 && head_mask.size(-1) != num_heads &&
      head_mask.size(-1) != 1) {
    return BadShape("head_mask", head_mask,
                    absl::StrCat("one entry for each of the ", num_heads,
                                 " attention heads is expected"));
  }
  return CatchTorch("head_mask",
                    [&]() -> absl::StatusOr<std::vector<at::Tensor>> {
                      const at::Tensor mask = head_mask.to(dtype);
                      for (int64_t i = 0; i < num_layers; ++i) {
                        at::Tensor layer = rank == 1 ? mask : mask.select(0, i);
                        if (rank != 5) layer = layer.reshape({1, -1, 1, 1});
                        if (is_attention_chunked) layer = layer.unsqueeze(-1);
                        layers[i] = layer;
                      }
                      return layers;
                    });
}

}  // namespace pretrained
