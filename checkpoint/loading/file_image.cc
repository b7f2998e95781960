#include "checkpoint/loading/file_image.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "checkpoint/loading/file_source.h"
#include "checkpoint/loading/read_plan.h"
#include "checkpoint/loading/tensor_memory.h"

namespace pretrained {

absl::StatusOr<FileImage> FileImage::Make(const ReadPlan& plan) {
  FileImage image;
  std::vector<Region>& regions = image.regions_;
  for (const PlannedRead& read : plan.reads) {
    const int64_t begin = read.begin / kDirectAlignment * kDirectAlignment;
    const int64_t end =
        (read.end + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment;
    if (regions.empty() || begin > regions.back().end) {
      regions.push_back({begin, end, nullptr});
    }
    regions.back().end = std::max(regions.back().end, end);
  }
  for (Region& region : regions) {
    absl::StatusOr<std::shared_ptr<MemoryBlock>> block =
        MemoryBlock::Make(region.end - region.begin);
    if (!block.ok()) return block.status();
    region.block = *std::move(block);
  }
  return image;
}

const FileImage::Region& FileImage::RegionOf(int64_t offset) const {
  return *std::prev(std::upper_bound(regions_.begin(), regions_.end(), offset,
                                     [](int64_t value, const Region& region) {
                                       return value < region.begin;
                                     }));
}

char* FileImage::At(int64_t offset) const {
  const Region& region = RegionOf(offset);
  return region.block->data() + (offset - region.begin);
}

std::shared_ptr<void> FileImage::Part(int64_t begin, int64_t end) const {
  const Region& region = RegionOf(begin);
  return region.block->Part(begin - region.begin, end - region.begin);
}

}  // namespace pretrained
