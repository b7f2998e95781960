#include "checkpoint/torch/torch_file.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/torch/read_at.h"
#include "checkpoint/torch/torch_legacy.h"
#include "checkpoint/torch/torch_zip.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

constexpr int64_t kHeadBytes = 512;

// A tar archive says so here, in its first record.
constexpr size_t kTarMagicOffset = 257;

bool IsZip(absl::string_view head) {
  return absl::StartsWith(head, "PK\x03\x04") ||
         absl::StartsWith(head, "PK\x05\x06");  // One without records.
}

// The legacy container starts with a pickled int: of protocol 2 and later with
// the PROTO opcode, before with the int itself.
bool MayBeLegacy(absl::string_view head) {
  return absl::StartsWith(head, "\x80") || absl::StartsWith(head, "L");
}

// What a file that is neither may be, and what to do about it.
absl::Status NotTorch(absl::string_view file_name, absl::string_view head) {
  if (head.empty()) {
    return absl::DataLossError(
        absl::StrCat(file_name, ": is empty; download or save it again"));
  }
  if (head.size() > kTarMagicOffset &&
      absl::StartsWith(head.substr(kTarMagicOffset), "ustar")) {
    return absl::UnimplementedError(absl::StrCat(
        file_name,
        ": is a tar archive, as torch.save of the first PyTorch wrote; load "
        "it with torch.load and save it again with torch.save"));
  }
  struct Kind {
    absl::string_view prefix;
    absl::string_view what;
  };
  static constexpr Kind kKinds[] = {
      {"version https://git-lfs",
       "is a Git LFS pointer, which stands for a file that was not "
       "downloaded: run `git lfs pull` in its folder"},
      {"\x89HDF\r\n", "is an HDF5 file, as Keras writes"},
      {"GGUF", "is a GGUF file, as llama.cpp uses"},
      {"<",
       "looks like a web page saved in place of a file: download it again"},
      {"{", "looks like JSON, not like weights: pass the file that holds them"},
  };
  for (const Kind& kind : kKinds) {
    if (absl::StartsWith(head, kind.prefix)) {
      return absl::DataLossError(absl::StrCat(file_name, ": ", kind.what));
    }
  }
  return absl::DataLossError(absl::StrCat(
      file_name,
      ": is no file of torch.save: those start as a zip archive, 'PK', or as a "
      "pickle, byte 0x80; download or save it again"));
}

}  // namespace

absl::StatusOr<TorchFile> ReadTorchFile(ReadAt read, int64_t file_size,
                                        absl::string_view file_name,
                                        bool check_crc) {
  std::string head(std::min(file_size, kHeadBytes), '\0');
  absl::Status status = read(0, absl::MakeSpan(head));
  if (!status.ok()) return status;
  if (IsZip(head)) return ReadTorchZip(read, file_size, file_name, check_crc);
  if (MayBeLegacy(head)) return ReadTorchLegacy(read, file_size, file_name);
  return NotTorch(file_name, head);
}

}  // namespace checkpoint_internal
}  // namespace pretrained
