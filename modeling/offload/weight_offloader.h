#ifndef PRETRAINED_MODELING_OFFLOAD_WEIGHT_OFFLOADER_H_
#define PRETRAINED_MODELING_OFFLOAD_WEIGHT_OFFLOADER_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/offload/offload_writer.h"
#include "dtypes/dtype.h"
#include "modeling/offload/checkpoint_weights.h"
#include "modeling/offload/offloaded_weights.h"

namespace pretrained {

// Makes the weights of a model that is being loaded OffloadedWeights.
//
// What the checkpoint has in place and in the wanted dtype stays there, and is
// pointed to. The rest is written to the offload folder: what has another
// dtype, is strided, compressed or in the caller's memory, and what was drawn.
// The folder shows nothing of it before Finish().
// Threads: one at a time.
class WeightOffloader {
 public:
  // `folder` may be empty as long as nothing has to be written.
  WeightOffloader(std::shared_ptr<const Checkpoint> checkpoint,
                  std::string folder)
      : checkpoint_(std::move(checkpoint)), folder_(std::move(folder)) {}

  // Whether a stored tensor can be used where it is.
  bool IsUsableInPlace(const TensorInfo& stored, Dtype dtype) const;

  // One tensor, which has these names in the model, is `stored` as `dtype`.
  // Nothing is read or written yet.
  void AddStored(std::vector<std::string> names, const TensorInfo& stored,
                 Dtype dtype);
  // A weight will come by AddDrawn().
  void ExpectDrawn(absl::string_view name) {
    if (first_to_write_.empty()) first_to_write_ = std::string(name);
  }

  // kInvalidArgument if something has to be written, and there is no folder.
  absl::Status CheckFolder() const;

  // Writes a tensor that is on the CPU, by the first name.
  absl::Status AddDrawn(std::vector<std::string> names,
                        const at::Tensor& tensor);

  // Writes what has to be, in the order of the file's bytes, puts it in place,
  // and gives all that was added; null for nothing. Errors, all of which leave
  // the folder as it was: as CheckFolder(), OffloadWriter and Checkpoint have.
  absl::StatusOr<std::shared_ptr<const OffloadedWeights>> Finish();

 private:
  struct ToWrite {
    std::vector<std::string> names;
    const TensorInfo* stored = nullptr;  // Null for one that is written.
    Dtype dtype = Dtype::kFloat32;
  };
  absl::Status BeginWriting();

  const std::shared_ptr<const Checkpoint> checkpoint_;
  const std::string folder_;
  std::string first_to_write_;             // A weight's name; empty: none.
  std::vector<CheckpointWeight> weights_;  // In place.
  std::vector<ToWrite> to_write_;
  std::optional<OffloadWriter> writer_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_OFFLOAD_WEIGHT_OFFLOADER_H_
