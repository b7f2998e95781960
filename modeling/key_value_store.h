#ifndef PRETRAINED_MODELING_KEY_VALUE_STORE_H_
#define PRETRAINED_MODELING_KEY_VALUE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ATen/core/Tensor.h"
#include "modeling/model_output.h"

namespace pretrained {

// Owns the keys and values of a text that grows token by token, with room for
// more, so that a token's are written behind those before it and nothing is
// copied.
//
//   KeyValueStore store(/*max_tokens=*/200);
//   auto first = model.Forward({.input_ids = ids}, {.key_value_store =
//   &store}); auto next = model.Forward(
//       {.input_ids = id, .past_key_values = first->past_key_values},
//       {.key_value_store = &store});
//
// What a model returns as past_key_values are then views of the store, and what
// it is given as past_key_values must be what it returned last: an error else,
// so that no two texts can grow in one place. Views stay good while tokens are
// added; SelectRows() makes all that were given out before it void.
// Cost: the memory of the rows' longest text, up to twice; once more for
//     SelectRows().
// Threads: one text, one thread. Gradients: none; where keys want one, an
//     error.
// Differs: transformers 4.34 copies all keys and values at every token.
class KeyValueStore {
 public:
  // Those of one layer's self-attention.
  class Layer {
   public:
    // Puts what a call computed for its new tokens behind what is stored, and
    // makes them views of all: [rows, heads, new, size] become [rows, heads,
    // all, size].
    //   past_key  what the call was given, undefined for nothing
    void Append(const at::Tensor& past_key, at::Tensor& key, at::Tensor& value);

   private:
    friend class KeyValueStore;

    struct Buffer {
      at::Tensor all;    // [rows, heads, room, size]
      at::Tensor spare;  // As `all`, or undefined.
    };

    explicit Layer(int64_t max_tokens) : max_tokens_(max_tokens) {}

    at::Tensor Grow(Buffer& buffer, const at::Tensor& added) const;
    at::Tensor Select(Buffer& buffer, const at::Tensor& rows) const;

    int64_t max_tokens_;
    int64_t length_ = 0;
    Buffer key_;
    Buffer value_;
  };

  // `max_tokens`: how many the text will have, as far as that is known; it may
  // have more. Memory is taken as it grows.
  explicit KeyValueStore(int64_t max_tokens) : max_tokens_(max_tokens) {}

  // Layer `index`, made when first asked for.
  Layer& layer(size_t index);

  // Keeps, and repeats, rows: row i becomes what row rows[i] was.
  //   rows   [new rows] of int64
  //   views  what the model returned last; becomes what to give it next.
  //          Tensors of a model that makes no use of a store are copied; those
  //          of cross-attention, the third and fourth, are left as they are.
  void SelectRows(const at::Tensor& rows, KeyValueCache& views);

 private:
  int64_t max_tokens_;
  std::vector<std::unique_ptr<Layer>> layers_;
};

// What self-attention does with the keys and values of new tokens: puts them
// behind the cached ones, in `store` if there is one.
//   past_key, past_value  cached, [rows, heads, past, size]; or undefined
//   key, value            of new tokens, [rows, heads, new, size]; become those
//                         of all
void AppendToCache(const at::Tensor& past_key, const at::Tensor& past_value,
                   KeyValueStore::Layer* store, at::Tensor& key,
                   at::Tensor& value);

// As above; `past` is a layer's cache, empty before the first token.
void AppendToCache(const LayerCache& past, KeyValueStore::Layer* store,
                   at::Tensor& key, at::Tensor& value);

// Layer `index` of `store`; null where there is no store.
inline KeyValueStore::Layer* StoreOfLayer(KeyValueStore* store, size_t index) {
  return store == nullptr ? nullptr : &store->layer(index);
}

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_KEY_VALUE_STORE_H_
