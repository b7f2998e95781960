// The `pretrained` command. It links no LibTorch, so that commands which need
// no tensors start at once; those which run a model are handed on to
// `pretrained_torch`, which lies beside it.

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/string_view.h"
#include "tools/command.h"
#include "tools/convert_command.h"
#include "tools/diff_command.h"
#include "tools/estimate_command.h"
#include "tools/info_command.h"
#include "tools/inspect_command.h"
#include "tools/plan_command.h"
#include "tools/scan_command.h"
#include "tools/torch_commands.h"

namespace {

using pretrained::CommandSummary;

// Commands of pretrained_torch.
const std::vector<CommandSummary>& HandedOn() {
  static const auto* const commands = new std::vector<CommandSummary>{
      {"load", pretrained::kLoadSummary},
      {"run", pretrained::kRunSummary},
      {"generate", pretrained::kGenerateSummary},
      {"prune", pretrained::kPruneSummary},
      {"resize", pretrained::kResizeSummary}};
  return *commands;
}

// Becomes pretrained_torch; returns only if that fails.
int HandOn(char** argv) {
  std::error_code error;
  const std::filesystem::path self =
      std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string program = self.parent_path() / "pretrained_torch";
  // A short-lived process should not spin at every barrier while others want
  // the cores; OpenMP reads this before main(). A user's own choice stands.
  setenv("OMP_WAIT_POLICY", "PASSIVE", /*overwrite=*/0);
  if (!error) execv(program.c_str(), argv);
  std::cerr << "pretrained: " << program << " cannot be started: "
            << (error ? error.message() : std::strerror(errno))
            << "; it must lie beside this program: build //tools:pretrained\n";
  return pretrained::kExitError;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    for (const CommandSummary& command : HandedOn()) {
      if (command.name == absl::string_view(argv[1])) return HandOn(argv);
    }
  }
  std::vector<std::unique_ptr<pretrained::Command>> commands;
  commands.push_back(pretrained::MakeInspectCommand());
  commands.push_back(pretrained::MakeInfoCommand());
  commands.push_back(pretrained::MakePlanCommand());
  commands.push_back(pretrained::MakeEstimateCommand());
  commands.push_back(pretrained::MakeConvertCommand());
  commands.push_back(pretrained::MakeDiffCommand());
  commands.push_back(pretrained::MakeScanCommand());
  return pretrained::RunCommands(argc, argv, std::move(commands), HandedOn());
}
