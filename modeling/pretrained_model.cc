#include "modeling/pretrained_model.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/CPUGeneratorImpl.h"
#include "ATen/core/grad_mode.h"
#include "ATen/ops/empty.h"
#include "ATen/ops/tensor.h"
#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "c10/core/Device.h"
#include "c10/core/ScalarType.h"
#include "c10/util/Exception.h"
#include "device_map/module_tree.h"
#include "dtypes/dtype.h"
#include "modeling/better_transformer.h"
#include "modeling/catch_torch.h"
#include "modeling/flops.h"
#include "modeling/generation_step.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/memory_hooks.h"
#include "modeling/model_output.h"
#include "modeling/save_pretrained.h"
#include "modeling/state_dict.h"
#include "modeling/tensor_bridge.h"
#include "modeling/tensor_conversion.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// Of the module that embeds inputs.
class InputRequireGradsHook : public ModuleHook {
 public:
  void PostForward(Module&, absl::Span<at::Tensor* const> results) override {
    for (at::Tensor* result : results) result->set_requires_grad(true);
  }
};

PretrainedModel::PretrainedModel(PretrainedConfig config, ModelLayout layout,
                                 const ModuleOptions& options)
    : Module(layout.tree.root, options),
      config_(std::move(config)),
      layout_(std::move(layout)),
      hf_device_map_({{"", "cpu"}}) {}

void PretrainedModel::PostInit() { TieWeights(); }

StateDict PretrainedModel::state_dict() {
  StateDict state_dict;
  for (NamedSlot& slot : TensorSlots()) {
    if (slot.is_buffer && !slot.owner->is_persistent(LastPart(slot.name))) {
      continue;
    }
    state_dict.emplace_back(std::move(slot.name), std::move(slot.tensor));
  }
  return state_dict;
}

absl::StatusOr<SavedCheckpoint> PretrainedModel::SavePretrained(
    const std::string& folder, const SavePretrainedOptions& options) {
  if (IsBetterTransformer(*this)) {
    return absl::FailedPreconditionError(absl::StrCat(
        class_name(),
        " is converted to BetterTransformer, and is not saved as that; call "
        "ReverseBetterTransformer() first"));
  }
  absl::StatusOr<Dtype> saved_dtype = ToDtype(dtype());
  if (!saved_dtype.ok()) return saved_dtype.status();
  absl::flat_hash_map<std::string, std::function<absl::StatusOr<at::Tensor>()>>
      offloaded;
  for (const NamedSlot& slot : TensorSlots()) {
    if (!slot.tensor.is_meta()) continue;
    auto read = slot.owner->ParameterReader(LastPart(slot.name));
    if (read) offloaded.emplace(slot.name, std::move(read));
  }
  return SaveModel({.class_name = class_name(),
                    .torch_dtype = std::string(DtypeName(*saved_dtype)),
                    .config = config_,
                    .generation_config = generation_config_,
                    .tied_weights_keys = layout_.tied_weights_keys,
                    .keys_to_ignore_on_save = layout_.keys_to_ignore_on_save,
                    .state_dict = state_dict(),
                    .offloaded = std::move(offloaded)},
                   folder, options);
}

void PretrainedModel::TieWeights() {
  // Layout and modules are written side by side, so that the names are there.
  for (const std::vector<std::string>& group : layout_.tree.tied) {
    ABSL_CHECK_OK(TieTensors(group));
  }
  if (layout_.cloned_weights.empty()) return;
  absl::flat_hash_map<std::string, at::Tensor> tensors;
  for (const NamedSlot& slot : TensorSlots()) tensors[slot.name] = slot.tensor;
  for (const auto& [source, copy] : layout_.cloned_weights) {
    ABSL_CHECK_OK(ReplaceTensor(copy, tensors.at(source).detach().clone()));
  }
}

absl::Status PretrainedModel::InitWeights(std::optional<uint64_t> seed) {
  return CatchTorch("initialising weights", [&]() -> absl::Status {
    at::NoGradGuard no_grad;
    std::optional<at::Generator> generator;
    if (seed.has_value()) generator = at::detail::createCPUGenerator(*seed);
    absl::flat_hash_map<std::string, at::Tensor> drawn;
    absl::flat_hash_set<c10::TensorImpl*> seen;
    for (const NamedSlot& slot : TensorSlots()) {
      if (slot.is_buffer) continue;
      if (!seen.insert(slot.tensor.unsafeGetTensorImpl()).second) continue;
      at::Tensor tensor = at::empty(slot.tensor.sizes(),
                                    slot.tensor.options().device(at::kCPU));
      InitializeTensor({.name = slot.name,
                        .owner = *slot.owner,
                        .tensor = tensor,
                        .generator = generator});
      drawn.emplace(slot.name, std::move(tensor));
    }
    absl::Status status = ReplaceTensors(drawn);
    if (!status.ok()) return status;
    TieWeights();
    ForEachModule([](const std::string&, Module& module) {
      module.ComputeBuffers(at::kCPU);
    });
    return absl::OkStatus();
  });
}

