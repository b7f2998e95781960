#include "checkpoint/weights_file.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using Names = std::vector<std::string>;
using Formats = std::vector<const CheckpointFormat*>;

bool RecognizesNothing(absl::string_view, absl::string_view) { return false; }
absl::StatusOr<std::unique_ptr<Checkpoint>> OpensNothing(
    const std::vector<std::string>&, const OpenCheckpointOptions&) {
  return absl::InternalError("not to be opened");
}

CheckpointFormat Format(absl::string_view name, CheckpointFramework framework,
                        absl::string_view weights_name,
                        absl::string_view index_name) {
  return {.name = name,
          .framework = framework,
          .weights_name = weights_name,
          .index_name = index_name,
          .recognizes = &RecognizesNothing,
          .open = &OpensNothing};
}

const CheckpointFormat kSafe =
    Format("safetensors", CheckpointFramework::kPytorch, "model.safetensors",
           "model.safetensors.index.json");
const CheckpointFormat kTorch =
    Format("torch", CheckpointFramework::kPytorch, "pytorch_model.bin",
           "pytorch_model.bin.index.json");
const CheckpointFormat kH5 = Format("h5", CheckpointFramework::kTensorflow,
                                    "tf_model.h5", "tf_model.h5.index.json");
const CheckpointFormat kTf1 =
    Format("tf1", CheckpointFramework::kTensorflow, "model.ckpt.index", "");
const CheckpointFormat kFlax =
    Format("flax", CheckpointFramework::kFlax, "flax_model.msgpack",
           "flax_model.msgpack.index.json");

const Formats kPytorchFormats = {&kSafe, &kTorch};
// In an order of no meaning: that of the search is fixed.
const Formats kAllFormats = {&kFlax, &kTorch, &kH5, &kSafe, &kTf1};

// What is taken of `names`, or why nothing is.
std::string Taken(const Names& names, const OpenCheckpointOptions& options,
                  const Formats& formats = kAllFormats) {
  const auto file = FindWeightsFile("dir", names, formats, options);
  if (!file.ok()) return std::string(file.status().message());
  EXPECT_EQ(file->is_index, absl::StrContains(file->name, ".index."));
  return absl::StrCat(file->format->name, " ", file->name);
}

const Names kEverything = {
    "config.json",         "flax_model.msgpack",
    "model.ckpt.index",    "model.fp16.safetensors",
    "model.safetensors",   "model.safetensors.index.fp16.json",
    "pytorch_model.bin",   "model.safetensors.index.json",
    "pytorch_model.x.bin", "pytorch_model.bin.index.json",
    "tf_model.h5",         "pytorch_model.bin.index.x.json",
};

struct Search {
  OpenCheckpointOptions options;
  std::vector<const char*> order;  // Each is taken once those before are gone.
};

TEST(WeightsFileTest, LooksForFilesInTheOrderOfTransformers) {
  const std::vector<Search> searches = {
      {{},
       {"model.safetensors", "model.safetensors.index.json",
        "pytorch_model.bin", "pytorch_model.bin.index.json"}},
      {{.use_safetensors = true},
       {"model.safetensors", "model.safetensors.index.json"}},
      {{.use_safetensors = false},
       {"pytorch_model.bin", "pytorch_model.bin.index.json"}},
      {{.variant = "fp16"},
       {"model.fp16.safetensors", "model.safetensors.index.fp16.json"}},
      {{.variant = "x"},
       {"pytorch_model.x.bin", "pytorch_model.bin.index.x.json"}},
      {{.from_tf = true},
       {"model.ckpt.index", "tf_model.h5", "model.safetensors",
        "model.safetensors.index.json", "pytorch_model.bin",
        "pytorch_model.bin.index.json"}},
      {{.variant = "fp16", .from_flax = true},
       {"flax_model.msgpack", "model.fp16.safetensors",
        "model.safetensors.index.fp16.json"}},
      {{.use_safetensors = false, .from_tf = true, .from_flax = true},
       {"model.ckpt.index", "tf_model.h5", "flax_model.msgpack",
        "pytorch_model.bin", "pytorch_model.bin.index.json"}},
  };
  for (const Search& search : searches) {
    Names names = kEverything;
    for (const char* want : search.order) {
      const auto file =
          FindWeightsFile("dir", names, kAllFormats, search.options);
      ASSERT_THAT(file, IsOk()) << want;
      EXPECT_EQ(file->name, want);
      std::erase(names, want);
    }
    EXPECT_THAT(FindWeightsFile("dir", names, kAllFormats, search.options),
                StatusIs(absl::StatusCode::kNotFound));
  }
}

