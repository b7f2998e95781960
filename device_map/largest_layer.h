#ifndef PRETRAINED_DEVICE_MAP_LARGEST_LAYER_H_
#define PRETRAINED_DEVICE_MAP_LARGEST_LAYER_H_

#include <limits>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "device_map/device.h"
#include "device_map/max_memory.h"
#include "device_map/sized_tree.h"

namespace pretrained {

// The size of the largest layer among the items still to be placed, kept while
// these are taken away one by one.
class LargestPending {
 public:
  LargestPending(const SizedTree& tree, absl::Span<const int> pending)
      : tree_(tree) {
    Reset(pending);
  }

  double bytes() const { return bytes_; }

  // `item` is pending no longer; `pending` is asked what is only if none of the
  // largest is left.
  void Remove(int item, absl::FunctionRef<std::vector<int>()> pending);
  void Reset(absl::Span<const int> pending);

 private:
  const SizedTree& tree_;
  double bytes_ = 0;
  absl::btree_set<int> layers_;  // All of that size.
};

// A device as it is filled.
struct Shelf {
  Device device;
  double limit = std::numeric_limits<double>::infinity();  // Bytes.
  // Whether it keeps room for the largest layer still to be placed: the first
  // GPU and the CPU do, for they run what is offloaded.
  bool keeps_room = false;
};

// The devices of a plan in the order in which they are filled; the disk, which
// takes the rest, is the last.
std::vector<Shelf> ShelvesOf(const MaxMemory& max_memory);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_LARGEST_LAYER_H_
