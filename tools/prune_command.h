#ifndef PRETRAINED_TOOLS_PRUNE_COMMAND_H_
#define PRETRAINED_TOOLS_PRUNE_COMMAND_H_

#include <memory>

#include "tools/command.h"

namespace pretrained {

// `pretrained prune SRC DST`: a model without some of its attention heads.
std::unique_ptr<Command> MakePruneCommand();

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_PRUNE_COMMAND_H_
