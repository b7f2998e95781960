#ifndef PRETRAINED_CHECKPOINT_CHECKPOINT_INDEX_H_
#define PRETRAINED_CHECKPOINT_CHECKPOINT_INDEX_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace pretrained {

// One entry of a weight map.
struct WeightMapEntry {
  std::string tensor;
  int shard = 0;  // Into CheckpointIndex::shards().
};

// The index of a sharded checkpoint (`model.safetensors.index.json` and its
// like): which tensor lies in which file beside it.
//
//   auto index = CheckpointIndex::Read("gpt2/pytorch_model.bin.index.json");
//   for (const WeightMapEntry& entry : index->weight_map()) {
//     const std::string& shard = index->shards()[entry.shard];
//   }
//   std::string text = index->Serialize();
//
// The file is not trusted. Once Parse() returns OK no key occurs twice, there
// is at least one entry, and every shard's name is a plain relative one that
// stays within the folder: no "", "." or ".." between slashes, no backslash or
// control character, at most 255 bytes. Where symbolic links lead is not asked:
// the Hub's cache is made of them.
//
// Cost: linear; 100,000 entries take some tens of milliseconds. A file over
//     100 MB is refused unread.
// Threads: immutable; any number of threads may share one.
// Layout: docs/checkpoint_index_format.md.
// Matches: transformers 4.34 utils/hub.py `get_checkpoint_shard_files`, and the
//     index that modeling_utils.py `save_pretrained` writes.
// Differs: an index without metadata is read; there it is a KeyError. Duplicate
//     keys, and names that leave the folder, are refused; there the last one
//     counts, and they are followed.
class CheckpointIndex {
 public:
  // Reads the index at `path`. kDataLoss, saying what is wrong, if it is not
  // what the class promises; kNotFound and so on as MappedFile::Open().
  static absl::StatusOr<CheckpointIndex> Read(const std::string& path);

  // As Read(), on memory. Pure; `file_name` serves only in messages.
  static absl::StatusOr<CheckpointIndex> Parse(absl::string_view text,
                                               absl::string_view file_name);

  // The index that puts each tensor (first) into a shard (second), with
  // `metadata_json`, a JSON object such as {"total_size": 4096}, or without if
  // that is empty. kInvalidArgument for what Parse() would refuse.
  static absl::StatusOr<CheckpointIndex> Create(
      const std::vector<std::pair<std::string, std::string>>& weight_map,
      absl::string_view metadata_json);

  // In the file's order.
  absl::Span<const WeightMapEntry> weight_map() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return weight_map_;
  }
  // The distinct files of the weight map, sorted.
  absl::Span<const std::string> shards() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return shards_;
  }
  // The value of "metadata" as json.dumps() writes it, in the file's order:
  // {"total_size": 4096}. Empty: there is none.
  absl::string_view metadata_json() const ABSL_ATTRIBUTE_LIFETIME_BOUND;

  // The file for this index, as 4.34 writes it: Python's
  // json.dumps(index, indent=2, sort_keys=True) + "\n". Whatever the file that
  // it was read from held beside the weight map is kept.
  std::string Serialize() const;

 private:
  class Parser;

  CheckpointIndex() = default;

  std::vector<WeightMapEntry> weight_map_;
  std::vector<std::string> shards_;
  // What else the root object has: "metadata", mostly. Key and json.dumps().
  std::vector<std::pair<std::string, std::string>> others_;
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_CHECKPOINT_INDEX_H_
