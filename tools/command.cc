#include "tools/command.h"

#include <algorithm>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace pretrained {
namespace {

constexpr char kOverview[] =
    "Loads pretrained models: lists what a checkpoint holds, converts and "
    "compares\ncheckpoints, says what a model is made of, loads it and runs it."
    "\nSRC is a folder with config.json and weights, or a file.";

std::string Footer(const std::vector<CommandSummary>& listed) {
  std::string footer;
  for (const CommandSummary& command : listed) {
    absl::StrAppend(&footer, "  ", command.name,
                    std::string(22 - command.name.size(), ' '), command.summary,
                    "\n");
  }
  absl::StrAppend(
      &footer,
      "\nExit codes: 0 done, 1 an error in data or I/O, 2 wrong "
      "usage, 3 a difference.\nEach command has --help, with examples.");
  return footer;
}

// What a user sees of `status`: the message, which says it all.
int Report(const std::string& command, const absl::Status& status) {
  if (status.ok()) return kExitOk;
  std::cout.flush();
  std::cerr << "pretrained " << command << ": " << status.message() << "\n";
  return kExitError;
}

}  // namespace

int RunCommands(int argc, char** argv,
                std::vector<std::unique_ptr<Command>> commands,
                const std::vector<CommandSummary>& listed) {
  absl::InitializeLog();
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kWarning);
  try {
    CLI::App app(kOverview, "pretrained");
    app.require_subcommand(1);
    app.footer(Footer(listed));
    for (const auto& command : commands) {
      CLI::App* sub = app.add_subcommand(command->name(), command->summary());
      sub->footer(absl::StrCat("Examples:\n", command->examples()));
      command->Configure(*sub);
    }
    const bool known =
        argc < 2 || argv[1][0] == '-' ||
        std::any_of(commands.begin(), commands.end(),
                    [&](const auto& c) { return c->name() == argv[1]; });
    if (!known) {
      std::cerr << "pretrained: there is no command '" << argv[1]
                << "'; pretrained --help lists them\n";
      return kExitUsage;
    }
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      // --help is a "parse error" too, with exit code 0.
      return app.exit(error) == 0 ? kExitOk : kExitUsage;
    }
    for (const auto& command : commands) {
      if (!app.got_subcommand(command->name())) continue;
      const absl::Status status = command->Run();
      std::cout.flush();
      if (status.ok() && !std::cout) {
        return Report(command->name(),
                      absl::UnavailableError("stdout cannot be written"));
      }
      return status.ok() ? command->exit_code()
                         : Report(command->name(), status);
    }
    return kExitUsage;
  } catch (const std::exception& error) {
    std::cerr << "pretrained: " << error.what() << "\n";
    return kExitError;
  }
}

}  // namespace pretrained
