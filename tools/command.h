#ifndef PRETRAINED_TOOLS_COMMAND_H_
#define PRETRAINED_TOOLS_COMMAND_H_

#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"

namespace pretrained {

// Exit codes of the command.
inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;       // An error in data or I/O.
inline constexpr int kExitUsage = 2;       // Wrong usage.
inline constexpr int kExitDifference = 3;  // `diff` found one.

// One command of `pretrained`: its flags and what it does. Results go to
// stdout, a table or, with --json, one document; all else goes to stderr.
class Command {
 public:
  virtual ~Command() = default;

  virtual std::string name() const = 0;      // "inspect"
  virtual std::string summary() const = 0;   // One line.
  virtual std::string examples() const = 0;  // What --help ends with.

  // Declares arguments and flags; `app` then fills them.
  virtual void Configure(CLI::App& app) = 0;
  virtual absl::Status Run() = 0;
  // Of a Run() that was OK: kExitOk or kExitDifference.
  virtual int exit_code() const { return kExitOk; }
};

// Parses `argv` as the arguments of one of `commands` and runs it. Returns the
// process's exit code; errors and help are printed. `overview` is what --help
// says before the list of commands, which names `listed` ones too.
struct CommandSummary {
  std::string name;
  std::string summary;
};
int RunCommands(int argc, char** argv,
                std::vector<std::unique_ptr<Command>> commands,
                const std::vector<CommandSummary>& listed);

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_COMMAND_H_
