#include "checkpoint/torch/torch_format.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_format.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::ReadTestFile;

std::string ErrorFile(absl::string_view file) {
  return absl::StrCat("checkpoint/torch/testdata/errors/", file);
}

TEST(TorchFormatTest, RecognizesFilesByWhatIsInThem) {
  for (const char* file : {"good.bin", "good-legacy.bin"}) {
    const std::string content = ReadTestFile(ErrorFile(file));
    EXPECT_TRUE(kTorchFormat.recognizes(
        "weights",
        absl::string_view(content).substr(0, CheckpointFormat::kSniffedBytes)))
        << file;
  }
  // Protocol 4 puts the number into a frame.
  EXPECT_TRUE(kTorchFormat.recognizes(
      "weights", absl::string_view("\x80\x04\x95\x0d\0\0\0\0\0\0\0\x8a\x0a\x6c"
                                   "\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
                                   24)));
  // Another pickle, a safetensors file, nothing.
  EXPECT_FALSE(kTorchFormat.recognizes("weights", "\x80\x02}q\x00."));
  EXPECT_FALSE(kTorchFormat.recognizes(
      "weights", absl::string_view("\x10\0\0\0\0\0\0\0{}", 10)));
  EXPECT_FALSE(kTorchFormat.recognizes("weights", ""));
}

// So that what is wrong with such a file is said by the format it claims.
TEST(TorchFormatTest, RecognizesUsualNames) {
  for (const char* name :
       {"pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "model.pt",
        "model.pth", "last.ckpt"}) {
    EXPECT_TRUE(kTorchFormat.recognizes(name, "")) << name;
  }
  for (const char* name : {"model.safetensors", "tf_model.h5", "bin"}) {
    EXPECT_FALSE(kTorchFormat.recognizes(name, "")) << name;
  }
}

TEST(TorchFormatTest, OpensWithTheOptions) {
  OpenCheckpointOptions options;
  const auto checkpoint =
      kTorchFormat.open({ErrorFile("wrong-crc.bin")}, options);
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_EQ((*checkpoint)->format(), "torch");
  options.check_crc = true;
  EXPECT_THAT(kTorchFormat.open({ErrorFile("wrong-crc.bin")}, options),
              StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace pretrained