struct Took {
  Names names;
  OpenCheckpointOptions options;
  const char* name;  // Empty: raised an error.
};

// Folders, and what from_pretrained() loaded out of them.
TEST(WeightsFileTest, TakesWhatTransformersTook) {
  const Names sharded = {"config.json", "model-00001-of-00014.safetensors",
                         "model.safetensors.index.json", "pytorch_model.bin",
                         "pytorch_model.bin.index.json"};
  const Names all_four = {"config.json", "model.safetensors",
                          "model.safetensors.index.json", "pytorch_model.bin",
                          "pytorch_model.bin.index.json"};
  const Names variants = {"config.json", "model.fp16.safetensors",
                          "pytorch_model.a.b.bin", "pytorch_model.bin"};
  const Names none = {"config.json", "only-flax/", "only-tf/"};
  const std::vector<Took> table = {
      {sharded, {}, "model.safetensors.index.json"},
      {sharded, {.use_safetensors = false}, "pytorch_model.bin"},
      {all_four, {}, "model.safetensors"},
      {all_four, {.use_safetensors = true}, "model.safetensors"},
      {all_four, {.use_safetensors = false}, "pytorch_model.bin"},
      {variants, {}, "pytorch_model.bin"},
      {variants, {.variant = "fp16"}, "model.fp16.safetensors"},
      {variants, {.variant = "a.b"}, "pytorch_model.a.b.bin"},
      {variants, {.variant = "absent"}, ""},
      {variants, {.variant = "fp16", .use_safetensors = false}, ""},
      {{"config.json", "model.safetensors"}, {}, "model.safetensors"},
      {none, {}, ""},
      {none, {.use_safetensors = true}, ""},
      {none, {.variant = "fp16"}, ""},
      {none, {.from_tf = true}, ""},
      {none, {.from_flax = true}, ""},
      {{"config.json", "tf_model.h5"}, {}, ""},
      {{"config.json", "flax_model.msgpack"}, {}, ""},
      {{"config.json", "tf_model.h5"}, {.from_tf = true}, "tf_model.h5"},
  };
  for (const Took& took : table) {
    const auto file =
        FindWeightsFile("dir", took.names, kAllFormats, took.options);
    EXPECT_EQ(file.ok() ? file->name : "", took.name) << file.status();
  }
}

TEST(WeightsFileTest, TakesTheFormatOfTheName) {
  EXPECT_EQ(Taken({"model.safetensors"}, {}), "safetensors model.safetensors");
  EXPECT_EQ(Taken({"pytorch_model.bin.index.json"}, {}),
            "torch pytorch_model.bin.index.json");
  EXPECT_EQ(Taken({"pytorch_model.a.b.bin"}, {.variant = "a.b"}),
            "torch pytorch_model.a.b.bin");
  EXPECT_EQ(Taken({"tf_model.h5.index.json"}, {.from_tf = true}),
            "h5 tf_model.h5.index.json");
  EXPECT_EQ(Taken({"flax_model.msgpack"}, {.from_flax = true}),
            "flax flax_model.msgpack");
}

TEST(WeightsFileTest, SaysWhatItLookedForAndWhatIsThere) {
  EXPECT_EQ(Taken({}, {}),
            "dir: no weights: looked for model.safetensors, "
            "model.safetensors.index.json, pytorch_model.bin, "
            "pytorch_model.bin.index.json, but the folder is empty; check the "
            "path, or download the weights");
  EXPECT_EQ(Taken({"config.json", "unet/"}, {.use_safetensors = true}),
            "dir: no weights: looked for model.safetensors, "
            "model.safetensors.index.json, but the folder has 'config.json', "
            "'unet/'; check the path, or download the weights");
  EXPECT_THAT(Taken({"a\x1b[2J"}, {.from_tf = true, .from_flax = true}),
              AllOf(HasSubstr("model.ckpt.index, tf_model.h5, "
                              "tf_model.h5.index.json, flax_model.msgpack, "),
                    HasSubstr("'a\\x1b[2J'")));
  Names many;
  for (int i = 10; i < 60; ++i) many.push_back(absl::StrCat("file", i));
  EXPECT_THAT(Taken(many, {}),
              AllOf(HasSubstr("'file10', 'file11'"), HasSubstr("and 30 more"),
                    Not(HasSubstr("file59"))));
}

