#ifndef PRETRAINED_DEVICE_MAP_DEVICE_H_
#define PRETRAINED_DEVICE_MAP_DEVICE_H_

#include <compare>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace pretrained {

// A place for weights: a GPU by its number, the CPU's memory, the disk, or
// "meta" (shape and dtype, no storage). It need not exist on this machine.
//
//   absl::StatusOr<Device> device = Device::Parse("cuda:1");
//   device->ToString();  // "1"
//
// Devices compare in the order in which a plan fills them: GPUs by number, the
// CPU, the disk, meta.
class Device {
 public:
  enum class Kind { kGpu, kCpu, kDisk, kMeta };

  static constexpr Device Gpu(int ordinal) { return {Kind::kGpu, ordinal}; }
  static constexpr Device Cpu() { return {Kind::kCpu, 0}; }
  static constexpr Device Disk() { return {Kind::kDisk, 0}; }
  static constexpr Device Meta() { return {Kind::kMeta, 0}; }

  // "0", "cuda:0", "cuda" (which is 0), "cpu", "disk" or "meta".
  // kInvalidArgument, listing these, for anything else.
  static absl::StatusOr<Device> Parse(absl::string_view text);

  Kind kind() const { return kind_; }
  bool is_gpu() const { return kind_ == Kind::kGpu; }
  int ordinal() const { return ordinal_; }  // 0 but for GPUs.

  // "0" for a GPU, as device maps write it, else "cpu", "disk" or "meta".
  std::string ToString() const;

  friend auto operator<=>(const Device&, const Device&) = default;

 private:
  constexpr Device(Kind kind, int ordinal) : kind_(kind), ordinal_(ordinal) {}

  Kind kind_;
  int ordinal_;
};

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_DEVICE_H_
