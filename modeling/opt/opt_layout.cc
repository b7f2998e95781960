#include "modeling/opt/opt_layout.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "modeling/layout_nodes.h"
#include "modeling/model_layout.h"
#include "modeling/opt/opt_config.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

// The first two rows of the table of positions stand for no position.
constexpr int64_t kPositionOffset = 2;

ModuleNode Norm(std::string name, const OPTConfig& opt) {
  return LayerNormNode(std::move(name), opt.hidden_size,
                       opt.layer_norm_elementwise_affine);
}

ModuleNode Layer(const OPTConfig& opt, int64_t index) {
  const int64_t size = opt.hidden_size;
  const int64_t inner = opt.num_heads(index) * opt.head_size();
  const bool bias = opt.enable_bias;
  ModuleNode attention{.name = "self_attn",
                       .class_name = "OPTAttention",
                       .children = {LinearNode("k_proj", size, inner, bias),
                                    LinearNode("v_proj", size, inner, bias),
                                    LinearNode("q_proj", size, inner, bias),
                                    LinearNode("out_proj", inner, size, bias)}};
  return {.name = absl::StrCat(index),
          .class_name = "OPTDecoderLayer",
          .children = {std::move(attention),
                       ActivationNode("activation_fn", opt.activation_function),
                       Norm("self_attn_layer_norm", opt),
                       LinearNode("fc1", size, opt.ffn_dim, bias),
                       LinearNode("fc2", opt.ffn_dim, size, bias),
                       Norm("final_layer_norm", opt)}};
}

ModuleNode Decoder(const OPTConfig& opt) {
  ModuleNode positions = EmbeddingNode(
      "embed_positions", opt.max_position_embeddings + kPositionOffset,
      opt.hidden_size);
  positions.class_name = "OPTLearnedPositionalEmbedding";
  ModuleNode decoder{.name = "decoder",
                     .class_name = "OPTDecoder",
                     .children = {EmbeddingNode("embed_tokens", opt.vocab_size,
                                                opt.word_embed_proj_dim),
                                  std::move(positions)}};
  if (opt.has_projections()) {
    decoder.children.push_back(LinearNode("project_out", opt.hidden_size,
                                          opt.word_embed_proj_dim,
                                          /*bias=*/false));
    decoder.children.push_back(LinearNode("project_in", opt.word_embed_proj_dim,
                                          opt.hidden_size, /*bias=*/false));
  }
  if (opt.has_final_layer_norm()) {
    decoder.children.push_back(Norm("final_layer_norm", opt));
  }
  ModuleNode layers{.name = "layers", .class_name = "ModuleList"};
  for (int64_t i = 0; i < opt.num_hidden_layers; ++i) {
    layers.children.push_back(Layer(opt, i));
  }
  decoder.children.push_back(std::move(layers));
  return decoder;
}

// What the classes have in common.
ModelLayout Facts(std::string class_name) {
  return {.class_name = std::move(class_name),
          .base_model_prefix = "model",
          .no_split_modules = {"OPTDecoderLayer"}};
}

// A base model, and a matrix on top of it.
ModelLayout WithHead(std::string class_name, const OPTConfig& opt,
                     ModuleNode head) {
  ModelLayout layout = Facts(std::move(class_name));
  ModuleNode base{
      .name = "model", .class_name = "OPTModel", .children = {Decoder(opt)}};
  layout.tree.root = {.class_name = layout.class_name,
                      .children = {std::move(base), std::move(head)}};
  return layout;
}

}  // namespace

absl::StatusOr<ModelLayout> OPTModelLayout(const PretrainedConfig& config,
                                           const OPTConfig& opt) {
  ModelLayout layout = Facts("OPTModel");
  layout.tree.root = {.class_name = layout.class_name,
                      .children = {Decoder(opt)}};
  return layout;
}

absl::StatusOr<ModelLayout> OPTForCausalLMLayout(const PretrainedConfig& config,
                                                 const OPTConfig& opt) {
  ModelLayout layout =
      WithHead("OPTForCausalLM", opt,
               LinearNode("lm_head", opt.word_embed_proj_dim, opt.vocab_size,
                          /*bias=*/false));
  layout.can_generate = true;
  layout.tied_weights_keys = {"lm_head.weight"};
  absl::Status status = TieWordEmbeddings(
      config, "model.decoder.embed_tokens.weight", "lm_head.weight", layout);
  if (!status.ok()) return status;
  return layout;
}

absl::StatusOr<ModelLayout> OPTForSequenceClassificationLayout(
    const PretrainedConfig& config, const OPTConfig& opt) {
  return WithHead("OPTForSequenceClassification", opt,
                  LinearNode("score", opt.word_embed_proj_dim, opt.num_labels,
                             /*bias=*/false));
}

absl::StatusOr<ModelLayout> OPTForQuestionAnsweringLayout(
    const PretrainedConfig& config, const OPTConfig& opt) {
  return WithHead("OPTForQuestionAnswering", opt,
                  LinearNode("qa_outputs", opt.word_embed_proj_dim, 2));
}

const LayoutClass& OPTModelLayoutClass() {
  static const LayoutClass* const layout_class = new LayoutClass(
      MakeLayoutClass("OPTModel", OPTConfigClass(), OPTModelLayout));
  return *layout_class;
}

const LayoutClass& OPTForCausalLMLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass("OPTForCausalLM", OPTConfigClass(),
                                      OPTForCausalLMLayout));
  return *layout_class;
}

const LayoutClass& OPTForSequenceClassificationLayoutClass() {
  static const LayoutClass* const layout_class = new LayoutClass(
      MakeLayoutClass("OPTForSequenceClassification", OPTConfigClass(),
                      OPTForSequenceClassificationLayout));
  return *layout_class;
}

const LayoutClass& OPTForQuestionAnsweringLayoutClass() {
  static const LayoutClass* const layout_class = new LayoutClass(
      MakeLayoutClass("OPTForQuestionAnswering", OPTConfigClass(),
                      OPTForQuestionAnsweringLayout));
  return *layout_class;
}

namespace {

[[maybe_unused]] const bool kRegistered =
    RegisterLayout(&OPTModelLayoutClass()) &&
    RegisterLayout(&OPTForCausalLMLayoutClass()) &&
    RegisterLayout(&OPTForSequenceClassificationLayoutClass()) &&
    RegisterLayout(&OPTForQuestionAnsweringLayoutClass());

}  // namespace

}  // namespace pretrained
