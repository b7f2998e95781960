#ifndef PRETRAINED_TOOLS_INFO_COMMAND_H_
#define PRETRAINED_TOOLS_INFO_COMMAND_H_

#include <memory>

#include "tools/command.h"

namespace pretrained {

// `pretrained info SRC`: what the model is made of, from its config alone.
std::unique_ptr<Command> MakeInfoCommand();

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_INFO_COMMAND_H_
