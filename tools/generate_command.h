#ifndef PRETRAINED_TOOLS_GENERATE_COMMAND_H_
#define PRETRAINED_TOOLS_GENERATE_COMMAND_H_

#include <memory>

#include "tools/command.h"

namespace pretrained {

// `pretrained generate`: continues texts from a file.
std::unique_ptr<Command> MakeGenerateCommand();

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_GENERATE_COMMAND_H_
