#ifndef PRETRAINED_TOOLS_ESTIMATE_COMMAND_H_
#define PRETRAINED_TOOLS_ESTIMATE_COMMAND_H_

#include <memory>

#include "tools/command.h"

namespace pretrained {

// `pretrained estimate SRC`: the memory that a model takes, by dtype.
std::unique_ptr<Command> MakeEstimateCommand();

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_ESTIMATE_COMMAND_H_
