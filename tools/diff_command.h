#ifndef PRETRAINED_TOOLS_DIFF_COMMAND_H_
#define PRETRAINED_TOOLS_DIFF_COMMAND_H_

#include <memory>

#include "tools/command.h"

namespace pretrained {

// `pretrained diff A B`: compares two checkpoints of any formats.
std::unique_ptr<Command> MakeDiffCommand();

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_DIFF_COMMAND_H_
