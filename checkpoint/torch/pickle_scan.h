#ifndef PRETRAINED_CHECKPOINT_TORCH_PICKLE_SCAN_H_
#define PRETRAINED_CHECKPOINT_TORCH_PICKLE_SCAN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/pickle/pickle_globals.h"

namespace pretrained {

// One global that a pickle would import.
struct ScannedGlobal {
  std::string module;  // "torch._utils"
  std::string name;    // "_rebuild_tensor_v2"
  PickleGlobalClass global_class = PickleGlobalClass::kUnknown;
};

// The pickles of one file, and what they would import, in order and each once.
struct ScannedFile {
  std::string path;
  std::string format;  // "torch", "torch_legacy", "pickle", "zip"; "" for a
                       // file that holds no pickle.
  std::vector<ScannedGlobal> globals;
};

// Lists what the pickles in the file at `path` would import if Python read it,
// running nothing: of a zip archive all its records that are pickles; of the
// legacy container all five pickles and more that follow them; else pickles one
// after the other from the first byte on.
// A file that starts as none of these holds no pickle.
//   kDataLoss  the file is damaged, or a pickle in it is; the message says what
//              it names before it breaks off, for Python would run that first
absl::StatusOr<ScannedFile> ScanPickles(const std::string& path);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_PICKLE_SCAN_H_
