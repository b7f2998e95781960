// Any bytes at all: CheckpointIndex either refuses them as it documents, or
// what it lists is as safe to use as it promises, and survives being written.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint_index.h"

namespace {

using pretrained::CheckpointIndex;
using pretrained::WeightMapEntry;

// Apart from the parser's own test: walks as a file system would.
void CheckStaysInside(const std::string& name) {
  CHECK(!name.empty() && name.size() <= 255);
  CHECK(name.front() != '/' && name.back() != '/');
  size_t begin = 0;
  while (begin <= name.size()) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    CHECK(!part.empty() && part != "." && part != "..") << name;
    begin = end + 1;
  }
  for (const unsigned char c : name) {
    CHECK(c >= 0x20 && c != 0x7F && c != '\\');
  }
}

void CheckIndex(const CheckpointIndex& index) {
  CHECK(!index.weight_map().empty());
  CHECK(!index.shards().empty());
  std::set<std::string> tensors;
  std::set<int> used;
  for (const WeightMapEntry& entry : index.weight_map()) {
    CHECK(tensors.insert(entry.tensor).second);
    CHECK_GE(entry.shard, 0);
    CHECK_LT(entry.shard, index.shards().size());
    used.insert(entry.shard);
  }
  CHECK_EQ(used.size(), index.shards().size());
  for (size_t i = 0; i < index.shards().size(); ++i) {
    CheckStaysInside(index.shards()[i]);
    CHECK(i == 0 || index.shards()[i - 1] < index.shards()[i]);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<CheckpointIndex> index =
      CheckpointIndex::Parse(text, "fuzz.index.json");
  if (!index.ok()) {
    CHECK(absl::IsDataLoss(index.status())) << index.status();
    CHECK(index.status().message().find("fuzz.index.json: ") == 0)
        << index.status();
    return 0;
  }
  CheckIndex(*index);

  // What is written is ASCII, and reads back to the same.
  const std::string written = index->Serialize();
  for (const char c : written) CHECK(c == '\n' || (c >= ' ' && c < 0x7F));
  const absl::StatusOr<CheckpointIndex> again =
      CheckpointIndex::Parse(written, "again");
  CHECK_OK(again.status());
  CHECK_EQ(again->weight_map().size(), index->weight_map().size());
  CHECK_EQ(again->Serialize(), written);

  std::vector<std::pair<std::string, std::string>> weight_map;
  for (const WeightMapEntry& entry : index->weight_map()) {
    weight_map.emplace_back(entry.tensor, index->shards()[entry.shard]);
  }
  const absl::StatusOr<CheckpointIndex> made =
      CheckpointIndex::Create(weight_map, index->metadata_json());
  CHECK_OK(made.status());
  CHECK_EQ(made->shards().size(), index->shards().size());
  return 0;
}
