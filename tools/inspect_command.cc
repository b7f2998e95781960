#include "tools/inspect_command.h"

#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "dtypes/dtype.h"
#include "nlohmann/json.hpp"
#include "tools/command.h"
#include "tools/source.h"
#include "tools/text_output.h"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

struct Totals {
  int64_t bytes = 0;
  int64_t parameters = 0;
};

Totals TotalsOf(const Checkpoint& checkpoint) {
  Totals totals;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    totals.bytes += tensor.nbytes();
    totals.parameters += tensor.num_elements();
  }
  return totals;
}

std::string BaseName(const Checkpoint& checkpoint, int file) {
  return std::filesystem::path(checkpoint.files()[file].path).filename();
}

Json Document(const Checkpoint& checkpoint) {
  Json document;
  document["format"] = std::string(checkpoint.format());
  document["files"] = Json::array();
  for (size_t i = 0; i < checkpoint.files().size(); ++i) {
    document["files"].push_back({{"name", BaseName(checkpoint, i)},
                                 {"bytes", checkpoint.files()[i].size_bytes}});
  }
  document["tensors"] = Json::array();
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    document["tensors"].push_back(
        {{"name", tensor.name},
         {"dtype", std::string(DtypeName(tensor.dtype))},
         {"shape", tensor.shape},
         {"nbytes", tensor.nbytes()},
         {"file", BaseName(checkpoint, tensor.file)}});
  }
  const Totals totals = TotalsOf(checkpoint);
  document["total_bytes"] = totals.bytes;
  document["total_parameters"] = totals.parameters;
  document["metadata"] = Json::object();
  for (const auto& [key, value] : checkpoint.metadata()) {
    document["metadata"][key] = value;
  }
  return document;
}

void PrintText(const Checkpoint& checkpoint) {
  const bool several = checkpoint.files().size() > 1;
  TextTable table(several ? std::vector<std::string>{"tensor", "dtype",
                                                     ">shape", ">bytes", "file"}
                          : std::vector<std::string>{"tensor", "dtype",
                                                     ">shape", ">bytes"});
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    table.AddRow({Printable(tensor.name), std::string(DtypeName(tensor.dtype)),
                  HumanShape(tensor.shape), HumanBytes(tensor.nbytes()),
                  Printable(BaseName(checkpoint, tensor.file))});
  }
  table.Print(std::cout, TerminalWidth());
  const Totals totals = TotalsOf(checkpoint);
  std::cout << "\n"
            << checkpoint.tensors().size() << " tensors, "
            << HumanCount(totals.parameters) << " parameters, "
            << HumanBytes(totals.bytes) << "; format " << checkpoint.format();
  for (const CheckpointFile& file : checkpoint.files()) {
    std::cout << "\n"
              << Printable(file.path) << "  " << HumanBytes(file.size_bytes);
  }
  for (const auto& [key, value] : checkpoint.metadata()) {
    std::cout << "\nmetadata " << Printable(key) << " = " << Printable(value);
  }
  std::cout << "\n";
}

class InspectCommand : public Command {
 public:
  std::string name() const override { return "inspect"; }
  std::string summary() const override {
    return "Lists what a checkpoint stores, reading no tensor";
  }
  std::string examples() const override {
    return "  pretrained inspect all-MiniLM-L6-v2\n"
           "  pretrained inspect model.safetensors --json\n"
           "  pretrained inspect pytorch_model.bin --check_crc";
  }

  void Configure(CLI::App& app) override {
    app.add_option("SRC", source_, "Folder of a model, or a weights file")
        ->required();
    app.add_option("--variant", variant_,
                   "Reads the files of a variant: fp16 for "
                   "model.fp16.safetensors");
    app.add_flag(
        "--check_crc", check_crc_,
        "Reads all records of a torch archive and checks their CRC-32");
    app.add_flag("--json", json_, "Prints one JSON document");
  }

  absl::Status Run() override {
    absl::Status status = CheckSource(source_);
    if (!status.ok()) return status;
    absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
        OpenCheckpoint(source_, {.variant = variant_, .check_crc = check_crc_});
    if (!checkpoint.ok()) return checkpoint.status();
    if (json_) {
      std::cout << JsonLine(Document(**checkpoint));
    } else {
      PrintText(**checkpoint);
    }
    return absl::OkStatus();
  }

 private:
  std::string source_;
  std::string variant_;
  bool check_crc_ = false;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeInspectCommand() {
  return std::make_unique<InspectCommand>();
}

}  // namespace pretrained
