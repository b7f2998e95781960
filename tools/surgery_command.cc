#include "tools/surgery_command.h"

#include <cstdint>
#include <iostream>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "checkpoint/byte_size.h"
#include "checkpoint/save/save_checkpoint.h"
#include "modeling/loading_info.h"
#include "modeling/pretrained_model.h"
#include "nlohmann/json.hpp"
#include "tools/load_flags.h"
#include "tools/progress_bar.h"
#include "tools/text_output.h"

namespace pretrained {

void SurgeryCommand::Configure(CLI::App& app) {
  flags_.Configure(app);
  app.add_option("DST", destination_,
                 "Folder to write the model to, made if need be; SRC itself "
                 "will do")
      ->required();
  ConfigureSurgery(app);
  app.add_option("--max_shard_size", max_shard_size_,
                 "Splits larger checkpoints: bytes, \"500MB\", \"2GiB\"")
      ->capture_default_str()
      ->check([](const std::string& text) {
        return std::string(ParseByteSize(text).status().message());
      });
  app.add_flag("--json", json_, "Prints one JSON document");
}

absl::Status SurgeryCommand::Run() {
  const absl::Time start = absl::Now();
  LoadingInfo info;
  absl::StatusOr<std::shared_ptr<PretrainedModel>> model = flags_.Load(&info);
  if (!model.ok()) return model.status();
  Report report{.class_name = (*model)->class_name(),
                .parameters_before = (*model)->num_parameters()};
  absl::Status status = Operate(**model);
  if (!status.ok()) return status;
  absl::StatusOr<SavedCheckpoint> saved = [&] {
    ProgressBar bar("writing weights");
    return (*model)->SavePretrained(
        destination_, {.max_shard_size = max_shard_size_,
                       .progress = [&bar](int64_t done, int64_t total) {
                         bar.Update(done, total);
                       }});
  }();
  if (!saved.ok()) return saved.status();
  report.changed = (*model)->config().Get(ChangedAttribute());
  report.parameters = (*model)->num_parameters();
  report.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  Print(report, *saved);
  return absl::OkStatus();
}

void SurgeryCommand::Print(const Report& report,
                           const SavedCheckpoint& saved) const {
  if (json_) {
    nlohmann::ordered_json document;
    document["class"] = report.class_name;
    document[ChangedAttribute()] = report.changed;
    document["parameters_before"] = report.parameters_before;
    document["parameters"] = report.parameters;
    document["files"] = saved.files;
    document["tensors"] = saved.tensors;
    document["bytes"] = saved.bytes;
    document["seconds"] = report.seconds;
    std::cout << JsonLine(document);
    return;
  }
  std::cout << report.class_name << ", " << ChangedAttribute() << " "
            << report.changed.dump() << ": " << report.parameters
            << " parameters, of " << report.parameters_before << " before\n";
  for (const std::string& file : saved.files) {
    std::cout << Printable(file) << "\n";
  }
  std::cout << saved.tensors << " tensors, " << HumanBytes(saved.bytes)
            << ", in " << Printable(destination_) << "\n";
}

}  // namespace pretrained
