#include "modeling/file_resolver.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(LocalFileResolverTest, GivesFoldersAndFilesAsTheyAre) {
  const std::string folder = MakeTestFolder("a folder");
  const std::string file = WriteTestFile("a folder/w.bin", "x");
  for (const std::string& path : {folder, file}) {
    EXPECT_THAT(LocalFileResolver().Resolve(
                    {.name_or_path = path,
                     .download = {.force_download = true, .revision = "v1"}}),
                IsOkAndHolds(path));
  }
}

TEST(LocalFileResolverTest, SaysThatItDownloadsNothing) {
  for (const char* name : {"org/absent", "", "absent"}) {
    EXPECT_THAT(LocalFileResolver().Resolve({.name_or_path = name}),
                StatusIs(absl::StatusCode::kNotFound,
                         AllOf(HasSubstr(name), HasSubstr("FileResolver"))));
  }
  EXPECT_THAT(
      LocalFileResolver().Resolve({.name_or_path = std::string("a\0b", 3)}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("NUL")));
}

}  // namespace
}  // namespace pretrained
