#include "checkpoint/open_checkpoint.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_format.h"
#include "checkpoint/checkpoint_formats.h"
#include "checkpoint/error_text.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/variant_name.h"

namespace pretrained {
namespace {

using checkpoint_internal::CheckpointFormats;
using checkpoint_internal::QuotedName;

constexpr size_t kMaxNamesShown = 20;

constexpr absl::string_view kSaveAsSafetensors =
    "save it again with save_pretrained(.., safe_serialization=True)";
constexpr absl::string_view kSaveUnsharded =
    "save it again as one file, with save_pretrained(.., "
    "safe_serialization=True, max_shard_size=\"100GB\")";

// Weights that others write and this version does not read.
struct ForeignFormat {
  absl::string_view name;  // Within a folder, without variant.
  absl::string_view head;  // How such a file starts; empty where that is no
                           // sure sign, or the same as of one above.
  absl::string_view what;
  absl::string_view advice = kSaveAsSafetensors;
};

constexpr ForeignFormat kForeignFormats[] = {
    {"model.safetensors.index.json", "", "a sharded checkpoint",
     kSaveUnsharded},
    {"pytorch_model.bin", "PK\x03\x04", "a torch.save archive"},
    {"pytorch_model.bin", "\x80\x02", "a torch.save pickle"},
    {"pytorch_model.bin.index.json", "", "a sharded torch.save archive"},
    {"tf_model.h5", "\x89HDF\r\n", "a Keras HDF5 file"},
    {"tf_model.h5.index.json", "", "sharded Keras HDF5 files"},
    {"flax_model.msgpack", "", "a Flax msgpack file"},
    {"flax_model.msgpack.index.json", "", "sharded Flax msgpack files"},
    {"model.ckpt.index", "", "a TensorFlow checkpoint"},
};

bool IsOneOf(const std::vector<std::string>& names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The names in `folder`, sorted.
absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator it(folder, error), end;
  for (; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) {
    return absl::Status(
        absl::ErrnoToStatusCode(error.value()),
        absl::StrCat(folder, ": the folder cannot be listed: ", error.message(),
                     "; check its permissions"));
  }
  std::sort(names.begin(), names.end());
  return names;
}

// What is in a folder that lacks the files looked for, in one line.
std::string FolderText(const std::vector<std::string>& names) {
  if (names.empty()) return "the folder is empty";
  const size_t shown = std::min(names.size(), kMaxNamesShown);
  std::string text =
      absl::StrCat("the folder has ",
                   absl::StrJoin(names.begin(), names.begin() + shown, ", ",
                                 [](std::string* out, const std::string& name) {
                                   absl::StrAppend(out, QuotedName(name));
                                 }));
  if (shown < names.size()) {
    absl::StrAppend(&text, " and ", names.size() - shown, " more");
  }
  return text;
}

// What to do about a folder whose files are of another variant than `wanted`.
std::string VariantAdvice(const std::vector<std::string>& names,
                          absl::string_view wanted) {
  for (const std::string& name : names) {
    absl::string_view variant = name;
    if (!absl::ConsumeSuffix(&variant, ".safetensors")) continue;
    if (!wanted.empty() && variant == "model") return "ask for no variant";
    if (wanted.empty() && absl::ConsumePrefix(&variant, "model.")) {
      return absl::StrCat("ask for variant ", QuotedName(variant));
    }
  }
  return "check the path, or download the weights";
}

// That `folder`, which holds `names`, has none of the files `looked_for`.
absl::Status NoWeights(const std::string& folder,
                       const std::vector<std::string>& names,
                       const std::vector<std::string>& looked_for,
                       absl::string_view variant) {
  for (const ForeignFormat& foreign : kForeignFormats) {
    const std::string name = AddVariant(foreign.name, variant);
    if (!IsOneOf(names, name)) continue;
    return absl::UnimplementedError(
        absl::StrCat(folder, ": ", QuotedName(name), " is ", foreign.what,
                     ", but this version reads ",
                     absl::StrJoin(looked_for, " or "), "; ", foreign.advice));
  }
  return absl::NotFoundError(absl::StrCat(
      folder, ": no weights: looked for ", absl::StrJoin(looked_for, ", "),
      ", but ", FolderText(names), "; ", VariantAdvice(names, variant)));
}

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenFolder(
    const std::string& folder, const OpenCheckpointOptions& options) {
  const absl::StatusOr<std::vector<std::string>> names = ListFolder(folder);
  if (!names.ok()) return names.status();
  std::vector<std::string> looked_for;
  for (const CheckpointFormat* format : CheckpointFormats()) {
    for (std::string& name : format->folder_names(options.variant)) {
      if (IsOneOf(*names, name)) {
        const bool slash = absl::EndsWith(folder, "/");
        return format->open(absl::StrCat(folder, slash ? "" : "/", name),
                            options);
      }
      looked_for.push_back(std::move(name));
    }
  }
  return NoWeights(folder, *names, looked_for, options.variant);
}

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenFile(
    const std::string& path, const OpenCheckpointOptions& options) {
  absl::string_view file_name = path;
  file_name.remove_prefix(path.find_last_of('/') + 1);  // npos + 1 is 0.

  const absl::StatusOr<std::unique_ptr<MappedFile>> file =
      MappedFile::Open(path);
  if (!file.ok()) return file.status();
  char start[CheckpointFormat::kSniffedBytes];
  const absl::Span<char> bytes(
      start, std::min<int64_t>(sizeof(start), (*file)->size_bytes()));
  if (absl::Status s = (*file)->Read(0, bytes); !s.ok()) return s;
  const absl::string_view head(bytes.data(), bytes.size());

  std::vector<absl::string_view> known;
  for (const CheckpointFormat* format : CheckpointFormats()) {
    if (format->recognizes(file_name, head)) return format->open(path, options);
    known.push_back(format->name);
  }
  for (const ForeignFormat& foreign : kForeignFormats) {
    if (!foreign.head.empty() && absl::StartsWith(head, foreign.head)) {
      return absl::UnimplementedError(absl::StrCat(
          path, ": looks like ", foreign.what, ", but this version reads ",
          absl::StrJoin(known, " or "), "; ", foreign.advice));
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": neither its name nor its first bytes are those of ",
                   absl::StrJoin(known, " or "),
                   "; pass a file of weights, or the folder "
                   "that holds it"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenCheckpoint(
    const std::string& path, const OpenCheckpointOptions& options) {
  const std::string& variant = options.variant;
  if (variant.find('/') != std::string::npos ||
      variant.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": variant ", QuotedName(variant),
        " cannot be part of a file name; pass one such as 'fp16'"));
  }
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return OpenFolder(path, options);
  }
  if (!path.empty() && lstat(path.c_str(), &info) != 0 &&
      (errno == ENOENT || errno == ENOTDIR)) {
    return absl::NotFoundError(absl::StrCat(
        path,
        ": there is no such folder or file; check the path, or download "
        "the model first"));
  }
  return OpenFile(path, options);
}

}  // namespace pretrained
