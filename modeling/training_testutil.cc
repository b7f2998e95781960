#include "modeling/training_testutil.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "c10/util/ThreadLocalDebugInfo.h"
#include "modeling/auto_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/from_pretrained_options.h"
#include "modeling/json_testutil.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {

std::vector<std::string> TrainingFixtures() {
  std::vector<std::string> fixtures;
  for (const absl::string_view name :
       {"BertForMaskedLM", "BertForSequenceClassification", "BertModel",
        "BloomForCausalLM", "DistilBertModel", "GPT2LMHeadModel",
        "GPTNeoXForCausalLM", "LlamaForCausalLM", "MistralForCausalLM",
        "OPTForCausalLM", "RobertaForMaskedLM", "T5ForConditionalGeneration",
        "T5ForConditionalGeneration-v1_1"}) {
    fixtures.push_back(absl::StrCat("testdata/models/", name));
  }
  return fixtures;
}

std::string FixtureTestName(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param.substr(info.param.rfind('/') + 1);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

absl::StatusOr<std::shared_ptr<PretrainedModel>> LoadWithDropout(
    const std::string& fixture, double dropout) {
  const auto facts = ReadJsonFile(absl::StrCat(fixture, "/facts.json"));
  absl::StatusOr<const ModelClass*> found =
      FindModel(facts["class"].get<std::string>());
  if (!found.ok()) return found.status();
  const auto config = ReadJsonFile(absl::StrCat(fixture, "/config.json"));
  FromPretrainedOptions options;
  for (const char* name :
       {"attention_probs_dropout_prob", "hidden_dropout_prob",
        "attention_dropout", "hidden_dropout", "dropout", "attn_pdrop",
        "embd_pdrop", "resid_pdrop", "dropout_rate"}) {
    if (config.contains(name)) options.kwargs[name] = dropout;
  }
  return LoadPretrained(**found, fixture, options);
}

NamedTensors TrainingInputs(const std::string& fixture) {
  NamedTensors inputs =
      ReadGolden(absl::StrCat(fixture, "/io.safetensors"), "in.");
  inputs.erase("labels");
  return inputs;
}

absl::StatusOr<at::Tensor> FirstOutput(PretrainedModel& model,
                                       const NamedTensors& inputs,
                                       const ForwardOptions& options) {
  absl::StatusOr<ModelOutput> output = model.Call(inputs, options);
  if (!output.ok()) return output.status();
  for (const absl::string_view name : {"logits", "last_hidden_state"}) {
    if (const at::Tensor* found = output->find(name)) return *found;
  }
  return absl::NotFoundError("neither logits nor last_hidden_state");
}

at::Tensor LossOf(const at::Tensor& output) {
  const at::Tensor weights =
      at::arange(output.numel(), at::kDouble).sin().to(at::kFloat);
  return (output.flatten() * weights).sum() / output.numel();
}

std::map<std::string, at::Tensor> TakeGradients(torch::nn::Module& model) {
  std::map<std::string, at::Tensor> gradients;
  for (auto& entry : model.named_parameters()) {
    gradients[entry.key()] = entry.value().grad();
    entry.value().mutable_grad() = at::Tensor();
  }
  return gradients;
}

class MemoryCounter::Reporter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t size, size_t, size_t,
                         c10::Device) override {
    live_ += size;
    peak_ = std::max(peak_, live_);
  }
  bool memoryProfilingEnabled() const override { return true; }

  int64_t live() const { return live_; }
  int64_t peak() const { return peak_; }

 private:
  int64_t live_ = 0;
  int64_t peak_ = 0;
};

struct MemoryCounter::Guard {
  c10::DebugInfoGuard guard;
};

MemoryCounter::MemoryCounter()
    : reporter_(std::make_shared<Reporter>()),
      guard_(new Guard{c10::DebugInfoGuard(c10::DebugInfoKind::PROFILER_STATE,
                                           reporter_)}) {}

MemoryCounter::~MemoryCounter() = default;

int64_t MemoryCounter::live_bytes() const { return reporter_->live(); }
int64_t MemoryCounter::peak_bytes() const { return reporter_->peak(); }

}  // namespace pretrained
