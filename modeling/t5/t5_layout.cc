#include "modeling/t5/t5_layout.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "modeling/layout_nodes.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"
#include "modeling/t5/t5_config.h"

namespace pretrained {
namespace {

constexpr char kEncoderEmbeddings[] = "encoder.embed_tokens.weight";
constexpr char kDecoderEmbeddings[] = "decoder.embed_tokens.weight";
constexpr char kSharedEmbeddings[] = "shared.weight";
constexpr char kHead[] = "lm_head.weight";

ModuleNode Norm(std::string name, const T5Config& config) {
  return RmsNormNode(std::move(name), "T5LayerNorm", config.d_model);
}

// Of `heads` heads. The table of relative positions has a column for each that
// any layer has, which is all of them.
ModuleNode Attention(std::string name, const T5Config& config, int64_t heads,
                     bool has_bias) {
  const int64_t outer = config.d_model;
  const int64_t inner = heads * config.d_kv;
  ModuleNode node{.name = std::move(name), .class_name = "T5Attention"};
  for (const char* projection : {"q", "k", "v"}) {
    node.children.push_back(
        LinearNode(projection, outer, inner, /*bias=*/false));
  }
  node.children.push_back(LinearNode("o", inner, outer, /*bias=*/false));
  if (has_bias) {
    node.children.push_back(EmbeddingNode("relative_attention_bias",
                                          config.relative_attention_num_buckets,
                                          config.num_heads));
  }
  return node;
}

ModuleNode FeedForward(const T5Config& config) {
  ModuleNode node{.name = "DenseReluDense"};
  std::vector<const char*> inputs = {"wi"};
  node.class_name = "T5DenseActDense";
  if (config.is_gated_act) {
    inputs = {"wi_0", "wi_1"};
    node.class_name = "T5DenseGatedActDense";
  }
  for (const char* input : inputs) {
    node.children.push_back(
        LinearNode(input, config.d_model, config.d_ff, /*bias=*/false));
  }
  node.children.push_back(
      LinearNode("wo", config.d_ff, config.d_model, /*bias=*/false));
  node.children.push_back(DropoutNode("dropout"));
  node.children.push_back(ActivationNode("act", config.dense_act_fn));
  return node;
}

// What a block does in one step: `inner`, between a norm and a residual.
ModuleNode Step(int64_t index, std::string class_name, ModuleNode inner,
                const T5Config& config) {
  return {.name = absl::StrCat(index),
          .class_name = std::move(class_name),
          .children = {std::move(inner), Norm("layer_norm", config),
                       DropoutNode("dropout")}};
}

// What a stack is.
struct StackKind {
  bool is_decoder = false;
  bool has_pruned_heads = true;  // As the config says.
};

// Layer 0 alone has the table of relative positions; the others get its bias.
ModuleNode Block(int64_t index, const T5Config& config, StackKind kind) {
  ModuleNode steps{.name = "layer", .class_name = "ModuleList"};
  steps.children.push_back(
      Step(0, "T5LayerSelfAttention",
           Attention("SelfAttention", config,
                     kind.has_pruned_heads ? config.heads_left(index)
                                           : config.num_heads,
                     /*has_bias=*/index == 0),
           config));
  if (kind.is_decoder) {
    steps.children.push_back(
        Step(1, "T5LayerCrossAttention",
             Attention("EncDecAttention", config, config.num_heads,
                       /*has_bias=*/false),
             config));
  }
  steps.children.push_back(
      Step(kind.is_decoder ? 2 : 1, "T5LayerFF", FeedForward(config), config));
  return {.name = absl::StrCat(index),
          .class_name = "T5Block",
          .children = {std::move(steps)}};
}

ModuleNode Stack(std::string name, const T5Config& config, int64_t num_layers,
                 StackKind kind) {
  ModuleNode blocks{.name = "block", .class_name = "ModuleList"};
  for (int64_t i = 0; i < num_layers; ++i) {
    blocks.children.push_back(Block(i, config, kind));
  }
  return {.name = std::move(name),
          .class_name = "T5Stack",
          .children = {
              EmbeddingNode("embed_tokens", config.vocab_size, config.d_model),
              std::move(blocks), Norm("final_layer_norm", config),
              DropoutNode("dropout")}};
}

ModelLayout Facts(std::string class_name, const T5Config& config) {
  ModelLayout layout{.class_name = std::move(class_name),
                     .base_model_prefix = "transformer",
                     .is_parallelizable = true,
                     .no_split_modules = {"T5Block"},
                     .keep_in_fp32_modules = {"wo"}};
  layout.tree.root.class_name = layout.class_name;
  layout.tree.root.children.push_back(
      EmbeddingNode("shared", config.vocab_size, config.d_model));
  return layout;
}

// The name in the encoder of the parameter that the decoder has as `name`, both
// within their stacks; empty for what only decoders have.
std::string EncoderName(absl::string_view name) {
  std::vector<std::string> parts = absl::StrSplit(name, '.');
  if (parts[0] != "block") return std::string(name);
  std::string& step = parts[3];  // block.INDEX.layer.STEP.
  if (step == "1") return "";    // Cross-attention.
  if (step == "2") step = "1";   // The feed-forward step.
  return absl::StrJoin(parts, ".");
}

absl::Status TieEncoderToDecoder(const PretrainedConfig& config,
                                 const T5Config& t5, ModelLayout& layout) {
  if (!t5.shares_stacks()) return absl::OkStatus();
  if (t5.num_decoder_layers > t5.num_layers) {
    return config.BadValue(
        "tie_encoder_decoder",
        absl::StrCat("the encoder's ", t5.num_layers,
                     " layers are too few to share weights with the "
                     "decoder's ",
                     t5.num_decoder_layers));
  }
  ForEachParameter(
      layout.tree.root.child("decoder"),
      [&](const std::string& name, const TensorSpec&, const ModuleNode&) {
        const std::string encoder_name = EncoderName(name);
        if (encoder_name.empty() || name == "embed_tokens.weight") return;
        layout.tree.tied.push_back({absl::StrCat("encoder.", encoder_name),
                                    absl::StrCat("decoder.", name)});
      });
  return absl::OkStatus();
}

// What T5Model and T5ForConditionalGeneration have in common.
absl::StatusOr<ModelLayout> EncoderDecoder(std::string class_name,
                                           const PretrainedConfig& config,
                                           const T5Config& t5) {
  ModelLayout layout = Facts(std::move(class_name), t5);
  layout.tied_weights_keys = {kEncoderEmbeddings, kDecoderEmbeddings};
  // Of checkpoints that were converted when cross-attention had a table too.
  layout.keys_to_ignore_on_load_unexpected = {
      "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"};
  std::vector<ModuleNode>& children = layout.tree.root.children;
  children.push_back(Stack("encoder", t5, t5.num_layers, {}));
  children.push_back(
      Stack("decoder", t5, t5.num_decoder_layers,
            {.is_decoder = true, .has_pruned_heads = t5.shares_stacks()}));
  layout.tree.tied.push_back(
      {kSharedEmbeddings, kEncoderEmbeddings, kDecoderEmbeddings});
  absl::Status status = TieEncoderToDecoder(config, t5, layout);
  if (!status.ok()) return status;
  return layout;
}

const bool kRegistered =
    RegisterLayout(&T5ModelLayoutClass()) &&
    RegisterLayout(&T5ForConditionalGenerationLayoutClass()) &&
    RegisterLayout(&T5EncoderModelLayoutClass());

}  // namespace

absl::StatusOr<ModelLayout> T5ModelLayout(const PretrainedConfig& config,
                                          const T5Config& t5) {
  return EncoderDecoder("T5Model", config, t5);
}

absl::StatusOr<ModelLayout> T5ForConditionalGenerationLayout(
    const PretrainedConfig& config, const T5Config& t5) {
  absl::StatusOr<ModelLayout> layout =
      EncoderDecoder("T5ForConditionalGeneration", config, t5);
  if (!layout.ok()) return layout;
  layout->can_generate = true;
  layout->tied_weights_keys.emplace_back(kHead);
  layout->tree.root.children.push_back(
      LinearNode("lm_head", t5.d_model, t5.vocab_size, /*bias=*/false));
  absl::Status status =
      TieWordEmbeddings(config, kSharedEmbeddings, kHead, *layout);
  if (!status.ok()) return status;
  return layout;
}

absl::StatusOr<ModelLayout> T5EncoderModelLayout(const PretrainedConfig& config,
                                                 const T5Config& t5) {
  if (t5.shares_stacks()) {
    return config.BadValue("tie_encoder_decoder",
                           "T5EncoderModel has no decoder to share weights "
                           "with: false is expected");
  }
  ModelLayout layout = Facts("T5EncoderModel", t5);
  layout.tied_weights_keys = {kEncoderEmbeddings};
  layout.keys_to_ignore_on_load_unexpected = {"decoder"};
  layout.tree.root.children.push_back(
      Stack("encoder", t5, t5.num_layers, {.is_decoder = t5.is_decoder}));
  layout.tree.tied.push_back({kSharedEmbeddings, kEncoderEmbeddings});
  return layout;
}

const LayoutClass& T5ModelLayoutClass() {
  static const LayoutClass* const layout_class = new LayoutClass(
      MakeLayoutClass<T5Config>("T5Model", T5ConfigClass(), T5ModelLayout));
  return *layout_class;
}

const LayoutClass& T5ForConditionalGenerationLayoutClass() {
  static const LayoutClass* const layout_class = new LayoutClass(
      MakeLayoutClass<T5Config>("T5ForConditionalGeneration", T5ConfigClass(),
                                T5ForConditionalGenerationLayout));
  return *layout_class;
}

const LayoutClass& T5EncoderModelLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<T5Config>(
          "T5EncoderModel", T5ConfigClass(), T5EncoderModelLayout));
  static_cast<void>(kRegistered);
  return *layout_class;
}

}  // namespace pretrained
