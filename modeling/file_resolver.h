#ifndef PRETRAINED_MODELING_FILE_RESOLVER_H_
#define PRETRAINED_MODELING_FILE_RESOLVER_H_

#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pretrained {

// How files that are not on this machine are to be fetched: the arguments of
// from_pretrained that say so, under their documented names.
struct DownloadOptions {
  std::string cache_dir;        // Empty: the resolver's default.
  bool force_download = false;  // Again, though the cache has them.
  bool resume_download = false;
  std::map<std::string, std::string> proxies;  // {"https": "host:port"}
  bool local_files_only = false;  // What the cache has, or nothing.
  std::string token;              // Empty: none.
  std::string revision = "main";  // Branch, tag or commit.
  std::string mirror;             // Of the Hub; empty: none.
};

// Which files of a model are wanted, and from where.
struct FileRequest {
  enum class Files {
    kConfig,   // config.json, and generation_config.json where there is one.
    kWeights,  // The weights that OpenCheckpoint() would take, every shard.
  };

  std::string name_or_path;  // "bert-base-uncased", a folder, or a file.
  Files files = Files::kConfig;
  std::string subfolder;  // Within the repository or folder; empty: its root.

  // Which weights; as in OpenCheckpointOptions.
  std::string variant;
  std::optional<bool> use_safetensors;
  bool from_tf = false;
  bool from_flax = false;

  DownloadOptions download;
};

// Turns what users call a model into files of this machine.
//
//   absl::StatusOr<std::string> path = LocalFileResolver().Resolve(
//       {.name_or_path = "models/bert", .files = FileRequest::Files::kConfig});
//
// Threads: any number may share one.
class FileResolver {
 public:
  virtual ~FileResolver() = default;

  // The local folder, or file, that `request.name_or_path` stands for, with the
  // wanted files in it, below `request.subfolder`. A file that the model does
  // not have is no error here: whoever opens the folder says what it lacks.
  virtual absl::StatusOr<std::string> Resolve(
      const FileRequest& request) const = 0;
};

// Knows paths of this machine and downloads nothing. Resolve() gives
// `name_or_path` as it is: of DownloadOptions nothing has a meaning there.
// kNotFound if there is no such folder or file; kPermissionDenied if it cannot
// be looked at.
const FileResolver& LocalFileResolver();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_FILE_RESOLVER_H_
