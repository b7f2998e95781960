#ifndef PRETRAINED_TOOLS_SURGERY_COMMAND_H_
#define PRETRAINED_TOOLS_SURGERY_COMMAND_H_

#include <cstdint>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "checkpoint/save/save_checkpoint.h"
#include "modeling/pretrained_model.h"
#include "nlohmann/json.hpp"
#include "tools/command.h"
#include "tools/load_flags.h"

namespace pretrained {

// A command that loads a model from SRC, gives it other weights, and writes it
// to DST, in the dtype it is stored in unless --dtype says another. Weights
// that stay go from SRC's mapped files to DST's, without a copy in between.
class SurgeryCommand : public Command {
 public:
  void Configure(CLI::App& app) final;
  absl::Status Run() final;

 protected:
  // Flags of its own.
  virtual void ConfigureSurgery(CLI::App& app) = 0;
  virtual absl::Status Operate(PretrainedModel& model) = 0;
  // The attribute of the config that changed: "vocab_size".
  virtual std::string ChangedAttribute() const = 0;

 private:
  struct Report {
    std::string class_name;
    nlohmann::ordered_json changed;
    int64_t parameters_before = 0;
    int64_t parameters = 0;
    double seconds = 0;
  };

  void Print(const Report& report, const SavedCheckpoint& saved) const;

  LoadFlags flags_{"auto"};
  std::string destination_;
  std::string max_shard_size_ = "10GB";
  bool json_ = false;
};

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_SURGERY_COMMAND_H_
