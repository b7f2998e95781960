#ifndef PRETRAINED_TOOLS_RESIZE_COMMAND_H_
#define PRETRAINED_TOOLS_RESIZE_COMMAND_H_

#include <memory>

#include "tools/command.h"

namespace pretrained {

// `pretrained resize SRC DST`: a model with a vocabulary of another size.
std::unique_ptr<Command> MakeResizeCommand();

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_RESIZE_COMMAND_H_
