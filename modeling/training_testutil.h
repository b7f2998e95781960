#ifndef PRETRAINED_MODELING_TRAINING_TESTUTIL_H_
#define PRETRAINED_MODELING_TRAINING_TESTUTIL_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "c10/core/Allocator.h"
#include "c10/core/Device.h"
#include "gtest/gtest.h"
#include "modeling/model_output.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

// The folders of testdata/models: all ten families.
std::vector<std::string> TrainingFixtures();

// The folder's own name, as a test's may be: "T5ForConditionalGeneration_v1_1".
std::string FixtureTestName(const testing::TestParamInfo<std::string>& info);

// The model of such a folder, in eval mode, whose dropout probabilities are all
// `dropout`.
absl::StatusOr<std::shared_ptr<PretrainedModel>> LoadWithDropout(
    const std::string& fixture, double dropout);

// Its stored inputs, without labels.
NamedTensors TrainingInputs(const std::string& fixture);

// Logits, or states where there are none.
absl::StatusOr<at::Tensor> FirstOutput(PretrainedModel& model,
                                       const NamedTensors& inputs,
                                       const ForwardOptions& options = {});

// What testdata/gradients/make_golden.py takes for a loss.
at::Tensor LossOf(const at::Tensor& output);

// Gradients of all parameters by name, undefined where there is none; clears
// them.
std::map<std::string, at::Tensor> TakeGradients(torch::nn::Module& model);

// Counts what LibTorch's CPU allocator hands out in this thread, while it
// lives: bytes now, and the most there were.
class MemoryCounter {
 public:
  MemoryCounter();
  ~MemoryCounter();

  int64_t live_bytes() const;
  int64_t peak_bytes() const;

 private:
  class Reporter;
  struct Guard;
  std::shared_ptr<Reporter> reporter_;
  std::unique_ptr<Guard> guard_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_TRAINING_TESTUTIL_H_
