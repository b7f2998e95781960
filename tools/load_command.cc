#include "tools/load_command.h"

#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "modeling/loading_info.h"
#include "modeling/pretrained_model.h"
#include "nlohmann/json.hpp"
#include "tools/command.h"
#include "tools/load_flags.h"
#include "tools/process_memory.h"
#include "tools/text_output.h"
#include "tools/torch_commands.h"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

struct Report {
  LoadingInfo info;
  double seconds = 0;  // Loading, and touching where asked for.
  int64_t peak_rss_bytes = 0;
  int64_t peak_private_bytes = 0;

  double gb_per_second() const {
    return seconds > 0 ? static_cast<double>(info.bytes) / 1e9 / seconds : 0;
  }
};

// Reads a byte of every page of every tensor.
void TouchPages(PretrainedModel& model) {
  constexpr int64_t kPageBytes = 4096;
  volatile char sink = 0;
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    if (!slot.tensor.is_cpu()) continue;  // Offloaded.
    const auto* bytes = static_cast<const char*>(slot.tensor.const_data_ptr());
    const auto size = static_cast<int64_t>(slot.tensor.nbytes());
    for (int64_t i = 0; i < size; i += kPageBytes) sink = sink ^ bytes[i];
    if (size > 0) sink = sink ^ bytes[size - 1];
  }
}

Json Document(const PretrainedModel& model, const Report& report) {
  Json mismatched = Json::array();
  for (const MismatchedKey& key : report.info.mismatched_keys) {
    mismatched.push_back({{"name", key.name},
                          {"checkpoint_shape", key.checkpoint_shape},
                          {"model_shape", key.model_shape}});
  }
  Json files = Json::array();
  for (const LoadingInfo::File& file : report.info.loaded_files) {
    files.push_back({{"path", file.path},
                     {"engine", file.engine},
                     {"read_bytes", file.read_bytes},
                     {"gb_per_second", file.gb_per_second}});
  }
  Json device_map = Json::object();
  for (const auto& [module, device] : model.hf_device_map()) {
    int64_t ordinal;
    if (absl::SimpleAtoi(device, &ordinal)) {
      device_map[module] = ordinal;
    } else {
      device_map[module] = device;
    }
  }
  return {{"class", model.class_name()},
          {"dtype", report.info.dtype},
          {"engine", report.info.engine},
          {"files", files},
          {"seconds", report.seconds},
          {"bytes", report.info.bytes},
          {"gb_per_second", report.gb_per_second()},
          {"peak_rss_bytes", report.peak_rss_bytes},
          {"peak_private_bytes", report.peak_private_bytes},
          {"missing_keys", report.info.missing_keys},
          {"unexpected_keys", report.info.unexpected_keys},
          {"mismatched_keys", mismatched},
          {"error_msgs", report.info.error_msgs},
          {"hf_device_map", device_map},
          {"bytes_by_device", report.info.bytes_by_device}};
}

void PrintText(PretrainedModel& model, const Report& report) {
  const int64_t parameters = model.num_parameters();
  std::cout << "class          " << model.class_name() << ", "
            << HumanCount(parameters) << " parameters in " << report.info.dtype
            << "\n";
  for (const std::string& file : report.info.files) {
    std::cout << "from           " << Printable(file) << "\n";
  }
  for (const LoadingInfo::File& file : report.info.loaded_files) {
    if (file.read_bytes == 0) continue;
    std::cout << "read           " << HumanBytes(file.read_bytes) << ", "
              << file.engine
              << absl::StrFormat(", at %.2f GB/s, of ", file.gb_per_second)
              << Printable(file.path) << "\n";
  }
  std::cout << "weights        " << HumanBytes(report.info.bytes) << ", "
            << report.info.engine
            << absl::StrFormat(", in %.4f s (%.1f GB/s)\n", report.seconds,
                               report.gb_per_second())
            << "placed         "
            << absl::StrJoin(report.info.bytes_by_device, ", ",
                             [](std::string* out, const auto& held) {
                               absl::StrAppend(out, HumanBytes(held.second),
                                               " on ", held.first);
                             })
            << "\n"
            << "peak memory    " << HumanBytes(report.peak_private_bytes)
            << " private, " << HumanBytes(report.peak_rss_bytes)
            << " resident in all\n"
            << "missing keys   "
            << (report.info.missing_keys.empty()
                    ? "none"
                    : absl::StrJoin(report.info.missing_keys, ", "))
            << "\nunexpected     "
            << (report.info.unexpected_keys.empty()
                    ? "none"
                    : absl::StrJoin(report.info.unexpected_keys, ", "))
            << "\n";
  for (const MismatchedKey& key : report.info.mismatched_keys) {
    std::cout << "mismatched     " << Printable(key.name) << " "
              << HumanShape(key.checkpoint_shape) << " instead of "
              << HumanShape(key.model_shape) << "\n";
  }
}

class LoadCommand : public Command {
 public:
  std::string name() const override { return "load"; }
  std::string summary() const override { return kLoadSummary; }
  std::string examples() const override {
    return "  pretrained load all-MiniLM-L6-v2\n"
           "  pretrained load all-MiniLM-L6-v2 --dtype=float16 --touch --json";
  }

  void Configure(CLI::App& app) override {
    flags_.Configure(app);
    app.add_flag("--touch", touch_,
                 "Reads every page of every weight once, so that a mapped load "
                 "compares with a copied one");
    app.add_flag("--json", json_, "Prints one JSON document");
  }

  absl::Status Run() override {
    Report report;
    PrivateMemorySampler sampler;
    const absl::Time start = absl::Now();
    absl::StatusOr<std::shared_ptr<PretrainedModel>> model =
        flags_.Load(&report.info);
    if (!model.ok()) return model.status();
    if (touch_) TouchPages(**model);
    report.seconds = absl::ToDoubleSeconds(absl::Now() - start);
    report.peak_private_bytes = sampler.Stop();
    report.peak_rss_bytes = PeakResidentBytes();
    if (json_) {
      std::cout << JsonLine(Document(**model, report));
    } else {
      PrintText(**model, report);
    }
    return absl::OkStatus();
  }

 private:
  LoadFlags flags_;
  bool touch_ = false;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeLoadCommand() {
  return std::make_unique<LoadCommand>();
}

}  // namespace pretrained
