// Where from_pretrained takes config and weights from: folders, files, names,
// state dicts.

#include <memory>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bert/bert_lm_heads.h"
#include "modeling/bert/bert_model.h"
#include "modeling/file_resolver.h"
#include "modeling/from_pretrained.h"
#include "modeling/loading_info.h"
#include "modeling/pretrained_config.h"
#include "modeling/state_dict.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using checkpoint_testing::CopyTestFolder;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kBase[] = "testdata/bert/base";
constexpr char kWeights[] = "testdata/bert/base/model.safetensors";

StateDict StateDictOf(const char* folder) {
  absl::StatusOr<std::shared_ptr<BertModel>> model =
      BertModel::FromPretrained(folder);
  EXPECT_THAT(model, IsOk());
  return (*model)->state_dict();
}

const at::Tensor& Named(const StateDict& state_dict, const std::string& name) {
  for (const auto& [key, tensor] : state_dict) {
    if (key == name) return tensor;
  }
  ADD_FAILURE() << "no tensor " << name;
  return state_dict[0].second;
}

TEST(FromPretrainedSourcesTest, AFileOfWeightsHasItsConfigBesideItOrGiven) {
  EXPECT_THAT(BertModel::FromPretrained(kWeights), IsOk());
  const std::string alone = WriteTestFile("alone.bin", ReadTestFile(kWeights));
  EXPECT_THAT(BertModel::FromPretrained(alone),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("config.json")));
  // The config by path: of a folder, or of the file.
  for (const char* config : {kBase, "testdata/bert/base/config.json"}) {
    EXPECT_THAT(BertModel::FromPretrained(alone, {.config = config}), IsOk());
  }
  EXPECT_THAT(BertModel::FromPretrained(alone, {.config = "absent"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
}

TEST(FromPretrainedSourcesTest, TheConfigRemembersTheName) {
  absl::StatusOr<std::shared_ptr<BertModel>> model =
      BertModel::FromPretrained(kBase);
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT((*model)->config().GetString("_name_or_path"),
              IsOkAndHolds(kBase));
}

TEST(FromPretrainedSourcesTest, AStateDictReplacesTheFiles) {
  StateDict weights = StateDictOf(kBase);
  const std::string name = weights[0].first;
  weights[0].second = at::ones_like(weights[0].second);
  weights.pop_back();  // The pooler's bias.
  LoadingInfo info;
  absl::StatusOr<std::shared_ptr<BertModel>> model = BertModel::FromPretrained(
      "",
      {.config = kBase, .state_dict = weights, .output_loading_info = &info});
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(info.missing_keys, ElementsAre("pooler.dense.bias"));
  EXPECT_THAT(info.files, ElementsAre("state_dict"));
  const StateDict loaded = (*model)->state_dict();
  EXPECT_TRUE(at::equal(loaded[0].second, weights[0].second));
  EXPECT_NE(loaded[0].second.const_data_ptr(),
            weights[0].second.const_data_ptr())
      << "the caller's tensors stay the caller's";
}

TEST(FromPretrainedSourcesTest, AStateDictIsSharedWhereTheCallerAgrees) {
  const StateDict weights = StateDictOf(kBase);
  absl::StatusOr<std::shared_ptr<BertModel>> model = BertModel::FromPretrained(
      kBase, {.state_dict = weights, .low_cpu_mem_usage = true});
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ((*model)->state_dict()[0].second.const_data_ptr(),
            weights[0].second.const_data_ptr());
}

TEST(FromPretrainedSourcesTest, AStateDictIsConverted) {
  absl::StatusOr<std::shared_ptr<BertModel>> model = BertModel::FromPretrained(
      kBase, {.torch_dtype = "bfloat16", .state_dict = StateDictOf(kBase)});
  ASSERT_THAT(model, IsOk());
  EXPECT_TRUE(at::equal((*model)->state_dict()[0].second,
                        StateDictOf(kBase)[0].second.to(at::kBFloat16)));
}

TEST(FromPretrainedSourcesTest, NothingToLoadIsAnError) {
  EXPECT_THAT(BertModel::FromPretrained(""),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("neither a model's name nor a config")));
  EXPECT_THAT(BertModel::FromPretrained("", {.config = kBase}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(
      BertModel::FromPretrained(kBase, {.state_dict = StateDict{{"a", {}}}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'a'")));
}

// Knows one name, and remembers what it was asked.
class OneModelResolver : public FileResolver {
 public:
  absl::StatusOr<std::string> Resolve(
      const FileRequest& request) const override {
    requests.push_back(request);
    if (request.name_or_path == "org/model") return kBase;
    return absl::NotFoundError(
        absl::StrCat(request.name_or_path, ": not on this Hub"));
  }
  mutable std::vector<FileRequest> requests;
};

TEST(FromPretrainedSourcesTest, AResolverTurnsNamesIntoFiles) {
  OneModelResolver hub;
  ASSERT_THAT(BertModel::FromPretrained("org/model", {.use_safetensors = true,
                                                      .resolver = &hub,
                                                      .token = "t",
                                                      .revision = "v2"}),
              IsOk());
  ASSERT_EQ(hub.requests.size(), 2u);
  EXPECT_EQ(hub.requests[0].files, FileRequest::Files::kConfig);
  EXPECT_EQ(hub.requests[1].files, FileRequest::Files::kWeights);
  for (const FileRequest& request : hub.requests) {
    EXPECT_EQ(request.use_safetensors, true);
    EXPECT_EQ(request.download.token, "t");
    EXPECT_EQ(request.download.revision, "v2");
  }
  EXPECT_THAT(BertModel::FromPretrained("org/other", {.resolver = &hub}),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("org/other: not on this Hub")));
  EXPECT_THAT(BertModel::FromPretrained("org/model"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("FileResolver")));
}

TEST(FromPretrainedSourcesTest, AnAdapterInTheFolderIsRefused) {
  const std::string folder = CopyTestFolder("adapter", kBase);
  WriteTestFile("adapter/adapter_config.json", "{}");
  EXPECT_THAT(BertModel::FromPretrained(folder),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr(folder), HasSubstr("adapter_config"),
                             HasSubstr("merge"))));
}

TEST(FromPretrainedSourcesTest,
     WeightsOfOtherFrameworksAreRoutedToTheirDriver) {
  const std::string folder = CopyTestFolder("frameworks", kBase);
  for (const std::string file : {"tf_model.h5", "flax_model.msgpack"}) {
    WriteTestFile("frameworks/" + file, "");
    const bool tf = file == "tf_model.h5";
    EXPECT_THAT(
        BertModel::FromPretrained(folder, {.from_tf = tf, .from_flax = !tf}),
        StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(file)));
    EXPECT_THAT(BertModel::FromPretrained(folder), IsOk());
  }
}

TEST(FromPretrainedSourcesTest, ASeedMakesWhatIsMissingRepeatable) {
  const auto drawn = [](uint64_t seed) {
    auto model = BertForMaskedLM::FromPretrained(kBase, {.seed = seed});
    EXPECT_THAT(model, IsOk());
    return Named((*model)->state_dict(),
                 "cls.predictions.transform.dense.weight")
        .clone();
  };
  EXPECT_TRUE(at::equal(drawn(1), drawn(1)));
  EXPECT_FALSE(at::equal(drawn(1), drawn(2)));
}

TEST(FromPretrainedSourcesTest, TiedWeightsAreOneTensorAfterAnyLoad) {
  for (const char* dtype : {"", "float16"}) {
    auto model = BertForMaskedLM::FromPretrained(kBase, {.torch_dtype = dtype});
    ASSERT_THAT(model, IsOk());
    const StateDict state_dict = (*model)->state_dict();
    EXPECT_TRUE(
        Named(state_dict, "bert.embeddings.word_embeddings.weight")
            .is_same(Named(state_dict, "cls.predictions.decoder.weight")));
  }
  auto untied = BertForMaskedLM::FromPretrained(
      kBase, {.kwargs = {{"tie_word_embeddings", false}}});
  ASSERT_THAT(untied, IsOk());
  const StateDict apart = (*untied)->state_dict();
  EXPECT_FALSE(Named(apart, "bert.embeddings.word_embeddings.weight")
                   .is_same(Named(apart, "cls.predictions.decoder.weight")));
  auto traced = BertForMaskedLM::FromPretrained(
      kBase, {.kwargs = {{"torchscript", true}}});
  ASSERT_THAT(traced, IsOk());
  const StateDict clones = (*traced)->state_dict();
  const at::Tensor& input =
      Named(clones, "bert.embeddings.word_embeddings.weight");
  const at::Tensor& output = Named(clones, "cls.predictions.decoder.weight");
  EXPECT_TRUE(at::equal(input, output));
  EXPECT_NE(input.const_data_ptr(), output.const_data_ptr());
}

}  // namespace
}  // namespace pretrained
