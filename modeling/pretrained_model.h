#ifndef PRETRAINED_MODELING_PRETRAINED_MODEL_H_
#define PRETRAINED_MODELING_PRETRAINED_MODEL_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Generator.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "c10/core/Device.h"
#include "c10/core/ScalarType.h"
#include "checkpoint/save/save_checkpoint.h"
#include "modeling/attention_heads.h"
#include "modeling/generation_config.h"
#include "modeling/generation_step.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/parameter_counts.h"
#include "modeling/pretrained_config.h"
#include "modeling/save_pretrained.h"
#include "modeling/state_dict.h"
#include "modeling/tensor_conversion.h"
#include "torch/types.h"

namespace pretrained {

class InputRequireGradsHook;
class MemoryHooks;

// A tensor on the CPU that is to get the values that a new model starts with.
struct TensorToInitialize {
  absl::string_view name;  // Full: "encoder.layer.0.output.dense.weight".
  const Module& owner;     // The module that registers it.
  at::Tensor tensor;
  // Where random numbers come from; LibTorch's default one when absent.
  std::optional<at::Generator> generator;
  // Whether `tensor` is rows (or columns) that go behind those that a matrix
  // has, on its device. No padding row is among them.
  bool is_new_rows = false;
};

// A model of any class: a Module with its config, called by argument names.
//
//   auto model = AutoModel::FromPretrained("all-MiniLM-L6-v2");
//   auto output = (*model)->Call({{"input_ids", ids}});
//   const at::Tensor* states = output->find("last_hidden_state");
//
// It composes: layouts say what a class consists of (model_layout.h), loading
// is from_pretrained.h, counting is parameter_counts.h. Threads: Call() may run
// in several threads at once when no hook is attached. Matches:
// transformers 4.34 modeling_utils.py `PreTrainedModel`.
class PretrainedModel : public Module {
 public:
  PretrainedModel(PretrainedConfig config, ModelLayout layout,
                  const ModuleOptions& options);

  const PretrainedConfig& config() const { return config_; }
  // What the model was built as; surgery afterwards does not show here.
  const ModelLayout& layout() const { return layout_; }

  // Runs forward. Inputs are named as its arguments are; kInvalidArgument for
  // one it does not have (the message lists those it has), for shapes that do
  // not fit, and for whatever LibTorch refuses.
  virtual absl::StatusOr<ModelOutput> Call(
      const NamedTensors& inputs, const ForwardOptions& options = {}) = 0;

  // Its tensors by name, in torch's order: parameters and persistent buffers,
  // aliases of tied ones included.
  StateDict state_dict();

  // Writes config.json, generation_config.json and weights, so that
  // LoadPretrained(), and transformers 4.34, load the model from there; see
  // SaveModel(). Returns the names of the files. The model's own config is left
  // as it is. kFailedPrecondition for one that ToBetterTransformer() converted.
  //
  //   auto saved = (*model)->SavePretrained("my-model",
  //                                         {.max_shard_size = "2GB"});
  absl::StatusOr<SavedCheckpoint> SavePretrained(
      const std::string& folder, const SavePretrainedOptions& options = {});

  // How the model generates where nothing else is said; none for a class that
  // cannot.
  const std::optional<GenerationConfig>& generation_config() const {
    return generation_config_;
  }
  void set_generation_config(std::optional<GenerationConfig> config) {
    generation_config_ = std::move(config);
  }

  // What its class is like: "bert", "input_ids", ..
  const std::string& base_model_prefix() const {
    return layout_.base_model_prefix;
  }
  const std::string& main_input_name() const { return layout_.main_input_name; }
  const ConfigClass& config_class() const { return config_.config_class(); }
  bool is_parallelizable() const { return layout_.is_parallelizable; }
  // "pt": its checkpoints are PyTorch's.
  absl::string_view framework() const { return "pt"; }
  int64_t num_labels() const { return config_.num_labels(); }

  // The model below the head: the child that is called base_model_prefix();
  // this one where there is none.
  Module& base_model();

  // Ids, and whatever else forward needs, of a small call that works.
  virtual NamedTensors dummy_inputs() const;

  // Reads a TensorFlow checkpoint into this model. kNotFound, for no driver
  // that reads them is linked; a class that has one overrides it.
  // Matches: transformers 4.34 class attribute `load_tf_weights`.
  virtual absl::Status LoadTfWeights(const std::string& path);

  // kUnimplemented: adapters (PEFT) are not loaded here.
  absl::StatusOr<std::vector<std::string>> active_adapters() const;

  // Whether generation/generate.h's Generate() works on this class.
  bool can_generate() const { return layout_.can_generate; }

  // What Generate() takes and forward makes use of in each step, by name,
  // beside input_ids and attention_mask: "position_ids" (worked out, not
  // taken), "token_type_ids", "inputs_embeds", ..
  virtual std::vector<std::string> GenerationInputs() const { return {}; }

