// The lines that README.md shows, compiled and run.

#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/save/save_checkpoint.h"
#include "checkpoint/save/save_testutil.h"
#include "checkpoint/tensor_source.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

// README: begin
absl::Status SaveHalf(const Checkpoint& source, const std::string& folder) {
  std::vector<TensorToWrite> tensors;
  for (const TensorInfo& tensor : source.tensors()) {
    tensors.push_back(TensorFromCheckpoint(source, tensor, Dtype::kFloat16));
  }
  return SaveCheckpoint(folder, std::move(tensors),
                        {.max_shard_bytes = 5'000'000'000})
      .status();
}
// README: end

using ::absl_testing::IsOk;
using ::testing::HasSubstr;

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ReadmeTest, ShowsTheLinesThatAreCompiledHere) {
  const std::string source = TextOf("checkpoint/save/readme_test.cc");
  constexpr absl::string_view kBegin = "// README: begin\n";
  const size_t begin = source.find(kBegin) + kBegin.size();
  const std::string lines =
      source.substr(begin, source.find("// README: end") - begin);
  ASSERT_GT(lines.size(), 100u);
  EXPECT_THAT(TextOf("checkpoint/save/README.md"),
              HasSubstr(absl::StrCat("```cpp\n", lines, "```")));
}

TEST(ReadmeTest, ItsExampleSavesHalf) {
  const std::string folder = checkpoint_testing::MakeMemoryFolder();
  const std::vector<float> values = {1.5f, 2.0f};
  ASSERT_THAT(
      SaveCheckpoint(folder, {{"w", Dtype::kFloat32, {2}, values.data()}}),
      IsOk());
  auto source = OpenCheckpoint(folder);
  ASSERT_THAT(source, IsOk());
  ASSERT_THAT(SaveHalf(**source, folder), IsOk());
  auto half = OpenCheckpoint(folder);
  ASSERT_THAT(half, IsOk());
  ASSERT_EQ((*half)->tensors().size(), 1u);
  EXPECT_EQ((*half)->tensors()[0].dtype, Dtype::kFloat16);
}

}  // namespace
}  // namespace pretrained
