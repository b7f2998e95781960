#include "tools/source.h"

#include <filesystem>
#include <string>
#include <system_error>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"
#include "re2/re2.h"

namespace pretrained {

absl::Status CheckSource(const std::string& source) {
  std::error_code error;
  if (std::filesystem::exists(source, error)) return absl::OkStatus();
  if (error) {
    return absl::PermissionDeniedError(
        absl::StrCat(source, ": cannot be looked at: ", error.message()));
  }
  static const RE2 kHubId(R"([\w.-]+/[\w.-]+(@\S+)?)");
  if (RE2::FullMatch(source, kHubId)) {
    return absl::NotFoundError(absl::StrCat(
        source,
        ": there is no such folder or file; if this is a Hub id, "
        "download it first: this version reads local checkpoints only"));
  }
  return absl::NotFoundError(
      absl::StrCat(source,
                   ": there is no such folder or file; expected a folder with "
                   "config.json and weights, or a weights file"));
}

std::string SourceFolder(const std::string& source) {
  std::error_code error;
  if (std::filesystem::is_directory(source, error)) return source;
  const std::string parent = std::filesystem::path(source).parent_path();
  return parent.empty() ? "." : parent;
}

absl::StatusOr<PretrainedConfig> ReadSourceConfig(
    const std::string& source, const std::string& class_name) {
  const std::string folder = SourceFolder(source);
  if (!class_name.empty()) {
    absl::StatusOr<const LayoutClass*> layout = FindLayout(class_name);
    if (!layout.ok()) return layout.status();
    return PretrainedConfig::FromPretrained(folder, *(*layout)->config_class);
  }
  absl::StatusOr<PretrainedConfig> plain =
      PretrainedConfig::FromPretrained(folder);
  if (!plain.ok()) return plain;
  absl::StatusOr<const ConfigClass*> config_class =
      FindConfigClass(plain->model_type());
  if (!config_class.ok()) {
    return absl::Status(
        config_class.status().code(),
        absl::StrCat(plain->file_name(), ": ", config_class.status().message(),
                     "; or give --class"));
  }
  return plain->WithClass(**config_class);
}

}  // namespace pretrained
