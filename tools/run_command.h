#ifndef PRETRAINED_TOOLS_RUN_COMMAND_H_
#define PRETRAINED_TOOLS_RUN_COMMAND_H_

#include <memory>

#include "tools/command.h"

namespace pretrained {

// `pretrained run SRC`: one forward, from tensors in a file to tensors in one.
std::unique_ptr<Command> MakeRunCommand();

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_RUN_COMMAND_H_