absl::StatusOr<NamedTensors> PretrainedModel::PrepareInputsForGeneration(
    const GenerationStep& step) const {
  NamedTensors inputs = step.others;
  if (!inputs.contains("inputs_embeds")) inputs["input_ids"] = step.input_ids;
  if (step.attention_mask.defined()) {
    inputs["attention_mask"] = step.attention_mask;
  }
  if (step.position_ids.defined() &&
      absl::c_linear_search(GenerationInputs(), "position_ids")) {
    inputs["position_ids"] = step.position_ids;
  }
  AddCacheByName("past_key_values", step.past_key_values, inputs);
  return inputs;
}

absl::StatusOr<BaseModelOutput> PretrainedModel::EncodeForGeneration(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return absl::UnimplementedError(
      absl::StrCat(class_name(), " has no encoder to generate from"));
}

void PretrainedModel::WarnIfPaddingAndNoAttentionMask(
    const at::Tensor& input_ids, const at::Tensor& attention_mask) const {
  if (attention_mask.defined() || !input_ids.defined() || !input_ids.is_cpu() ||
      input_ids.dim() != 2 || input_ids.numel() == 0) {
    return;
  }
  const absl::StatusOr<std::optional<int64_t>> pad =
      config_.GetOptionalInt("pad_token_id");
  if (!pad.ok() || !pad->has_value()) return;
  const auto is_padding = [&](int64_t column) {
    return input_ids.select(1, column).eq(**pad).any().item().toBool();
  };
  if (!is_padding(0) && !is_padding(-1)) return;
  std::string also;
  for (const absl::string_view name :
       {"bos_token_id", "eos_token_id", "sep_token_id"}) {
    const nlohmann::ordered_json& id = config_.Get(name);
    if (id.is_number_integer() && id.get<int64_t>() == **pad) {
      absl::StrAppend(&also, also.empty() ? "" : ", ", name);
    }
  }
  if (also.empty()) {
    ABSL_LOG_FIRST_N(WARNING, 1)
        << "input_ids begin or end with pad_token_id, " << **pad
        << ", but no attention_mask says that it is padding; give one";
  } else {
    ABSL_LOG_FIRST_N(WARNING, 1)
        << "input_ids begin or end with pad_token_id, " << **pad
        << ", but no attention_mask says that it is padding; give one, unless "
           "it is text, since it is the "
        << also << ", too";
  }
}

absl::Status PretrainedModel::GradientCheckpointingEnable() {
  return EnableGradientCheckpointing(*this);
}

void PretrainedModel::GradientCheckpointingDisable() {
  DisableGradientCheckpointing(*this);
}

bool PretrainedModel::is_gradient_checkpointing() {
  return IsGradientCheckpointing(*this);
}

bool PretrainedModel::supports_gradient_checkpointing() {
  return SupportsGradientCheckpointing(*this);
}

void PretrainedModel::EnableInputRequireGrads() {
  if (input_require_grads_ != nullptr) return;
  input_require_grads_ = std::make_shared<InputRequireGradsHook>();
  get_input_embeddings()->AddHook(input_require_grads_);
}

absl::Status PretrainedModel::DisableInputRequireGrads() {
  if (input_require_grads_ == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        class_name(), ": EnableInputRequireGrads() is not in effect"));
  }
  get_input_embeddings()->RemoveHook(input_require_grads_.get());
  input_require_grads_ = nullptr;
  return absl::OkStatus();
}

absl::Status PretrainedModel::ToBetterTransformer() {
  return pretrained::ToBetterTransformer(*this);
}

absl::Status PretrainedModel::ReverseBetterTransformer() {
  return pretrained::ReverseBetterTransformer(*this);
}

at::ScalarType PretrainedModel::dtype() {
  const std::vector<NamedSlot> slots = TensorSlots();
  for (const bool of_buffers : {false, true}) {
    std::optional<at::ScalarType> last;
    for (const NamedSlot& slot : slots) {
      if (slot.is_buffer != of_buffers) continue;
      last = slot.tensor.scalar_type();
      if (at::isFloatingType(*last)) return *last;
    }
    if (last.has_value()) return *last;
  }
  return at::kFloat;
}

