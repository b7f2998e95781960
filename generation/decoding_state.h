#ifndef PRETRAINED_GENERATION_DECODING_STATE_H_
#define PRETRAINED_GENERATION_DECODING_STATE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "generation/prompt.h"
#include "modeling/generation_step.h"
#include "modeling/key_value_store.h"
#include "modeling/model_output.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

// What the model says at one step. Rows r, tokens t that were read (all of the
// prompt at first, then one; without a cache all of the text), keys k.
struct StepOutput {
  at::Tensor logits;                      // Of the next token: [r, vocabulary].
  std::vector<at::Tensor> hidden_states;  // If asked for: [r, t, size].
  std::vector<at::Tensor> attentions;     // If asked for: [r, heads, t, k].
  std::vector<at::Tensor> cross_attentions;
};

// Texts that a model writes, side by side, and what it keeps of them.
//
//   DecodingState state(model, prompt, options);
//   absl::StatusOr<StepOutput> step = state.Step();
//   state.Expand(4, *step);         // Four beams each, from here on.
//   state.Advance(rows, tokens);    // Beam i goes on from rows[i].
//
// Keys and values of old tokens are kept in place (KeyValueStore), and those of
// a prompt computed once for all of the texts that begin with it.
// Lifetime: the model's; not copied. Threads: one.
class DecodingState {
 public:
  struct Options {
    // How long texts may become; sizes memory, and stops nothing.
    int64_t max_length = 0;
    bool use_cache = true;
    bool output_hidden_states = false;
    bool output_attentions = false;
    // What padding is fed to the model as, where it is no token of the
    // vocabulary.
    std::optional<int64_t> pad_outside_vocabulary;
  };

  DecodingState(PretrainedModel& model, Prompt prompt, const Options& options);
  DecodingState(const DecodingState&) = delete;
  DecodingState& operator=(const DecodingState&) = delete;

  // All texts, prompts included: [rows, tokens] of int64.
  const at::Tensor& ids() const { return ids_; }

  // Runs the model on what it has not seen yet.
  absl::StatusOr<StepOutput> Step();

  // Makes each text `times` equal ones, one after the other, and of what the
  // last step said.
  void Expand(int64_t times, StepOutput& step);

  // Adds a token to each text.
  //   rows    text i is to go on from text rows[i]; undefined: from itself. It
  //           begins with the same prompt.
  //   tokens  [rows] of int64
  void Advance(const at::Tensor& rows, const at::Tensor& tokens);

 private:
  GenerationStep NextInputs() const;
  // The text as the model is to read it.
  at::Tensor Readable(const at::Tensor& ids) const;

  PretrainedModel& model_;
  const Options options_;
  const bool is_encoder_decoder_;
  const int64_t prompt_length_;
  KeyValueStore store_;
  at::Tensor ids_;
  at::Tensor attention_mask_;
  at::Tensor position_ids_;  // Of all tokens, or of the last.
  BaseModelOutput encoder_outputs_;
  NamedTensors others_;
  KeyValueCache past_;
};

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_DECODING_STATE_H_
