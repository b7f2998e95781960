#ifndef PRETRAINED_TOOLS_SOURCE_H_
#define PRETRAINED_TOOLS_SOURCE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// Checks that SRC names something on this machine. kNotFound says what SRC may
// be; kUnimplemented for what looks like a Hub id.
absl::Status CheckSource(const std::string& source);

// The folder that config.json lies in: SRC itself, or that of the file SRC.
std::string SourceFolder(const std::string& source);

// SRC's config, with the defaults of its model_type's family, or of the family
// of class `class_name` where that is given.
absl::StatusOr<PretrainedConfig> ReadSourceConfig(
    const std::string& source, const std::string& class_name);

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_SOURCE_H_
