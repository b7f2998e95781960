#ifndef PRETRAINED_CHECKPOINT_LOADING_FILE_IMAGE_H_
#define PRETRAINED_CHECKPOINT_LOADING_FILE_IMAGE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/loading/read_plan.h"
#include "checkpoint/loading/tensor_memory.h"

namespace pretrained {

// Private memory that lies as parts of a file do, block by block, so that reads
// go right to where tensors stay.
class FileImage {
 public:
  // Memory for what the reads of `plan`, all of one file, bring, in whole
  // blocks of kDirectAlignment. kResourceExhausted if there is none.
  static absl::StatusOr<FileImage> Make(const ReadPlan& plan);

  // Where byte `offset` of the file goes: one that a read brings, or one before
  // it in its block.
  char* At(int64_t offset) const;

  // Keeps bytes [begin, end) of the file, which lie in one read or in several
  // that follow each other, and gives their pages back when it goes.
  std::shared_ptr<void> Part(int64_t begin, int64_t end) const;

 private:
  // What several reads that follow each other bring.
  struct Region {
    int64_t begin;
    int64_t end;
    std::shared_ptr<MemoryBlock> block;
  };

  FileImage() = default;
  const Region& RegionOf(int64_t offset) const;

  std::vector<Region> regions_;  // Ascending.
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_FILE_IMAGE_H_
