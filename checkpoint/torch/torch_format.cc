#include "checkpoint/torch/torch_format.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_format.h"
#include "checkpoint/torch/torch_checkpoint.h"

namespace pretrained {
namespace {

// The names that torch.save's files have by habit. A file of such a name that
// is none gets this format's message, which says what it is instead.
bool HasUsualName(absl::string_view file_name) {
  return absl::EndsWith(file_name, ".bin") ||
         absl::EndsWith(file_name, ".pt") ||
         absl::EndsWith(file_name, ".pth") ||
         absl::EndsWith(file_name, ".ckpt");
}

// A zip archive, or a pickle of protocol 2 to 5 that begins with an int of ten
// bytes: the magic number of the legacy form.
bool HasUsualHead(absl::string_view head) {
  return absl::StartsWith(head, "PK\x03\x04") ||
         (head.size() > 4 && head[0] == '\x80' && head[1] >= 2 &&
          head[1] <= 5 &&
          absl::StrContains(head.substr(2, 13), "\x8a\x0a\x6c\xfc"));
}

bool Recognizes(absl::string_view file_name, absl::string_view head) {
  return HasUsualHead(head) || HasUsualName(file_name);
}

absl::StatusOr<std::unique_ptr<Checkpoint>> Open(
    const std::vector<std::string>& paths,
    const OpenCheckpointOptions& options) {
  TorchCheckpointOptions driver_options;
  driver_options.use_mmap = options.use_mmap;
  driver_options.check_crc = options.check_crc;
  return TorchCheckpoint::Open(paths, driver_options);
}

}  // namespace

const CheckpointFormat kTorchFormat = {
    .name = "torch",
    .weights_name = "pytorch_model.bin",
    .index_name = "pytorch_model.bin.index.json",
    .recognizes = &Recognizes,
    .open = &Open,
};

}  // namespace pretrained
