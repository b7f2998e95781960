// The commands of `pretrained` that run a model, and so link LibTorch. Started
// by `pretrained`, with its arguments.

#include <memory>
#include <utility>
#include <vector>

#include "tools/command.h"
#include "tools/load_command.h"
#include "tools/run_command.h"

int main(int argc, char** argv) {
  std::vector<std::unique_ptr<pretrained::Command>> commands;
  commands.push_back(pretrained::MakeLoadCommand());
  commands.push_back(pretrained::MakeRunCommand());
  return pretrained::RunCommands(argc, argv, std::move(commands), {});
}
