#include "tools/run_command.h"

#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "c10/core/InferenceMode.h"
#include "dtypes/dtype.h"
#include "modeling/loading_info.h"
#include "modeling/model_output.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_bridge.h"
#include "modeling/tensor_file.h"
#include "nlohmann/json.hpp"
#include "tools/command.h"
#include "tools/heads_flag.h"
#include "tools/load_flags.h"
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

std::string NameOfDtype(const at::Tensor& tensor) {
  absl::StatusOr<Dtype> dtype = ToDtype(tensor.scalar_type());
  return dtype.ok() ? std::string(DtypeName(*dtype)) : "unknown";
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
                 "Also says the floating-point operations of forward and "
                 "backward (always in --json)");
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

    ForwardOptions options{.use_cache = false};
    if (output_attentions_) options.output_attentions = true;
    if (output_hidden_states_) options.output_hidden_states = true;
    const absl::Time start = absl::Now();
    absl::StatusOr<ModelOutput> output = [&] {
      c10::InferenceMode no_gradients;
      return (*model)->Call(*inputs, options);
    }();
    if (!output.ok()) return output.status();
    const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
    const auto fields = WithoutCache(*output);
    status = WriteTensorFile(outputs_, fields);
    if (!status.ok()) return status;
    Print(fields, seconds, (*model)->floating_point_ops(*inputs));
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

  void Print(const std::vector<std::pair<std::string, at::Tensor>>& fields,
             double seconds, int64_t operations) const {
    if (json_) {
      Json outputs = Json::array();
      for (const auto& [name, tensor] : fields) {
        outputs.push_back({{"name", name},
                           {"dtype", NameOfDtype(tensor)},
                           {"shape", tensor.sizes().vec()}});
      }
      const Json document = {{"outputs", outputs},
                             {"seconds", seconds},
                             {"floating_point_ops", operations}};
      std::cout << JsonLine(document);
      return;
    }
    TextTable table({"output", "dtype", ">shape"});
    for (const auto& [name, tensor] : fields) {
      table.AddRow(
          {name, NameOfDtype(tensor), HumanShape(tensor.sizes().vec())});
    }
    table.Print(std::cout, TerminalWidth());
    std::cout << absl::StrFormat("\nforward in %.4f s; written to ", seconds)
              << Printable(outputs_) << "\n";
    if (flops_) {
      std::cout << "floating-point operations of forward and backward: "
                << operations << "\n";
    }
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
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeRunCommand() {
  return std::make_unique<RunCommand>();
}

}  // namespace pretrained