TEST(WeightsFileTest, SuggestsTheOptionThatTakesWhatIsThere) {
  const Names variants = {"config.json", "model.fp16.safetensors",
                          "pytorch_model.a.b.bin", "pytorch_model.bin"};
  EXPECT_THAT(Taken(variants, {.variant = "absent"}),
              AllOf(HasSubstr("looked for model.absent.safetensors"),
                    HasSubstr("; ask for variant 'fp16'")));
  EXPECT_THAT(Taken(variants, {.variant = "fp16", .use_safetensors = false}),
              HasSubstr("; leave out use_safetensors to take "
                        "'model.fp16.safetensors'"));
  EXPECT_THAT(Taken(variants, {.use_safetensors = true}),
              HasSubstr("; leave out use_safetensors to take "
                        "'pytorch_model.bin'"));
  EXPECT_THAT(Taken({"pytorch_model.a.b.bin"}, {}),
              HasSubstr("; ask for variant 'a.b'"));
  EXPECT_THAT(Taken({"model.safetensors"}, {.variant = "fp16"}),
              HasSubstr("; ask for no variant"));
  EXPECT_THAT(Taken({"pytorch_model.bin.index.fp16.json"}, {}),
              HasSubstr("; ask for variant 'fp16'"));
}

TEST(WeightsFileTest, SaysHowToTakeWeightsOfOtherFrameworks) {
  EXPECT_THAT(Taken({"config.json", "tf_model.h5"}, {}),
              AllOf(HasSubstr("'tf_model.h5' is of TensorFlow"),
                    HasSubstr("; set from_tf to take it")));
  EXPECT_THAT(Taken({"model.ckpt.index"}, {.variant = "fp16"}),
              HasSubstr("; set from_tf to take it"));
  EXPECT_THAT(Taken({"flax_model.msgpack.index.json"}, {.from_tf = true}),
              AllOf(HasSubstr("looked for model.ckpt.index, tf_model.h5, "),
                    HasSubstr("; set from_flax to take it")));
}

TEST(WeightsFileTest, SaysWhatItDoesNotRead) {
  for (const char* name :
       {"tf_model.h5", "tf_model.h5.index.json", "flax_model.msgpack",
        "flax_model.msgpack.index.json", "model.ckpt.index"}) {
    for (const bool asked : {false, true}) {
      EXPECT_THAT(
          FindWeightsFile("dir", Names{name}, kPytorchFormats,
                          {.from_tf = asked, .from_flax = asked}),
          StatusIs(absl::StatusCode::kUnimplemented,
                   AllOf(HasSubstr(absl::StrCat("dir: '", name, "' is ")),
                         HasSubstr("this version reads model.safetensors or "
                                   "pytorch_model.bin; save it again"))));
    }
  }
  // What comes first is taken, or nothing: not some other weights.
  EXPECT_THAT(
      FindWeightsFile("dir", kEverything, kPytorchFormats, {.from_tf = true}),
      StatusIs(absl::StatusCode::kUnimplemented,
               HasSubstr("a TensorFlow checkpoint")));
  EXPECT_EQ(Taken(kEverything, {}, kPytorchFormats),
            "safetensors model.safetensors");
}

TEST(WeightsFileTest, FindsShardsInTheOrderOfLoadShardedCheckpoint) {
  const Names both = {"model.safetensors.index.json", "pytorch_model.bin",
                      "pytorch_model.bin.index.json"};
  for (const bool prefer_safe : {true, false}) {
    const auto file = FindShardedWeights("dir", both, kAllFormats, prefer_safe);
    ASSERT_THAT(file, IsOk());
    EXPECT_EQ(file->name, both[prefer_safe ? 0 : 2]);
    EXPECT_TRUE(file->is_index);
    for (const int only : {0, 2}) {
      const auto other = FindShardedWeights("dir", Names{both[only]},
                                            kAllFormats, prefer_safe);
      ASSERT_THAT(other, IsOk());
      EXPECT_EQ(other->name, both[only]);
    }
    EXPECT_THAT(
        FindShardedWeights("dir", Names{both[1]}, kAllFormats, prefer_safe),
        StatusIs(absl::StatusCode::kNotFound,
                 AllOf(HasSubstr("model.safetensors.index.json"),
                       HasSubstr("'pytorch_model.bin'"))));
  }
  EXPECT_THAT(FindShardedWeights("dir", Names{both[2]}, Formats{&kSafe}, true),
              StatusIs(absl::StatusCode::kUnimplemented));
}

}  // namespace
}  // namespace pretrained
