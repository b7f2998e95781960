#ifndef PRETRAINED_TOOLS_TORCH_COMMANDS_H_
#define PRETRAINED_TOOLS_TORCH_COMMANDS_H_

namespace pretrained {

// What the list of commands says of those that pretrained_torch runs: both
// programs print it, and one of them links no LibTorch.
inline constexpr char kLoadSummary[] =
    "Loads a model as from_pretrained does, and reports how";
inline constexpr char kRunSummary[] =
    "Runs a model once on tensors from a file";
inline constexpr char kPruneSummary[] =
    "Writes a model again without some of its attention heads";
inline constexpr char kResizeSummary[] =
    "Writes a model again with another number of tokens";
inline constexpr char kGenerateSummary[] =
    "Continues texts from a file, token by token";

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_TORCH_COMMANDS_H_
