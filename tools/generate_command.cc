#include "tools/generate_command.h"

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
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "generation/generate.h"
#include "modeling/generation_config.h"
#include "modeling/loading_info.h"
#include "modeling/model_output.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_file.h"
#include "nlohmann/json.hpp"
#include "tools/command.h"
#include "tools/load_flags.h"
#include "tools/text_output.h"
#include "tools/torch_commands.h"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

// Attributes of a GenerationConfig that say nothing of how to generate.
bool IsSetting(absl::string_view name) {
  return name != "generation_kwargs" && name != "transformers_version" &&
         name[0] != '_';
}

// A flag's value: JSON, a list without its brackets (2,5), or text.
Json ParseSetting(const std::string& text) {
  for (const std::string& json : {text, absl::StrCat("[", text, "]")}) {
    Json value = Json::parse(json.begin(), json.end(), nullptr, false);
    if (!value.is_discarded()) return value;
  }
  return text;
}

absl::Span<const int64_t> Ids(const at::Tensor& row) {
  return {row.data_ptr<int64_t>(), static_cast<size_t>(row.numel())};
}

class GenerateCommand : public Command {
 public:
  std::string name() const override { return "generate"; }
  std::string summary() const override { return kGenerateSummary; }
  std::string examples() const override {
    return "  pretrained generate gpt2 --inputs=ids.safetensors "
           "--outputs=out.safetensors --max_new_tokens=20\n"
           "  pretrained generate DIR --inputs=I.safetensors "
           "--outputs=O.safetensors --num_beams=4 \\\n"
           "      --eos_token_id=2,5 --length_penalty=0.8 --json\n"
           "  pretrained generate DIR --inputs=I.safetensors "
           "--outputs=O.safetensors --do_sample=true \\\n"
           "      --top_k=40 --temperature=0.7 --seed=1\n"
           "Inputs are input_ids, attention_mask (rows of different length are "
           "padded on the left),\nand others by the names of forward's "
           "arguments. Settings are those of generation_config.json,\nand "
           "override it; their values are JSON, or lists without brackets. "
           "Each step prints a line\nof the new ids, one for each text; with "
           "beams the texts are printed at the end.\nOutputs: sequences; with "
           "beams sequences_scores; with --output_scores scores.STEP.";
  }

  void Configure(CLI::App& app) override {
    flags_.Configure(app);
    app.add_option("--inputs", inputs_, "Safetensors file of the inputs")
        ->required();
    app.add_option("--outputs", outputs_,
                   "Safetensors file to write the texts to")
        ->required();
    app.add_option("--seed", seed_, "Makes what is drawn repeatable");
    app.add_flag("--json", json_, "Prints one JSON document");
    const Json defaults = GenerationConfig().ToJson(/*use_diff=*/false);
    for (const auto& [name, value] : defaults.items()) {
      if (!IsSetting(name)) continue;
      const std::string flag = absl::StrCat("--", name);
      const std::string help = absl::StrCat("Default ", value.dump());
      std::string& text = settings_[name];
      CLI::Option* const option = value.is_boolean()
                                      ? app.add_flag(flag, text, help)
                                      : app.add_option(flag, text, help);
      option->group("Settings, instead of generation_config.json's");
      options_[name] = option;
    }
  }

  absl::Status Run() override {
    LoadingInfo info;
    absl::StatusOr<std::shared_ptr<PretrainedModel>> model = flags_.Load(&info);
    if (!model.ok()) return model.status();
    absl::StatusOr<NamedTensors> inputs = ReadTensorFile(inputs_);
    if (!inputs.ok()) return inputs.status();

    GenerateOptions options{.seed = seed_};
    for (const auto& [name, option] : options_) {
      if (option->count() == 0) continue;
      options.settings.emplace_back(name, ParseSetting(settings_[name]));
    }
    const bool streams = !json_ && !HasBeams(**model);
    if (streams) {
      options.on_tokens = [](const at::Tensor& ids) {
        std::cout << absl::StrJoin(Ids(ids), " ") << "\n" << std::flush;
        return absl::OkStatus();
      };
    }
    const absl::Time start = absl::Now();
    absl::StatusOr<GenerateOutput> output = Generate(**model, *inputs, options);
    if (!output.ok()) return output.status();
    const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
    absl::Status status = Write(*output);
    if (!status.ok()) return status;
    if (!json_ && !streams) {
      for (int64_t i = 0; i < output->sequences.size(0); ++i) {
        std::cout << absl::StrJoin(Ids(output->sequences.select(0, i)), " ")
                  << "\n";
      }
    }
    Print(output->new_tokens * output->sequences.size(0), seconds);
    return absl::OkStatus();
  }

 private:
  // Whether the texts are known only at the end.
  bool HasBeams(const PretrainedModel& model) {
    if (options_["num_beams"]->count() > 0) {
      return ParseSetting(settings_["num_beams"]) != 1;
    }
    const auto& config = model.generation_config();
    return config.has_value() && config->Get("num_beams") != 1;
  }

  absl::Status Write(const GenerateOutput& output) const {
    std::vector<std::pair<std::string, at::Tensor>> fields = {
        {"sequences", output.sequences}};
    if (output.sequences_scores.defined()) {
      fields.emplace_back("sequences_scores", output.sequences_scores);
    }
    for (size_t i = 0; i < output.scores.size(); ++i) {
      fields.emplace_back(absl::StrCat("scores.", i), output.scores[i]);
    }
    return WriteTensorFile(outputs_, fields);
  }

  void Print(int64_t tokens, double seconds) const {
    if (json_) {
      const Json document = {{"tokens", tokens}, {"seconds", seconds}};
      std::cout << JsonLine(document);
      return;
    }
    std::cout << absl::StrFormat(
                     "\n%d new tokens in %.4f s, %.1f a second; written to ",
                     tokens, seconds, static_cast<double>(tokens) / seconds)
              << Printable(outputs_) << "\n";
  }

  LoadFlags flags_;
  std::string inputs_;
  std::string outputs_;
  std::optional<uint64_t> seed_;
  bool json_ = false;
  std::map<std::string, std::string> settings_;  // As text.
  std::map<std::string, CLI::Option*> options_;  // Of those.
};

}  // namespace

std::unique_ptr<Command> MakeGenerateCommand() {
  return std::make_unique<GenerateCommand>();
}

}  // namespace pretrained
