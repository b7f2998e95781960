#ifndef PRETRAINED_TOOLS_LOAD_COMMAND_H_
#define PRETRAINED_TOOLS_LOAD_COMMAND_H_

#include <memory>

#include "tools/command.h"

namespace pretrained {

// `pretrained load SRC`: from_pretrained, and a report of it.
std::unique_ptr<Command> MakeLoadCommand();

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_LOAD_COMMAND_H_
