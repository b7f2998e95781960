#include "tools/prune_command.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/pretrained_model.h"
#include "tools/command.h"
#include "tools/heads_flag.h"
#include "tools/surgery_command.h"
#include "tools/torch_commands.h"

namespace pretrained {
namespace {

class PruneCommand : public SurgeryCommand {
 public:
  std::string name() const override { return "prune"; }
  std::string summary() const override { return kPruneSummary; }
  std::string examples() const override {
    return "  pretrained prune bert-base-uncased smaller "
           "--heads='{\"0\": [1, 2], \"11\": [0]}'\n"
           "  pretrained prune smaller smaller --heads='{\"3\": [7]}' --json\n"
           "Heads keep the numbers that they had at first; config.json's "
           "pruned_heads says\nwhich are gone. Of grouped keys and values "
           "(LLaMA, Mistral), all heads of a group\ngo together.";
  }

 protected:
  void ConfigureSurgery(CLI::App& app) override {
    app.add_option("--heads", heads_,
                   "JSON {layer: [heads]} of heads to drop for good")
        ->required()
        ->check(CheckHeads);
  }

  absl::Status Operate(PretrainedModel& model) override {
    absl::StatusOr<std::map<int64_t, std::vector<int64_t>>> heads =
        ParseHeads(heads_);
    if (!heads.ok()) return heads.status();
    return model.PruneHeads(*heads);
  }

  std::string ChangedAttribute() const override { return "pruned_heads"; }

 private:
  std::string heads_;
};

}  // namespace

std::unique_ptr<Command> MakePruneCommand() {
  return std::make_unique<PruneCommand>();
}

}  // namespace pretrained
