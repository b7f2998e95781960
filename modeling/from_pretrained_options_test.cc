#include "modeling/from_pretrained_options.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(CheckFromPretrainedOptionsTest, EachRefusalSaysWhatToDoInstead) {
  struct RefusedOption {
    const char* name;
    FromPretrainedOptions options;
    const char* advice;
  };
  const RefusedOption cases[] = {
      {"trust_remote_code", {.trust_remote_code = true}, "RegisterModel()"},
      {"use_flash_attention_2",
       {.use_flash_attention_2 = true},
       "scaled_dot_product_attention"},
      {"load_in_8bit", {.load_in_8bit = true}, "float16"},
      {"load_in_4bit", {.load_in_4bit = true}, "float16"},
      {"quantization_config",
       {.quantization_config = {{"bits", 4}}},
       "float16"},
      {"adapter_kwargs", {.adapter_kwargs = {{"token", "x"}}}, "merge"},
      {"adapter_name", {.adapter_name = "mine"}, "merge"},
  };
  for (const RefusedOption& test : cases) {
    EXPECT_THAT(CheckFromPretrainedOptions(test.options),
                StatusIs(absl::StatusCode::kUnimplemented,
                         AllOf(HasSubstr(test.name), HasSubstr(test.advice))));
  }
}

TEST(CheckFromPretrainedOptionsTest, RefusesContradictions) {
  EXPECT_THAT(
      CheckFromPretrainedOptions({.from_tf = true, .from_flax = true}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("from_flax")));
  EXPECT_THAT(CheckFromPretrainedOptions(
                  {.device_map = "auto", .low_cpu_mem_usage = false}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("low_cpu_mem_usage")));
}

TEST(CheckFromPretrainedOptionsTest, TakesWhatHasNoEffect) {
  EXPECT_THAT(CheckFromPretrainedOptions({}), IsOk());
  EXPECT_THAT(CheckFromPretrainedOptions({.device_map = "auto",
                                          .offload_folder = "x",
                                          .offload_state_dict = true,
                                          .low_cpu_mem_usage = true,
                                          .fast_init = false}),
              IsOk());
}

TEST(MakeFileRequestTest, HandsEveryDownloadOptionOn) {
  const FileRequest request =
      MakeFileRequest("org/model", FileRequest::Files::kWeights,
                      {.variant = "fp16",
                       .use_safetensors = true,
                       .from_flax = true,
                       .subfolder = "unet",
                       .cache_dir = "/c",
                       .force_download = true,
                       .resume_download = true,
                       .proxies = {{"https", "p:1"}},
                       .local_files_only = true,
                       .token = "t",
                       .revision = "v1",
                       .mirror = "m"});
  EXPECT_EQ(request.name_or_path, "org/model");
  EXPECT_EQ(request.files, FileRequest::Files::kWeights);
  EXPECT_EQ(request.subfolder, "unet");
  EXPECT_EQ(request.variant, "fp16");
  EXPECT_EQ(request.use_safetensors, true);
  EXPECT_FALSE(request.from_tf);
  EXPECT_TRUE(request.from_flax);
  EXPECT_EQ(request.download.cache_dir, "/c");
  EXPECT_TRUE(request.download.force_download);
  EXPECT_TRUE(request.download.resume_download);
  EXPECT_EQ(request.download.proxies.at("https"), "p:1");
  EXPECT_TRUE(request.download.local_files_only);
  EXPECT_EQ(request.download.token, "t");
  EXPECT_EQ(request.download.revision, "v1");
  EXPECT_EQ(request.download.mirror, "m");
}

}  // namespace
}  // namespace pretrained
