#ifndef PRETRAINED_MODELING_LOADING_INFO_H_
#define PRETRAINED_MODELING_LOADING_INFO_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "modeling/key_matching.h"

namespace pretrained {

// What happened when a model was loaded.
// Matches: transformers 4.34 `from_pretrained(output_loading_info=True)`; the
//     figures are ours.
struct LoadingInfo {
  std::vector<std::string> missing_keys;       // Sorted.
  std::vector<std::string> unexpected_keys;    // Sorted.
  std::vector<MismatchedKey> mismatched_keys;  // In the model's order.
  std::vector<std::string> error_msgs;

  std::vector<std::string> files;  // Read from; the weights, not the config.
  std::string dtype;               // Of the model: "float32".
  // How the bytes came (checkpoint/loading/engine_choice.h): "mapped" (viewed
  // in place, nothing was copied), "buffered", "direct", .. (read, and
  // converted where need be), or several, "buffered+mapped".
  // "none" where a device map leaves all of them on the disk.
  std::string engine;
  // One file of weights, in the order they were read.
  struct File {
    std::string path;
    std::string engine;        // As above.
    int64_t read_bytes = 0;    // 0 where all was mapped.
    double gb_per_second = 0;  // Of what was read.
  };
  std::vector<File> loaded_files;
  int64_t bytes = 0;  // Of the stored tensors that the model took.
  // Of these in the model's dtype, by where they were placed: "cpu", "disk",
  // "0".
  std::map<std::string, int64_t> bytes_by_device;
  double seconds = 0;  // From the call to the model being ready.
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LOADING_INFO_H_