  // Forward's inputs, by name, for the next token. The default gives input_ids
  // (inputs_embeds instead, where `step` has them), attention_mask,
  // past_key_values, and those of GenerationInputs().
  // Matches: the family's `prepare_inputs_for_generation`.
  virtual absl::StatusOr<NamedTensors> PrepareInputsForGeneration(
      const GenerationStep& step) const;

  // Runs the encoder, for a class that has one and a decoder: inputs by the
  // names of its forward's arguments. kUnimplemented for one that has not.
  virtual absl::StatusOr<BaseModelOutput> EncodeForGeneration(
      const NamedTensors& inputs, const ForwardOptions& options);

  // Logs a warning, once a process, where no attention_mask is given but the
  // first or last ids of a row are the config's pad_token_id: that padding is
  // then read as text.
  //   input_ids       [batch, tokens]; looked at on the CPU only
  //   attention_mask  as given; undefined for none
  // Matches: transformers 4.34 `warn_if_padding_and_no_attention_mask`.
  void WarnIfPaddingAndNoAttentionMask(const at::Tensor& input_ids,
                                       const at::Tensor& attention_mask) const;

  // Draws a newly made tensor's values as the family initialises it.
  // Matches: the family's `_init_weights`.
  virtual void InitializeTensor(const TensorToInitialize& target) const = 0;

  // Called once when the model is built, before it has weights; the default
  // ties them. A class that overrides it calls this one too.
  // Matches: transformers 4.34 modeling_utils.py `post_init`.
  virtual void PostInit();

  // Makes parameters that the config ties (layout().tree.tied) one tensor: that
  // of the first name. Copies the values of those that are copies instead.
  // Matches: transformers 4.34 modeling_utils.py `tie_weights`.
  void TieWeights();

  // Draws every parameter anew, on the CPU, ties them, and computes buffers:
  // a model as its constructor leaves it in Python. `seed` makes it repeatable;
  // without one LibTorch's default generator is used.
  // Matches: transformers 4.34 modeling_utils.py `init_weights`.
  absl::Status InitWeights(std::optional<uint64_t> seed = std::nullopt);

  // Drops attention heads, by layer, for good: {0: {1, 3}}. Heads keep the
  // numbers that they had at first, and naming one that is gone has no effect.
  // The config's pruned_heads follows, so that what is saved is loaded as it
  // is. A head model prunes the model below it.
  //   kInvalidArgument     a layer or head that there is not, all heads of a
  //                        layer, a part of the heads that share a key
  //   kFailedPrecondition  weights that are not here (offloaded)
  //   kUnimplemented       a family without it
  // Nothing changes where there is an error.
  // Matches: transformers 4.34 modeling_utils.py `prune_heads`.
  // Differs: 4.34 raises for T5Model and T5ForConditionalGeneration, for what
  //     it saved of a T5EncoderModel, and for LLaMA, Mistral, OPT, BLOOM and
  //     GPT-NeoX.
  absl::Status PruneHeads(const std::map<int64_t, std::vector<int64_t>>& heads);

  // Makes the input embeddings `num_tokens` rows long (as long as they are for
  // nullopt), rounded up to a multiple of `pad_to_multiple_of` where that is
  // given: rows are kept bit for bit, further ones drawn as the family draws
  // new ones. The matrix that makes scores of tokens, its bias, and the
  // config's vocab_size follow; what is tied stays tied. With nothing given
  // nothing happens.
  //   kInvalidArgument     no tokens, or fewer; a multiple below one
  //   kFailedPrecondition  weights that are not here (offloaded)
  // Nothing changes where there is an error.
  // Matches: transformers 4.34 modeling_utils.py `resize_token_embeddings`.
  // Differs: requires_grad and the padding row, which gets no gradient, stay as
  //     they were. A bias with two names (BERT's cls.predictions.bias and its
  //     decoder's) stays one where the matrix is not tied, too.
  absl::Status ResizeTokenEmbeddings(
      std::optional<int64_t> num_tokens,
      std::optional<int64_t> pad_to_multiple_of = std::nullopt);

  // Makes the table of positions `num_positions` rows long, likewise; the
  // config's max_position_embeddings follows. kUnimplemented for a class whose
  // PositionEmbeddingsPath() is empty.
  // Matches: transformers 4.34 `resize_position_embeddings`.
  absl::Status ResizePositionEmbeddings(int64_t num_positions);

  // The module that embeds tokens; that which makes scores of them, and that of
  // positions, or null. They live as long as the model.
  Module* get_input_embeddings();
  Module* get_output_embeddings();
  Module* get_position_embeddings();

  // Puts `weight` in the place of the input embeddings'; what is tied to it
  // stays tied. Dtype and device may be others, the shape not.
  // Differs: in 4.34 another module takes the place, and ties are loose until
  //     tie_weights().
  absl::Status set_input_embeddings(at::Tensor weight);

  // The same for the matrix that makes scores of tokens; `bias` for one that
  // has a bias, undefined to leave it. kFailedPrecondition where the matrix is
  // the input embeddings', or the class has none.
  absl::Status set_output_embeddings(at::Tensor weight, at::Tensor bias = {});

