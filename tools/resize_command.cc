#include "tools/resize_command.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ATen/Context.h"
#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "modeling/pretrained_model.h"
#include "tools/command.h"
#include "tools/surgery_command.h"
#include "tools/torch_commands.h"

namespace pretrained {
namespace {

class ResizeCommand : public SurgeryCommand {
 public:
  std::string name() const override { return "resize"; }
  std::string summary() const override { return kResizeSummary; }
  std::string examples() const override {
    return "  pretrained resize gpt2 gpt2-longer --tokens=50300 "
           "--pad_to_multiple_of=64 --seed=1\n"
           "  pretrained resize t5-small t5-padded --pad_to_multiple_of=128\n"
           "Rows that stay are the same bits; new ones are drawn as the family "
           "draws new\nweights, new biases are 0. The matrix that scores "
           "tokens "
           "follows.";
  }

 protected:
  void ConfigureSurgery(CLI::App& app) override {
    CLI::Option* tokens = app.add_option("--tokens", tokens_,
                                         "Number of tokens; needs not be "
                                         "given where a multiple is");
    CLI::Option* multiple =
        app.add_option("--pad_to_multiple_of", pad_to_multiple_of_,
                       "Rounds the number of tokens up to a multiple");
    app.add_option("--seed", seed_, "Makes the new rows repeatable");
    app.callback([tokens, multiple] {
      if (tokens->empty() && multiple->empty()) {
        throw CLI::ValidationError("--tokens",
                                   "give it, or --pad_to_multiple_of, or both");
      }
    });
  }

  absl::Status Operate(PretrainedModel& model) override {
    if (seed_.has_value()) at::manual_seed(*seed_);
    return model.ResizeTokenEmbeddings(tokens_, pad_to_multiple_of_);
  }

  std::string ChangedAttribute() const override { return "vocab_size"; }

 private:
  std::optional<int64_t> tokens_;
  std::optional<int64_t> pad_to_multiple_of_;
  std::optional<uint64_t> seed_;
};

}  // namespace

std::unique_ptr<Command> MakeResizeCommand() {
  return std::make_unique<ResizeCommand>();
}

}  // namespace pretrained
