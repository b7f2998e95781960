// The commands of `pretrained` that run a model, and so link LibTorch. Started
// by `pretrained`, with its arguments.

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "tools/command.h"
#include "tools/generate_command.h"
#include "tools/load_command.h"
#include "tools/prune_command.h"
#include "tools/resize_command.h"
#include "tools/run_command.h"

int main(int argc, char** argv) {
  std::vector<std::unique_ptr<pretrained::Command>> commands;
  commands.push_back(pretrained::MakeLoadCommand());
  commands.push_back(pretrained::MakeRunCommand());
  commands.push_back(pretrained::MakeGenerateCommand());
  commands.push_back(pretrained::MakePruneCommand());
  commands.push_back(pretrained::MakeResizeCommand());
  const int code = pretrained::RunCommands(argc, argv, std::move(commands), {});
  // Outputs are on disk by now. LibTorch's static destructors would unregister
  // every operator, one by one, before the kernel takes the memory anyway.
  std::cout.flush();
  std::fflush(nullptr);
  std::_Exit(code);
}
