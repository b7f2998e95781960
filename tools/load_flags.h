#ifndef PRETRAINED_TOOLS_LOAD_FLAGS_H_
#define PRETRAINED_TOOLS_LOAD_FLAGS_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "modeling/loading_info.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

// SRC and the flags of every command that loads a model.
class LoadFlags {
 public:
  LoadFlags() = default;
  // `default_dtype` is --dtype's where it is not given: "auto", ..
  explicit LoadFlags(std::string default_dtype)
      : dtype_(std::move(default_dtype)) {}

  void Configure(CLI::App& app);

  // Loads SRC as the flags say, with a progress bar.
  absl::StatusOr<std::shared_ptr<PretrainedModel>> Load(LoadingInfo* info);

 private:
  std::string source_;
  std::string class_name_;
  std::string dtype_;
  std::string device_map_;
  std::string max_memory_;
  std::string offload_folder_;
  std::string variant_;
  std::string revision_;
  std::string subfolder_;
  std::string sharing_ = "auto";
  std::string read_memory_;
  int read_threads_ = 0;
  std::optional<bool> use_safetensors_;
  bool ignore_mismatched_sizes_ = false;
};

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_LOAD_FLAGS_H_