  // The path of the module that embeds tokens, "embeddings.word_embeddings",
  // and of the one that turns states into logits over the vocabulary,
  // "lm_head"; empty where there is none.
  virtual std::string InputEmbeddingsPath() const = 0;
  virtual std::string OutputEmbeddingsPath() const { return ""; }
  // Of the table of positions, for a class that can resize it.
  virtual std::string PositionEmbeddingsPath() const { return ""; }

  // Trades time for memory in training (gradient_checkpointing.h), and stops
  // to. While it is on, training makes no caches of keys and values.
  //   kUnimplemented  supports_gradient_checkpointing() is false
  absl::Status GradientCheckpointingEnable();
  void GradientCheckpointingDisable();
  bool is_gradient_checkpointing();
  bool supports_gradient_checkpointing();

  // Makes the embedded input want gradients, so that they flow through a model
  // whose own weights are frozen; and no longer.
  // Matches: transformers 4.34 `enable_input_require_grads`.
  // Differs: enabling twice is the same as once.
  //   kFailedPrecondition  it is not enabled
  void EnableInputRequireGrads();
  absl::Status DisableInputRequireGrads();

  // Switches attention to one fused kernel in every case, and back
  // (better_transformer.h). A model is not saved meanwhile.
  absl::Status ToBetterTransformer();
  absl::Status ReverseBetterTransformer();

  // Of the first floating parameter; of the last one where none is floating;
  // then of the buffers likewise. float32 where there is neither.
  at::ScalarType dtype();
  // Of the first parameter; else of the first buffer; else the CPU.
  at::Device device();

  // Moves and converts all tensors: see ConvertTensors().
  //
  //   absl::Status status = model->To({.dtype = at::kBFloat16});
  absl::Status To(const TensorConversion& conversion);
  absl::Status Half() { return To({.dtype = at::kHalf}); }
  absl::Status BFloat16() { return To({.dtype = at::kBFloat16}); }
  absl::Status Float() { return To({.dtype = at::kFloat}); }

  // The same under torch::nn::Module's names; what fails is thrown as a
  // c10::Error, as there. Differs: torch::nn::Module's own convert integer
  // buffers, too.
  void to(torch::Device device, torch::Dtype dtype,
          bool non_blocking = false) override;
  void to(torch::Dtype dtype, bool non_blocking = false) override;
  void to(torch::Device device, bool non_blocking = false) override;

  std::vector<CountedTensor> CountedTensors();
  int64_t num_parameters(const CountOptions& options = {});
  int64_t get_memory_footprint(bool return_buffers = true);
  // Elements of the main input; 0, with a warning the first time, when it is
  // not among `inputs`.
  int64_t estimate_tokens(const NamedTensors& inputs) const;
  int64_t floating_point_ops(const NamedTensors& inputs,
                             bool exclude_embeddings = true);

  // Records how forwards change this process's resident memory, by module, from
  // now on (memory_hooks.h). Again only resets what was recorded.
  void add_memory_hooks();
  // What was recorded becomes 0. Does nothing without add_memory_hooks().
  void reset_memory_hooks_state();
  // What was recorded; null without add_memory_hooks().
  const MemoryHooks* memory_hooks() const { return memory_hooks_.get(); }

  // Module name to device, as it was placed: {"": "cpu"}.
  const std::vector<std::pair<std::string, std::string>>& hf_device_map()
      const {
    return hf_device_map_;
  }
  void set_hf_device_map(
      std::vector<std::pair<std::string, std::string>> device_map) {
    hf_device_map_ = std::move(device_map);
  }

 protected:
  PretrainedConfig& mutable_config() { return config_; }

  // The heads that PruneHeads() may take; none for a class without, and for one
  // that holds such a model.
  virtual std::optional<AttentionHeads> attention_heads() const {
    return std::nullopt;
  }

  // Surgery told the config something new: a family puts it in its checked
  // config, and where else it is known.
  virtual void TakePrunedHeads(const PrunedHeads& pruned) {}
  virtual void TakeVocabSize(int64_t vocab_size) {}
  virtual void TakeNumPositions(int64_t num_positions) {}

 private:
  // Whether weights may be replaced by others of another size: the one place
  // that says so. `doing` begins the message: "pruning heads".
  absl::Status CheckSurgery(absl::string_view doing);
  // This one and those that it holds, with their paths.
  std::vector<std::pair<std::string, PretrainedModel*>> ModelsBelow();
  // What new rows of the matrix `name` start with.
  void DrawRowsOf(const Module& owner, absl::string_view name,
                  const at::Tensor& rows) const;
  PretrainedConfig config_;
  ModelLayout layout_;
  std::optional<GenerationConfig> generation_config_;
  std::vector<std::pair<std::string, std::string>> hf_device_map_;
  std::shared_ptr<MemoryHooks> memory_hooks_;
  mutable std::atomic<bool> warned_of_tokens_ = false;
  std::shared_ptr<InputRequireGradsHook> input_require_grads_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_PRETRAINED_MODEL_H_
