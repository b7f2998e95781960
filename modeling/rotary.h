#ifndef PRETRAINED_MODELING_ROTARY_H_
#define PRETRAINED_MODELING_ROTARY_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "device_map/module_tree.h"
#include "modeling/module.h"
#include "modeling/rotary_options.h"

namespace pretrained {

// Rotary position embeddings (RoPE): what makes attention scores depend on how
// far apart two tokens are, by turning pairs of each head's numbers.
//
//   auto state = std::make_shared<RotaryState>();   // one for a model
//   auto rotary = AddChild<RotaryEmbedding>(node, "rotary_emb", options,
//                                           rotary_options, state);
//   RotaryTables tables = rotary->At({.count = 7, .length = 7}, at::kFloat);
//   query = ApplyRotary(query, tables);
//
// Matches: transformers 4.34 `LlamaRotaryEmbedding`, its two scaled kinds,
//     `apply_rotary_pos_emb`.

// Cosines and sines of the angles; the second half of `dim` repeats the first.
struct RotaryTables {
  at::Tensor cos;  // [1 or batch, 1, tokens, dim]
  at::Tensor sin;

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(cos);
    visit(sin);
  }
};

// base^(-2i / dim), [dim / 2] in float32. For dynamic scaling, what follows
// when the longest sequence seen has `longest` tokens.
at::Tensor RotaryFrequencies(const RotaryOptions& options, int64_t longest,
                             at::Device device);

// The tables at `positions` [rows, tokens]: [rows, 1, tokens, dim], computed in
// float32, then rounded to `dtype`.
RotaryTables RotaryTablesAt(const RotaryOptions& options,
                            const at::Tensor& frequencies,
                            const at::Tensor& positions, at::ScalarType dtype);

// Turns x [batch, heads, tokens, head size] by its tokens' angles: the pairs
// (i, i + dim / 2) of the first `dim` numbers of each head; those after them,
// if any (GPT-NeoX's rotary_pct), stay.
at::Tensor ApplyRotary(const at::Tensor& x, const RotaryTables& tables);

// Where the tokens of one call stand.
struct RotaryPositions {
  at::Tensor ids;     // [1 or batch, tokens]; undefined: first, first + 1, ..
  int64_t first = 0;  // Tokens that are cached.
  int64_t count = 0;  // New tokens.
  // Cached and new tokens; every position is below it, or below the tables'
  // max_positions.
  int64_t length = 0;
};

// What the layers of one model share: the tables, which are the same in all of
// them, and the longest sequence seen, which dynamic scaling depends on.
// Threads: any number may share one.
class RotaryState {
 public:
  // The longest of `length` and of all that were noted before.
  int64_t NoteLength(int64_t length);

  // Makes [1, 1, max_positions, dim] tables; a second call for the same dtype
  // and device gets tensors that share memory with the first one's.
  RotaryTables Tables(const RotaryOptions& options, at::ScalarType dtype,
                      at::Device device);

 private:
  std::atomic<int64_t> longest_{0};
  absl::Mutex mutex_;
  RotaryTables tables_ ABSL_GUARDED_BY(mutex_);
};

// The module of RotaryNode(). Its buffers are computed, never stored: inv_freq
// in float32 whatever the model's dtype is, the tables in that dtype.
//
// Where frequencies are stored (RotaryOptions), inv_freq is what a checkpoint
// says, but the tables are what the config says, in float32; inv_freq counts
// once a sequence was longer than max_positions, unless scaling is dynamic.
//
// Cost: a call whose positions lie in the tables is two views, or two gathers
//     for given ids; beyond max_positions, the angles of the new tokens are
//     computed.
// Threads: At() is safe in several at once. With dynamic scaling, or stored
//     frequencies, its result depends on the longest sequence that any call
//     before it had, as the peer's; so does the order of concurrent calls where
//     one is the longest.
// Matches: also `GPTNeoXRotaryEmbedding` and its kin.
// Differs: the buffers keep max_positions rows; the peer makes longer ones in
//     each layer.
class RotaryEmbedding : public Module {
 public:
  RotaryEmbedding(const ModuleNode& node, const ModuleOptions& options,
                  const RotaryOptions& rotary,
                  std::shared_ptr<RotaryState> state);

  // In `dtype`; in float32 where frequencies are stored.
  RotaryTables At(const RotaryPositions& positions, at::ScalarType dtype) const;

  void ComputeBuffers(at::Device device) override;

  const RotaryOptions& options() const { return rotary_; }

 private:
  // Of max_positions rows.
  RotaryTables ShortTables() const;

  const RotaryOptions rotary_;
  std::shared_ptr<RotaryState> state_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_ROTARY_H_
