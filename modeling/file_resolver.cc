#include "modeling/file_resolver.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace pretrained {
namespace {

class LocalResolver : public FileResolver {
 public:
  absl::StatusOr<std::string> Resolve(
      const FileRequest& request) const override {
    const std::string& path = request.name_or_path;
    struct stat info;
    if (path.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(
          "the model's name has a NUL; pass a folder or a file");
    }
    if (stat(path.c_str(), &info) == 0) return path;
    if (errno != ENOENT && errno != ENOTDIR) {
      return absl::PermissionDeniedError(
          absl::StrCat(path, ": cannot be looked at: ", std::strerror(errno)));
    }
    return absl::NotFoundError(absl::StrCat(
        path,
        ": there is no such folder or file; expected a folder with config.json "
        "and weights, or a weights file. If it names a model on the Hub, "
        "download it first, or pass a FileResolver that does: this one knows "
        "local paths only"));
  }
};

}  // namespace

const FileResolver& LocalFileResolver() {
  static const LocalResolver* const resolver = new LocalResolver;
  return *resolver;
}

}  // namespace pretrained
