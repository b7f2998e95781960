#ifndef PRETRAINED_TOOLS_SCAN_COMMAND_H_
#define PRETRAINED_TOOLS_SCAN_COMMAND_H_

#include <memory>

#include "tools/command.h"

namespace pretrained {

// `pretrained scan SRC`: what the pickles of a file or folder would import.
std::unique_ptr<Command> MakeScanCommand();

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_SCAN_COMMAND_H_
