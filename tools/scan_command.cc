#include "tools/scan_command.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/pickle/pickle_globals.h"
#include "checkpoint/torch/pickle_scan.h"
#include "nlohmann/json.hpp"
#include "tools/command.h"
#include "tools/source.h"
#include "tools/text_output.h"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

std::string FullName(const ScannedGlobal& global) {
  return absl::StrCat(global.module, ".", global.name);
}

// SRC, or every regular file of the folder SRC, sorted.
absl::StatusOr<std::vector<std::string>> FilesOf(const std::string& source) {
  std::error_code error;
  if (!std::filesystem::is_directory(source, error)) {
    return std::vector<std::string>{source};
  }
  std::vector<std::string> files;
  std::filesystem::recursive_directory_iterator it(source, error), end;
  for (; !error && it != end; it.increment(error)) {
    if (it->is_regular_file(error)) files.push_back(it->path().string());
  }
  if (error) {
    return absl::PermissionDeniedError(
        absl::StrCat(source, ": the folder cannot be listed: ", error.message(),
                     "; check its permissions"));
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Whether nothing but what checkpoints need would be imported.
bool IsSafe(const std::vector<ScannedFile>& files) {
  for (const ScannedFile& file : files) {
    for (const ScannedGlobal& global : file.globals) {
      if (global.global_class != PickleGlobalClass::kKnown) return false;
    }
  }
  return true;
}

Json Document(const std::vector<ScannedFile>& files) {
  Json document;
  document["safe"] = IsSafe(files);
  std::vector<std::string> names;
  Json by_file = Json::array();
  for (const ScannedFile& file : files) {
    Json globals = Json::array();
    for (const ScannedGlobal& global : file.globals) {
      const std::string name = FullName(global);
      globals.push_back(
          {{"name", name},
           {"class", std::string(PickleGlobalClassName(global.global_class))}});
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        names.push_back(name);
      }
    }
    by_file.push_back({{"path", file.path},
                       {"format", file.format},
                       {"globals", std::move(globals)}});
  }
  document["globals"] = names;
  document["files"] = std::move(by_file);
  return document;
}

void PrintText(const std::vector<ScannedFile>& files) {
  TextTable table({"global", "class", "file"});
  for (const ScannedFile& file : files) {
    for (const ScannedGlobal& global : file.globals) {
      table.AddRow({Printable(FullName(global)),
                    std::string(PickleGlobalClassName(global.global_class)),
                    Printable(file.path)});
    }
  }
  table.Print(std::cout, TerminalWidth());
  std::cout << "\n"
            << (IsSafe(files)
                    ? "safe: nothing but what checkpoints need"
                    : "not safe: Python would import more than checkpoints "
                      "need; pretrained never runs any of it")
            << "\n";
}

class ScanCommand : public Command {
 public:
  std::string name() const override { return "scan"; }
  std::string summary() const override {
    return "Lists what the pickles in SRC would import, running nothing";
  }
  std::string examples() const override {
    return "  pretrained scan pytorch_model.bin\n"
           "  pretrained scan downloaded-model --json\n"
           "Classes: known (what checkpoints need), unknown (kept as inert "
           "records),\ndangerous (there only to execute; such a file is "
           "refused).";
  }

  void Configure(CLI::App& app) override {
    app.add_option("SRC", source_,
                   "A file, or a folder, all files of which are looked at")
        ->required();
    app.add_flag("--json", json_, "Prints one JSON document");
  }

  absl::Status Run() override {
    absl::Status status = CheckSource(source_);
    if (!status.ok()) return status;
    const absl::StatusOr<std::vector<std::string>> paths = FilesOf(source_);
    if (!paths.ok()) return paths.status();
    std::vector<ScannedFile> files;
    for (const std::string& path : *paths) {
      absl::StatusOr<ScannedFile> file = ScanPickles(path);
      if (!file.ok()) return file.status();
      if (!file->format.empty()) files.push_back(*std::move(file));
    }
    if (json_) {
      std::cout << JsonLine(Document(files));
    } else {
      PrintText(files);
    }
    return absl::OkStatus();
  }

 private:
  std::string source_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeScanCommand() {
  return std::make_unique<ScanCommand>();
}

}  // namespace pretrained
