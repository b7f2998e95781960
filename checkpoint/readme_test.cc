// The example of README.md, which this test compiles, runs, and finds there.

#include <cstddef>
#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "dtypes/dtype.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using absl_testing::IsOk;

// README example begins
absl::StatusOr<std::vector<float>> FirstRow(const std::string& folder) {
  auto checkpoint = OpenCheckpoint(folder);
  if (!checkpoint.ok()) return checkpoint.status();
  for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
    std::cout << tensor.name << " " << DtypeName(tensor.dtype) << "\n";
  }
  auto embedding = (*checkpoint)->Find("wte.weight");
  if (!embedding.ok()) return embedding.status();
  std::vector<float> row((*embedding)->shape[1]);
  absl::Status status =
      (*checkpoint)
          ->ReadSlice(**embedding, {{0, 1}},
                      absl::MakeSpan(reinterpret_cast<char*>(row.data()),
                                     row.size() * 4));
  if (!status.ok()) return status;
  return row;
}
// README example ends

TEST(ReadmeTest, TheExampleRuns) {
  const std::string folder = checkpoint_testing::MakeTestFolder("gpt2");
  checkpoint_testing::WriteTestFile("gpt2/model.safetensors",
                                    checkpoint_testing::SafetensorsFileWith(
                                        {{"wte.weight", "F32", {4, 3}, 48}}));
  const absl::StatusOr<std::vector<float>> row = FirstRow(folder);
  ASSERT_THAT(row, IsOk());
  EXPECT_EQ(row->size(), 3);
}

TEST(ReadmeTest, TheExampleIsTheOneInTheReadme) {
  const std::string source =
      checkpoint_testing::ReadTestFile("checkpoint/readme_test.cc");
  const std::string begin = "// README example begins\n";
  const size_t from = source.find(begin) + begin.size();
  const std::string example =
      source.substr(from, source.find("// README example ends") - from);
  const std::string readme =
      checkpoint_testing::ReadTestFile("checkpoint/README.md");
  EXPECT_TRUE(absl::StrContains(readme, example)) << example;
}

}  // namespace
}  // namespace pretrained
