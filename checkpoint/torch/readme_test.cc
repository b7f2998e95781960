// The example of README.md, which this test compiles, runs, and finds there.

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/torch/torch_checkpoint.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using absl_testing::IsOk;

// README example begins
absl::StatusOr<std::vector<float>> Embedding(const std::string& path) {
  auto checkpoint = TorchCheckpoint::Open({path});
  if (!checkpoint.ok()) return checkpoint.status();
  auto tensor = (*checkpoint)->Find("transformer.wte.weight");
  if (!tensor.ok()) return tensor.status();
  std::vector<float> values((*tensor)->num_elements());
  absl::Status status =
      (*checkpoint)
          ->Read(**tensor,
                 absl::MakeSpan(reinterpret_cast<char*>(values.data()),
                                (*tensor)->nbytes()));
  if (!status.ok()) return status;
  return values;
}
// README example ends

TEST(TorchReadmeTest, TheExampleRuns) {
  const absl::StatusOr<std::vector<float>> values =
      Embedding("testdata/formats/GPT2LMHeadModel/bin/pytorch_model.bin");
  ASSERT_THAT(values, IsOk());
  EXPECT_EQ(values->size(), 1600);
}

TEST(TorchReadmeTest, TheExampleIsTheOneInTheReadme) {
  const std::string source =
      checkpoint_testing::ReadTestFile("checkpoint/torch/readme_test.cc");
  const std::string begin = "// README example begins\n";
  const size_t from = source.find(begin) + begin.size();
  const std::string example =
      source.substr(from, source.find("// README example ends") - from);
  const std::string readme =
      checkpoint_testing::ReadTestFile("checkpoint/torch/README.md");
  EXPECT_TRUE(absl::StrContains(readme, example)) << example;
}

}  // namespace
}  // namespace pretrained
