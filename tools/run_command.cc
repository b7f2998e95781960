#include "tools/run_command.h"

#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "c10/core/InferenceMode.h"
#include "modeling/exact_flops.h"
#include "modeling/loading_info.h"
#include "modeling/memory_hooks.h"
#include "modeling/model_output.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_file.h"
#include "nlohmann/json.hpp"
#include "tools/command.h"
#include "tools/heads_flag.h"
#include "tools/load_flags.h"
#include "tools/run_report.h"
#include "tools/text_output.h"
#include "tools/torch_commands.h"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

// What is written: everything but the key/value cache.
std::vector<std::pair<std::string, at::Tensor>> WithoutCache(
    const ModelOutput& output) {
  std::vector<std::pair<std::string, at::Tensor>> fields;
  for (const auto& field : output.fields) {
    if (!absl::StartsWith(field.first, "past_key_values")) {
      fields.push_back(field);
    }
  }
  return fields;
}

class RunCommand : public Command {
 public:
  std::string name() const override { return "run"; }
  std::string summary() const override { return kRunSummary; }
  std::string examples() const override {
    return "  pretrained run all-MiniLM-L6-v2 --inputs=ids.safetensors "
           "--outputs=out.safetensors\n"
           "  pretrained run DIR --inputs=I.safetensors "
           "--outputs=O.safetensors --output_attentions \\\n"
           "      --prune_heads='{\"0\": [1, 3]}' --json\n"
           "  pretrained run DIR --inputs=I.safetensors "
           "--outputs=O.safetensors --flops --memory\n"
           "Inputs are named as forward's arguments are (input_ids, "
           "attention_mask, ..),\noutputs as the peer's ModelOutput; members "
           "of a tuple are NAME.0, NAME.1, ..";
  }

  void Configure(CLI::App& app) override {
    flags_.Configure(app);
    app.add_option("--inputs", inputs_, "Safetensors file of the inputs")
        ->required();
    app.add_option("--outputs", outputs_,
                   "Safetensors file to write the outputs to")
        ->required();
    app.add_flag("--output_hidden_states", output_hidden_states_,
                 "Also the hidden states before and after each layer");
    app.add_flag("--output_attentions", output_attentions_,
                 "Also the attention probabilities of each layer");
    app.add_option("--prune_heads", prune_heads_,
                   "JSON {layer: [heads]} of heads to drop first")
        ->check(CheckHeads);
    app.add_option("--resize_token_embeddings", num_tokens_,
                   "Number of tokens to give the embeddings first");
    app.add_option("--pad_to_multiple_of", pad_to_multiple_of_,
                   "Rounds the number of tokens up to a multiple");
    app.add_flag("--flops", flops_,
                 "Also counts the forward's floating-point operations, by "
                 "operator");
    app.add_flag("--memory", memory_,
                 "Also says by how much each module's forward grew the "
                 "process's memory");
    app.add_flag("--json", json_, "Prints one JSON document");
  }

  absl::Status Run() override {
    LoadingInfo info;
    absl::StatusOr<std::shared_ptr<PretrainedModel>> model = flags_.Load(&info);
    if (!model.ok()) return model.status();
    absl::Status status = Operate(**model);
    if (!status.ok()) return status;
    absl::StatusOr<NamedTensors> inputs = ReadTensorFile(inputs_);
    if (!inputs.ok()) return inputs.status();
    RunReport report{.outputs_file = outputs_};
    status = Forward(**model, *inputs, report);
    if (!status.ok()) return status;
    status = WriteTensorFile(outputs_, report.outputs);
    if (!status.ok()) return status;
    if (json_) {
      std::cout << JsonLine(ToJson(report));
    } else {
      PrintReport(report, TerminalWidth(), std::cout);
    }
    return absl::OkStatus();
  }

 private:
  // Surgery that the flags ask for.
  absl::Status Operate(PretrainedModel& model) const {
    if (!prune_heads_.empty()) {
      absl::StatusOr<std::map<int64_t, std::vector<int64_t>>> heads =
          ParseHeads(prune_heads_);
      if (!heads.ok()) return heads.status();
      absl::Status status = model.PruneHeads(*heads);
      if (!status.ok()) return status;
    }
    if (num_tokens_.has_value() || pad_to_multiple_of_.has_value()) {
      return model.ResizeTokenEmbeddings(num_tokens_, pad_to_multiple_of_);
    }
    return absl::OkStatus();
  }

  // Runs the model once, with what records the run around it.
  absl::Status Forward(PretrainedModel& model, const NamedTensors& inputs,
                       RunReport& report) const {
    ForwardOptions options{.use_cache = false};
    if (output_attentions_) options.output_attentions = true;
    if (output_hidden_states_) options.output_hidden_states = true;
    c10::InferenceMode no_gradients;
    std::optional<FlopCounter> counter;
    if (flops_) counter.emplace();
    if (memory_) model.add_memory_hooks();
    const int64_t resident = ResidentBytes();
    const absl::Time start = absl::Now();
    const absl::StatusOr<ModelOutput> output = model.Call(inputs, options);
    if (!output.ok()) return output.status();
    report.seconds = absl::ToDoubleSeconds(absl::Now() - start);
    if (memory_) {
      report.memory = model.memory_hooks()->memory();
      // A model's Call() is no module's; what it took is told all the same.
      ModuleMemory& all = report.memory->front();
      all.calls = 1;
      all.mem_rss_pre_forward = resident;
      all.mem_rss_post_forward = ResidentBytes();
      all.mem_rss_diff = all.mem_rss_post_forward - resident;
    }
    if (flops_) report.flops = counter->Count();
    report.outputs = WithoutCache(*output);
    report.floating_point_ops = model.floating_point_ops(inputs);
    return absl::OkStatus();
  }

  LoadFlags flags_;
  std::string inputs_;
  std::string outputs_;
  std::string prune_heads_;
  std::optional<int64_t> num_tokens_;
  std::optional<int64_t> pad_to_multiple_of_;
  bool output_hidden_states_ = false;
  bool output_attentions_ = false;
  bool flops_ = false;
  bool memory_ = false;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeRunCommand() {
  return std::make_unique<RunCommand>();
}

}  // namespace pretrained