at::Device PretrainedModel::device() {
  const std::vector<NamedSlot> slots = TensorSlots();
  for (const bool of_buffers : {false, true}) {
    for (const NamedSlot& slot : slots) {
      if (slot.is_buffer == of_buffers) return slot.tensor.device();
    }
  }
  return at::kCPU;
}

absl::Status PretrainedModel::To(const TensorConversion& conversion) {
  return ConvertTensors(*this, conversion);
}

void PretrainedModel::to(torch::Device device, torch::Dtype dtype, bool) {
  const absl::Status status = To({.device = device, .dtype = dtype});
  TORCH_CHECK(status.ok(), std::string(status.message()));
}

void PretrainedModel::to(torch::Dtype dtype, bool) {
  const absl::Status status = To({.dtype = dtype});
  TORCH_CHECK(status.ok(), std::string(status.message()));
}

void PretrainedModel::to(torch::Device device, bool) {
  const absl::Status status = To({.device = device});
  TORCH_CHECK(status.ok(), std::string(status.message()));
}

Module& PretrainedModel::base_model() {
  for (const auto& child : named_children()) {
    auto* const module = dynamic_cast<Module*>(child.value().get());
    if (child.key() == base_model_prefix() && module != nullptr) return *module;
  }
  return *this;
}

NamedTensors PretrainedModel::dummy_inputs() const {
  return {{"input_ids",
           at::tensor({7, 6, 0, 0, 1, 1, 2, 3, 0, 0, 0, 0, 0, 4, 5}, at::kLong)
               .reshape({3, 5})}};
}

absl::Status PretrainedModel::LoadTfWeights(const std::string& path) {
  return absl::NotFoundError(
      absl::StrCat(class_name(),
                   ": no driver that reads TensorFlow checkpoints is linked, "
                   "so that '",
                   path, "' cannot be read; save it as safetensors first"));
}

absl::StatusOr<std::vector<std::string>> PretrainedModel::active_adapters()
    const {
  return absl::UnimplementedError(
      absl::StrCat(class_name(),
                   " has no adapters: PEFT's are not loaded here; merge them "
                   "into the weights and save the model"));
}

void PretrainedModel::add_memory_hooks() {
  if (memory_hooks_ == nullptr) {
    memory_hooks_ = std::make_shared<MemoryHooks>(*this);
  }
  reset_memory_hooks_state();
}

void PretrainedModel::reset_memory_hooks_state() {
  if (memory_hooks_ != nullptr) memory_hooks_->Reset();
}

std::vector<CountedTensor> PretrainedModel::CountedTensors() {
  std::vector<CountedTensor> counted;
  absl::flat_hash_set<c10::TensorImpl*> seen;
  for (const NamedSlot& slot : TensorSlots()) {
    if (!seen.insert(slot.tensor.unsafeGetTensorImpl()).second) continue;
    counted.push_back(
        {.name = slot.name,
         .num_elements = slot.tensor.numel(),
         .element_bytes = static_cast<int64_t>(slot.tensor.element_size()),
         .requires_grad = slot.tensor.requires_grad(),
         .is_buffer = slot.is_buffer,
         .is_embedding_weight =
             !slot.is_buffer &&
             IsEmbeddingWeight(slot.owner->class_name(), LastPart(slot.name))});
  }
  return counted;
}

int64_t PretrainedModel::num_parameters(const CountOptions& options) {
  return CountParameters(CountedTensors(), options);
}

int64_t PretrainedModel::get_memory_footprint(bool return_buffers) {
  return MemoryFootprintBytes(CountedTensors(), return_buffers);
}

int64_t PretrainedModel::estimate_tokens(const NamedTensors& inputs) const {
  auto main_input = inputs.find(layout_.main_input_name);
  if (main_input != inputs.end()) return main_input->second.numel();
  ABSL_LOG_IF(WARNING, !warned_of_tokens_.exchange(true))
      << "the inputs have no '" << layout_.main_input_name
      << "', so that their tokens, and floating-point "
         "operations, count as none";
  return 0;
}

int64_t PretrainedModel::floating_point_ops(const NamedTensors& inputs,
                                            bool exclude_embeddings) {
  return FloatingPointOps(CountedTensors(), estimate_tokens(inputs),
                          exclude_embeddings);
}

}  // namespace pretrained
