// Opens, reads or touches a whole checkpoint once, and says how long that took:
// one side of torch_checkpoints.py.
//
//   read_checkpoint list SRC    opens it and lists its tensors
//   read_checkpoint read SRC    and copies them all into private memory
//   read_checkpoint touch SRC   and views them all, adding up every byte
//
// One JSON document on stdout: {seconds, tensors, bytes, sum}. `sum` is that of
// SumOfTensors(); of `read` it is taken after the clock.

#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "benchmarks/tensor_sum.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/read_all_tensors.h"

namespace pretrained {
namespace {

absl::Status Run(const std::string& mode, const std::string& source) {
  const absl::Time start = absl::Now();
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
      OpenCheckpoint(source);
  if (!checkpoint.ok()) return checkpoint.status();
  std::vector<TensorView> views;
  uint64_t sum = 0;
  if (mode == "read") {
    absl::StatusOr<std::vector<TensorView>> read = ReadAllTensors(**checkpoint);
    if (!read.ok()) return read.status();
    views = *std::move(read);
  } else if (mode == "touch") {
    for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
      absl::StatusOr<TensorView> view = (*checkpoint)->View(tensor);
      if (!view.ok()) return view.status();
      views.push_back(*std::move(view));
    }
    sum = SumOfTensors(views);
  } else if (mode != "list") {
    return absl::InvalidArgumentError("the mode is list, read or touch");
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  if (mode == "read") sum = SumOfTensors(views);
  int64_t bytes = 0;
  for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
    bytes += tensor.nbytes();
  }
  std::cout << "{\"seconds\": " << seconds
            << ", \"tensors\": " << (*checkpoint)->tensors().size()
            << ", \"bytes\": " << bytes << ", \"sum\": " << sum << "}\n";
  return absl::OkStatus();
}

}  // namespace
}  // namespace pretrained

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: read_checkpoint list|read|touch SRC\n";
    return 2;
  }
  const absl::Status status = pretrained::Run(argv[1], argv[2]);
  if (status.ok()) return 0;
  std::cerr << "read_checkpoint: " << status.message() << "\n";
  return 1;
}
