#ifndef PRETRAINED_TOOLS_CONVERT_COMMAND_H_
#define PRETRAINED_TOOLS_CONVERT_COMMAND_H_

#include <memory>

#include "tools/command.h"

namespace pretrained {

// `pretrained convert SRC DST`: writes a checkpoint again, in another format.
std::unique_ptr<Command> MakeConvertCommand();

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_CONVERT_COMMAND_H_
