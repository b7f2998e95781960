#include "tools/source_tree.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_index.h"
#include "checkpoint/open_checkpoint.h"
#include "device_map/module_tree_json.h"
#include "device_map/stored_tree.h"
#include "dtypes/dtype.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"
#include "modeling/transformer_shape.h"
#include "nlohmann/json.hpp"
#include "tools/source.h"

namespace pretrained {
namespace {

absl::StatusOr<std::string> ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (file.good() || file.eof()) return text;
  return absl::UnavailableError(absl::StrCat(path, ": cannot be read"));
}

absl::StatusOr<SourceTree> FromTreeFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadText(path);
  if (!text.ok()) return text.status();
  absl::StatusOr<ModuleTree> tree = ParseModuleTree(*text);
  if (!tree.ok()) {
    return absl::Status(tree.status().code(),
                        absl::StrCat(path, ": ", tree.status().message()));
  }
  return SourceTree{.tree = *std::move(tree)};
}

SourceTree FromTensors(const Checkpoint& checkpoint) {
  std::vector<StoredTensor> tensors;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    tensors.push_back({tensor.name, tensor.shape, tensor.dtype});
  }
  return {.tree = TreeOfStoredTensors(tensors)};
}

absl::StatusOr<SourceTree> FromCheckpoint(const std::string& source) {
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
      OpenCheckpoint(source);
  if (checkpoint.ok()) return FromTensors(**checkpoint);
  if (!absl::IsNotFound(checkpoint.status()) ||
      !absl::EndsWith(source, ".index.json")) {
    return checkpoint.status();
  }
  absl::StatusOr<CheckpointIndex> index = CheckpointIndex::Read(source);
  if (!index.ok()) return index.status();
  std::vector<StoredTensor> names;
  for (const WeightMapEntry& entry : index->weight_map()) {
    names.push_back({.name = entry.tensor});
  }
  return SourceTree{.tree = TreeOfStoredTensors(names), .names_only = true};
}

// What `torch_dtype="auto"` comes to: what the config says, else the first
// floating dtype that is stored, else float32.
std::string AutoDtype(const std::string& source,
                      const PretrainedConfig& config) {
  const auto& stated = config.Get("torch_dtype");
  if (stated.is_string()) return stated.get<std::string>();
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
      OpenCheckpoint(SourceFolder(source));
  if (!checkpoint.ok()) return "float32";
  for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
    if (IsFloatingPoint(tensor.dtype)) {
      return std::string(DtypeName(tensor.dtype));
    }
  }
  return "float32";
}

absl::StatusOr<SourceTree> FromConfig(const std::string& source,
                                      const std::string& class_name) {
  absl::StatusOr<PretrainedConfig> config =
      ReadSourceConfig(source, class_name);
  if (!config.ok()) return config.status();
  absl::StatusOr<const LayoutClass*> layout_class =
      FindLayoutFor(*config, class_name);
  if (!layout_class.ok()) return layout_class.status();
  absl::StatusOr<ModelLayout> layout =
      (*layout_class)->build(*config, nlohmann::ordered_json::object());
  if (!layout.ok()) return layout.status();
  SourceTree result{.auto_dtype = AutoDtype(source, *config),
                    .shape = TransformerShapeOf(*config, *layout)};
  result.tree = std::move(layout->tree);
  result.no_split_classes = std::move(layout->no_split_modules);
  result.keep_in_fp32 = std::move(layout->keep_in_fp32_modules);
  return result;
}

}  // namespace

absl::StatusOr<SourceTree> ReadSourceTree(const std::string& source,
                                          const std::string& class_name) {
  absl::Status status = CheckSource(source);
  if (!status.ok()) return status;
  const std::filesystem::path path(source);
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    if (class_name.empty() &&
        !std::filesystem::exists(path / "config.json", error)) {
      return FromCheckpoint(source);
    }
    return FromConfig(source, class_name);
  }
  if (path.filename() == "config.json") return FromConfig(source, class_name);
  if (absl::EndsWith(source, ".json") &&
      !absl::EndsWith(source, ".index.json")) {
    return FromTreeFile(source);
  }
  return FromCheckpoint(source);
}

}  // namespace pretrained
