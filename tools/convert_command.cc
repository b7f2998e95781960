#include "tools/convert_command.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "checkpoint/byte_size.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/convert_checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/save/save_checkpoint.h"
#include "dtypes/dtype.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"
#include "tools/command.h"
#include "tools/progress_bar.h"
#include "tools/source.h"
#include "tools/text_output.h"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kConfig[] = "config.json";
constexpr char kGenerationConfig[] = "generation_config.json";

// What CLI11 shows of a flag's wrong value; empty for a good one.
template <typename T>
std::string UsageError(const absl::StatusOr<T>& parsed) {
  return parsed.ok() ? "" : std::string(parsed.status().message());
}

// The dtype that `text` names; kInvalidArgument for "auto" too, for `convert`
// keeps what is stored without being asked.
absl::StatusOr<Dtype> ParseDtype(const std::string& text) {
  absl::StatusOr<std::optional<Dtype>> dtype = ParseTorchDtype(text);
  if (!dtype.ok()) return dtype.status();
  if (!dtype->has_value() || !IsFloatingPoint(**dtype)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text,
                     "' is no dtype of floating weights: float32, float16, "
                     "bfloat16, float64, float8_e4m3fn, float8_e5m2"));
  }
  return **dtype;
}

// The _tied_weights_keys of the class that SRC's config names; none where that
// is not known here.
std::vector<std::string> TiedWeightsKeys(const std::string& source) {
  const absl::StatusOr<PretrainedConfig> config = ReadSourceConfig(source, "");
  if (!config.ok()) return {};
  const absl::StatusOr<const LayoutClass*> layout =
      FindLayoutFor(*config, /*class_name=*/"");
  if (!layout.ok()) return {};
  const absl::StatusOr<ModelLayout> built =
      (*layout)->build(*config, Json::object());
  return built.ok() ? built->tied_weights_keys : std::vector<std::string>();
}

// The content of `folder`/`name`; nullopt if there is none.
absl::StatusOr<std::optional<std::string>> ReadBeside(const std::string& folder,
                                                      const char* name) {
  const std::filesystem::path path = std::filesystem::path(folder) / name;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  std::string content((std::istreambuf_iterator<char>(file)),
                      std::istreambuf_iterator<char>());
  if (!file) {
    return absl::PermissionDeniedError(
        absl::StrCat(path.string(), ": cannot be read; check its permissions"));
  }
  return content;
}

class ConvertCommand : public Command {
 public:
  std::string name() const override { return "convert"; }
  std::string summary() const override {
    return "Writes a checkpoint again: another format, dtype or shard size";
  }
  std::string examples() const override {
    return "  pretrained convert bert-base-uncased safe --to=safetensors\n"
           "  pretrained convert opt-6.7b half --dtype=float16 "
           "--max_shard_size=2GB\n"
           "  pretrained convert model.safetensors pytorch_model.bin";
  }

  void Configure(CLI::App& app) override {
    app.add_option("SRC", source_, "Folder of a model, or a weights file")
        ->required();
    app.add_option("DST", destination_,
                   "Folder to write to, made if need be; or a file, if it ends "
                   "in .safetensors, .bin, .pt, .pth or .ckpt")
        ->required();
    app.add_option("--to", format_,
                   "safetensors, torch (pytorch_model.bin) or torch_legacy "
                   "(before PyTorch 1.6); DST's ending decides without, else "
                   "safetensors")
        ->check(CLI::IsMember({"safetensors", "torch", "torch_legacy"}));
    app.add_option("--dtype", dtype_,
                   "Converts floating weights: float32, float16, bfloat16, "
                   "..; they stay as they are stored without")
        ->check([](const std::string& text) {
          return UsageError(ParseDtype(text));
        });
    app.add_option("--max_shard_size", max_shard_size_,
                   "Splits larger checkpoints: bytes, \"500MB\", \"2GiB\"")
        ->capture_default_str()
        ->check([](const std::string& text) {
          return UsageError(ParseByteSize(text));
        });
    app.add_option("--variant", variant_,
                   "Writes files of a variant: fp16 for "
                   "model.fp16.safetensors");
    app.add_option("--from_variant", from_variant_,
                   "Reads the files of a variant");
    app.add_flag("--json", json_, "Prints one JSON document");
  }

