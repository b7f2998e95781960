#include "tools/diff_command.h"

#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_diff.h"
#include "checkpoint/open_checkpoint.h"
#include "nlohmann/json.hpp"
#include "tools/command.h"
#include "tools/progress_bar.h"
#include "tools/source.h"
#include "tools/text_output.h"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

Json Document(const CheckpointDiff& diff) {
  Json document;
  document["equal"] = diff.is_same();
  document["only_in_a"] = diff.only_in_a;
  document["only_in_b"] = diff.only_in_b;
  document["different"] = Json::array();
  for (const TensorDifference& tensor : diff.different) {
    document["different"].push_back(
        {{"name", tensor.name},
         {"why", tensor.why},
         {"max_abs",
          tensor.max_abs.has_value() ? Json(*tensor.max_abs) : Json(nullptr)}});
  }
  return document;
}

void PrintText(const CheckpointDiff& diff) {
  if (diff.is_same()) {
    std::cout << "equal: all " << diff.same_tensors << " tensors\n";
    return;
  }
  TextTable table({"tensor", "difference", ">max abs"});
  for (const std::string& name : diff.only_in_a) {
    table.AddRow({Printable(name), "only in A", ""});
  }
  for (const std::string& name : diff.only_in_b) {
    table.AddRow({Printable(name), "only in B", ""});
  }
  for (const TensorDifference& tensor : diff.different) {
    table.AddRow(
        {Printable(tensor.name), tensor.why,
         tensor.max_abs.has_value() ? absl::StrCat(*tensor.max_abs) : ""});
  }
  table.Print(std::cout, TerminalWidth());
  std::cout << "\n"
            << diff.only_in_a.size() << " only in A, " << diff.only_in_b.size()
            << " only in B, " << diff.different.size() << " different, "
            << diff.same_tensors << " the same\n";
}

class DiffCommand : public Command {
 public:
  std::string name() const override { return "diff"; }
  std::string summary() const override {
    return "Compares the tensors of two checkpoints of any formats";
  }
  std::string examples() const override {
    return "  pretrained diff bert-base-uncased converted\n"
           "  pretrained diff a.bin b.safetensors --rtol=1e-5 --atol=1e-8\n"
           "Exit code: 0 when they are equal, 3 when they differ.";
  }

  void Configure(CLI::App& app) override {
    app.add_option("A", a_, "Folder of a model, or a weights file")->required();
    app.add_option("B", b_, "What to compare it with")->required();
    app.add_option(
           "--rtol", rtol_,
           "Values up to atol + rtol * |b| apart, and other dtypes, are "
           "no difference; without both, every bit counts")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--atol", atol_, "See --rtol")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--variant", variant_,
                   "Reads A's and B's files of a variant");
    app.add_flag("--json", json_, "Prints one JSON document");
  }

  absl::Status Run() override {
    std::unique_ptr<Checkpoint> checkpoints[2];
    for (int i = 0; i < 2; ++i) {
      const std::string& source = i == 0 ? a_ : b_;
      absl::Status status = CheckSource(source);
      if (!status.ok()) return status;
      absl::StatusOr<std::unique_ptr<Checkpoint>> opened =
          OpenCheckpoint(source, {.variant = variant_});
      if (!opened.ok()) return opened.status();
      checkpoints[i] = *std::move(opened);
    }
    absl::StatusOr<CheckpointDiff> diff = [&] {
      ProgressBar bar("comparing");
      return DiffCheckpoints(*checkpoints[0], *checkpoints[1],
                             {.rtol = rtol_,
                              .atol = atol_,
                              .check_dtype = rtol_ == 0 && atol_ == 0,
                              .progress = [&bar](int64_t done, int64_t total) {
                                bar.Update(done, total);
                              }});
    }();
    if (!diff.ok()) return diff.status();
    differs_ = !diff->is_same();
    if (json_) {
      std::cout << JsonLine(Document(*diff));
    } else {
      PrintText(*diff);
    }
    return absl::OkStatus();
  }

  int exit_code() const override {
    return differs_ ? kExitDifference : kExitOk;
  }

 private:
  std::string a_;
  std::string b_;
  double rtol_ = 0;
  double atol_ = 0;
  std::string variant_;
  bool json_ = false;
  bool differs_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeDiffCommand() {
  return std::make_unique<DiffCommand>();
}

}  // namespace pretrained
