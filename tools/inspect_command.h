#ifndef PRETRAINED_TOOLS_INSPECT_COMMAND_H_
#define PRETRAINED_TOOLS_INSPECT_COMMAND_H_

#include <memory>

#include "tools/command.h"

namespace pretrained {

// `pretrained inspect SRC`: lists what is stored, reading no tensor data.
std::unique_ptr<Command> MakeInspectCommand();

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_INSPECT_COMMAND_H_