  absl::Status Run() override {
    absl::Status status = CheckSource(source_);
    if (!status.ok()) return status;
    const absl::Time start = absl::Now();
    absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
        OpenCheckpoint(source_, {.variant = from_variant_});
    if (!checkpoint.ok()) return checkpoint.status();
    absl::StatusOr<ConvertCheckpointOptions> options = Options();
    if (!options.ok()) return options.status();
    absl::StatusOr<SavedCheckpoint> saved = [&] {
      ProgressBar bar("converting");
      options->progress = [&bar](int64_t done, int64_t total) {
        bar.Update(done, total);
      };
      return ConvertCheckpoint(**checkpoint, destination_, *options);
    }();
    if (!saved.ok()) return saved.status();
    TellWhatIsNotThere(**checkpoint, *saved);
    Print(*saved, absl::ToDoubleSeconds(absl::Now() - start));
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<ConvertCheckpointOptions> Options() const {
    ConvertCheckpointOptions options;
    const bool to_file = IsFileDestination(destination_);
    options.format = !format_.empty() ? format_
                     : to_file && !destination_.ends_with(".safetensors")
                         ? "torch"
                         : "safetensors";
    if (!dtype_.empty()) options.dtype = *ParseDtype(dtype_);
    options.max_shard_bytes = *ParseByteSize(max_shard_size_);
    options.variant = variant_;
    options.tied_weights_keys = TiedWeightsKeys(source_);
    if (to_file) return options;
    for (const char* name : {kConfig, kGenerationConfig}) {
      absl::StatusOr<std::optional<std::string>> content =
          ReadBeside(SourceFolder(source_), name);
      if (!content.ok()) return content.status();
      if (!content->has_value()) continue;
      if (name == absl::string_view(kConfig) && options.dtype.has_value()) {
        absl::StatusOr<PretrainedConfig> config =
            PretrainedConfig::FromPretrained(SourceFolder(source_));
        if (!config.ok()) return config.status();
        config->Set("torch_dtype", std::string(DtypeName(*options.dtype)));
        *content = config->StoredJsonString();
      }
      options.other_files.emplace_back(name, **content);
    }
    return options;
  }

  // Says on stderr what the new checkpoint lacks of the old one.
  void TellWhatIsNotThere(const Checkpoint& checkpoint,
                          const SavedCheckpoint& saved) const {
    if (!saved.dropped_aliases.empty()) {
      std::cerr << "pretrained convert: note: stored once, under another name: "
                << Printable(absl::StrJoin(saved.dropped_aliases, ", "))
                << "\n";
    }
    if (checkpoint.format() == "safetensors" || checkpoint.metadata().empty()) {
      return;
    }
    std::vector<std::string> names;
    for (const auto& [name, value] : checkpoint.metadata()) {
      names.push_back(name);
    }
    std::cerr << "pretrained convert: note: no tensors, and so not converted: "
              << Printable(absl::StrJoin(names, ", ")) << "\n";
  }

  void Print(const SavedCheckpoint& saved, double seconds) const {
    if (json_) {
      Json document;
      document["files"] = saved.files;
      document["tensors"] = saved.tensors;
      document["bytes"] = saved.bytes;
      document["seconds"] = seconds;
      std::cout << JsonLine(document);
      return;
    }
    for (const std::string& file : saved.files) {
      std::cout << Printable(file) << "\n";
    }
    std::cout << saved.tensors << " tensors, " << HumanBytes(saved.bytes)
              << ", in " << Printable(destination_) << "\n";
  }

  std::string source_;
  std::string destination_;
  std::string format_;
  std::string dtype_;
  std::string max_shard_size_ = "10GB";
  std::string variant_;
  std::string from_variant_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeConvertCommand() {
  return std::make_unique<ConvertCommand>();
}

}  // namespace pretrained
