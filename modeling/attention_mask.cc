#include "modeling/attention_mask.h"

#include <cstdint>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "c10/core/Device.h"
#include "c10/core/ScalarType.h"
#include "modeling/catch_torch.h"

namespace pretrained {
namespace {

absl::Status BadShape(absl::string_view what, const at::Tensor& tensor,
                      absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": has shape [", absl::StrJoin(tensor.sizes(), ", "),
                   "], but ", expected));
}

absl::Status CheckMask(absl::string_view what, const at::Tensor& mask) {
  if (mask.defined()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": is not defined, but a tensor is expected"));
}

at::Tensor ToAdditive(const at::Tensor& mask, at::ScalarType dtype,
                      double lowest) {
  return (1.0 - mask.to(dtype)) * lowest;
}

// Whether query i, of those that come after cached keys, sees key j:
// [queries, keys] of bools. The last query sees every key; each one before it
// sees one less.
at::Tensor SeenKeys(int64_t queries, int64_t keys, at::Device device) {
  const at::TensorOptions index = at::dtype(at::kLong).device(device);
  const at::Tensor last_seen =
      at::arange(keys - queries, keys, index).unsqueeze(1);
  return at::arange(keys, index).unsqueeze(0) <= last_seen;
}

absl::Status CheckDecoderMask(const at::Tensor& attention_mask,
                              int64_t query_length) {
  absl::Status status = CheckMask("attention_mask", attention_mask);
  if (!status.ok()) return status;
  if (query_length < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "query_length: is ", query_length, ", but 0 or more is expected"));
  }
  if (attention_mask.dim() != 2 || attention_mask.size(1) < query_length) {
    return BadShape("attention_mask", attention_mask,
                    absl::StrCat("[batch, keys] with at least ", query_length,
                                 " keys is expected"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<double> LowestOf(at::ScalarType dtype) {
  switch (dtype) {
    case at::kHalf:
      return -65504.0;
    case at::kBFloat16:
      return -3.3895313892515355e38;
    case at::kFloat:
      return -3.4028234663852886e38;
    case at::kDouble:
      return -1.7976931348623157e308;
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          "dtype: is ", c10::toString(dtype),
          ", but attention scores have float32, float16, bfloat16 or float64; "
          "one of these is expected"));
  }
}

absl::StatusOr<at::Tensor> CausalAttentionMask(const at::Tensor& attention_mask,
                                               int64_t query_length) {
  absl::Status status = CheckDecoderMask(attention_mask, query_length);
  if (!status.ok()) return status;
  return CatchTorch("attention_mask", [&]() -> absl::StatusOr<at::Tensor> {
    const at::Tensor seen =
        SeenKeys(query_length, attention_mask.size(1), attention_mask.device());
    // The mask's own values where a key is seen, 0 where not, in one pass.
    return at::where(seen, attention_mask.unsqueeze(1).unsqueeze(1),
                     at::zeros({}, attention_mask.options()));
  });
}

absl::StatusOr<at::Tensor> ExtendedAttentionMask(
    const at::Tensor& attention_mask, const AttentionMaskOptions& options) {
  absl::Status status = CheckMask("attention_mask", attention_mask);
  if (!status.ok()) return status;
  const absl::StatusOr<double> lowest = LowestOf(options.dtype);
  if (!lowest.ok()) return lowest.status();
  const int64_t rank = attention_mask.dim();
  if (rank != 2 && rank != 3) {
    return BadShape("attention_mask", attention_mask,
                    "[batch, keys] or [batch, queries, keys] is expected");
  }
  const bool is_causal = rank == 2 && options.is_decoder;
  if (is_causal) {
    status = CheckDecoderMask(attention_mask, options.query_length);
    if (!status.ok()) return status;
  }
  return CatchTorch("attention_mask", [&]() -> absl::StatusOr<at::Tensor> {
    at::Tensor mask = attention_mask.unsqueeze(1);
    if (rank == 2) mask = mask.unsqueeze(1);
    const at::Tensor padding = ToAdditive(mask, options.dtype, *lowest);
    if (!is_causal) return padding;
    // What a later key is hidden by is what padding is: the large tensor, of
    // every query and key, is written once.
    return at::where(SeenKeys(options.query_length, attention_mask.size(1),
                              attention_mask.device()),
                     padding, at::full({}, *lowest, padding.options()));
  });
}

absl::StatusOr<at::Tensor> InvertAttentionMask(
    const at::Tensor& encoder_attention_mask, at::ScalarType dtype) {
  absl::Status status =
      CheckMask("encoder_attention_mask", encoder_attention_mask);
  if (!status.ok()) return status;
  const absl::StatusOr<double> lowest = LowestOf(dtype);
  if (!lowest.ok()) return lowest.status();
  const int64_t rank = encoder_attention_mask.dim();
  if (rank != 2 && rank != 3) {
    return BadShape("encoder_attention_mask", encoder_attention_mask,
                    "[batch, keys] or [batch, queries, keys] is expected");
  }
  return CatchTorch("encoder_attention_mask",
                    [&]() -> absl::StatusOr<at::Tensor> {
                      at::Tensor mask = encoder_attention_mask.unsqueeze(1);
                      if (rank == 2) mask = mask.unsqueeze(1);
                      return ToAdditive(mask, dtype, *lowest);
                    });
}

absl::StatusOr<std::vector<at::Tensor>> ExpandHeadMask(
    const at::Tensor& head_mask, int64_t num_layers, at::ScalarType dtype,
    bool is_attention_chunked, int64_t num_heads) {
  if (num_layers < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "num_layers: is ", num_layers, ", but 0 or more is expected"));
  }
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
  return CatchTorch(
      "head_mask", [&]() -> absl::StatusOr<std::vector<at::Tensor>> {
        at::Tensor mask = head_mask.to(dtype);
        if (rank != 5) {
          mask = mask.reshape(
              {rank == 1 ? 1 : num_layers, 1, mask.size(-1), 1, 1});
        }
        if (is_attention_chunked) mask = mask.unsqueeze(-1);
        if (rank == 1) {
          layers.assign(num_layers, mask.select(0, 0));
          return layers;
        }
        return mask.unbind(0);
      });
}

}  // namespace pretrained
