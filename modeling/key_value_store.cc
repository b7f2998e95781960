#include "modeling/key_value_store.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "ATen/core/Tensor.h"
#include "ATen/ops/cat.h"
#include "ATen/ops/empty.h"
#include "ATen/ops/index_select.h"
#include "c10/util/Exception.h"

namespace pretrained {
namespace {

// Room beside the tokens that are there, so that few texts grow often.
constexpr int64_t kLeastRoom = 256;

// How many tokens to make room for, for `needed` ones.
int64_t RoomFor(int64_t needed, int64_t max_tokens) {
  const int64_t room = std::max(2 * needed, needed + kLeastRoom);
  return std::max(needed, std::min(room, max_tokens));
}

at::Tensor EmptyBuffer(const at::Tensor& like, int64_t rows, int64_t room) {
  return at::empty({rows, like.size(1), room, like.size(3)}, like.options());
}

}  // namespace

at::Tensor KeyValueStore::Layer::Grow(Buffer& buffer,
                                      const at::Tensor& added) const {
  const int64_t total = length_ + added.size(2);
  if (!buffer.all.defined() || buffer.all.size(2) < total) {
    // Where max_tokens was too low, the text still doubles.
    const int64_t wanted =
        total > max_tokens_ ? RoomFor(total, 2 * total) : max_tokens_;
    at::Tensor larger =
        EmptyBuffer(added, added.size(0), RoomFor(total, wanted));
    if (length_ > 0) {
      larger.narrow(2, 0, length_).copy_(buffer.all.narrow(2, 0, length_));
    }
    buffer = {.all = std::move(larger)};
  }
  buffer.all.narrow(2, length_, added.size(2)).copy_(added);
  return buffer.all.narrow(2, 0, total);
}

void KeyValueStore::Layer::Append(const at::Tensor& past_key, at::Tensor& key,
                                  at::Tensor& value) {
  TORCH_CHECK(!key.requires_grad() && !value.requires_grad(),
              "a key_value_store keeps no gradients; call the model without "
              "them (c10::InferenceMode), or without a store");
  const bool is_last =
      past_key.defined() ? key_.all.defined() && past_key.size(2) == length_ &&
                               past_key.data_ptr() == key_.all.data_ptr()
                         : length_ == 0;
  TORCH_CHECK(is_last,
              "past_key_values are not what the key_value_store gave last; "
              "give those, or another store");
  key = Grow(key_, key);
  value = Grow(value_, value);
  length_ = key.size(2);
}

at::Tensor KeyValueStore::Layer::Select(Buffer& buffer,
                                        const at::Tensor& rows) const {
  const at::Tensor from = buffer.all.narrow(2, 0, length_);
  const bool fits = buffer.spare.defined() &&
                    buffer.spare.size(0) == rows.size(0) &&
                    buffer.spare.size(2) == buffer.all.size(2);
  if (!fits) {
    buffer.spare = EmptyBuffer(from, rows.size(0), buffer.all.size(2));
  }
  at::Tensor to = buffer.spare.narrow(2, 0, length_);
  at::index_select_out(to, from, 0, rows);
  std::swap(buffer.all, buffer.spare);
  return to;
}

KeyValueStore::Layer& KeyValueStore::layer(size_t index) {
  while (layers_.size() <= index) {
    layers_.push_back(std::unique_ptr<Layer>(new Layer(max_tokens_)));
  }
  return *layers_[index];
}

void KeyValueStore::SelectRows(const at::Tensor& rows, KeyValueCache& views) {
  for (size_t i = 0; i < views.size(); ++i) {
    const bool is_stored =
        i < layers_.size() && layers_[i]->key_.all.defined() &&
        views[i][0].data_ptr() == layers_[i]->key_.all.data_ptr();
    if (is_stored) {
      views[i][0] = layers_[i]->Select(layers_[i]->key_, rows);
      views[i][1] = layers_[i]->Select(layers_[i]->value_, rows);
    } else {
      for (size_t n = 0; n < 2; ++n) {
        views[i][n] = views[i][n].index_select(0, rows);
      }
    }
  }
}

void AppendToCache(const at::Tensor& past_key, const at::Tensor& past_value,
                   KeyValueStore::Layer* store, at::Tensor& key,
                   at::Tensor& value) {
  if (store != nullptr) {
    store->Append(past_key, key, value);
  } else if (past_key.defined()) {
    key = at::cat({past_key, key}, 2);
    value = at::cat({past_value, value}, 2);
  }
}

void AppendToCache(const LayerCache& past, KeyValueStore::Layer* store,
                   at::Tensor& key, at::Tensor& value) {
  if (past.empty()) {
    AppendToCache(at::Tensor(), at::Tensor(), store, key, value);
  } else {
    AppendToCache(past[0], past[1], store, key, value);
  }
}

}  // namespace pretrained
