#ifndef PRETRAINED_TOOLS_PLAN_COMMAND_H_
#define PRETRAINED_TOOLS_PLAN_COMMAND_H_

#include <memory>

#include "tools/command.h"

namespace pretrained {

// `pretrained plan SRC`: which module goes to which device, without a weight
// read.
std::unique_ptr<Command> MakePlanCommand();

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_PLAN_COMMAND_H_
