// Holds from_pretrained, of every family, to what transformers 4.34.0 made of
// the same folders: testdata/loading.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/json_testutil.h"
#include "modeling/loading_info.h"
#include "modeling/pretrained_model.h"
#include "modeling/state_dict.h"
#include "modeling/tensor_bridge.h"
#include "modeling/tensor_digest.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using Json = nlohmann::ordered_json;

// Calls that end otherwise here, by case and number, and how: see the README's
// table of differences. The rest of the peer's exceptions are errors here too.
const std::map<std::string, const char*>& LoadsHere() {
  static const auto* const calls = new std::map<std::string, const char*>{
      {"dtype 3", "a dtype may be called by its name"},
      {"missing-and-extra 1", "low_cpu_mem_usage may miss keys"},
  };
  return *calls;
}

FromPretrainedOptions OptionsOf(const Json& call) {
  FromPretrainedOptions options;
  if (call.contains("config")) options.kwargs = call["config"];
  for (const auto& [name, value] : call["kwargs"].items()) {
    if (name == "torch_dtype") {
      options.torch_dtype = value.get<std::string>();
    } else if (name == "variant") {
      options.variant = value.get<std::string>();
    } else if (name == "subfolder") {
      options.subfolder = value.get<std::string>();
    } else if (name == "use_safetensors") {
      options.use_safetensors = value.get<bool>();
    } else if (name == "low_cpu_mem_usage") {
      options.low_cpu_mem_usage = value.get<bool>();
    } else if (name == "ignore_mismatched_sizes") {
      options.ignore_mismatched_sizes = value.get<bool>();
    } else if (name == "from_tf") {
      options.from_tf = value.get<bool>();
    } else if (name == "from_flax") {
      options.from_flax = value.get<bool>();
    } else {
      options.kwargs[name] = value;  // The constructor's.
    }
  }
  return options;
}

// What `state` of the golden data says of one tensor. Weights of another shape
// are drawn as the family does here, and as torch's constructors do there.
void ExpectTensor(const at::Tensor& tensor, const Json& golden,
                  bool mismatched) {
  EXPECT_TRUE(tensor.is_cpu());
  EXPECT_EQ(Json(tensor.sizes().vec()), golden["shape"]);
  EXPECT_EQ(DtypeName(ToDtype(tensor.scalar_type()).value()), golden["dtype"]);
  if (golden.contains("digest")) {
    EXPECT_EQ(DigestOf(tensor), golden["digest"]);
  } else if (!mismatched) {
    EXPECT_EQ(tensor.eq(0).all().item().toBool(),
              golden["all_zero"].get<bool>());
    EXPECT_EQ(tensor.eq(1).all().item().toBool(),
              golden["all_one"].get<bool>());
  }
}

void ExpectState(PretrainedModel& model, const Json& want,
                 const std::vector<MismatchedKey>& mismatched) {
  const StateDict state = model.state_dict();
  ASSERT_EQ(state.size(), want.size());
  size_t i = 0;
  for (const auto& [name, golden] : want.items()) {
    SCOPED_TRACE(name);
    EXPECT_EQ(state[i].first, name) << "in this order";
    // A base model's weights go by the name that the head has for them.
    const bool drawn = absl::c_any_of(mismatched, [&](const auto& key) {
      return absl::EndsWith(name, key.name) || absl::EndsWith(key.name, name);
    });
    ExpectTensor(state[i].second.detach(), golden, drawn);
    ++i;
  }
}

Json Shown(const std::vector<MismatchedKey>& mismatched) {
  std::vector<Json> keys;
  for (const MismatchedKey& key : mismatched) {
    keys.push_back(
        Json::array({key.name, key.checkpoint_shape, key.model_shape}));
  }
  absl::c_sort(keys);
  return keys;
}

void ExpectLoads(const ModelClass& model_class, const std::string& folder,
                 const Json& call, FromPretrainedOptions options) {
  LoadingInfo info;
  options.output_loading_info = &info;
  auto model = LoadPretrained(model_class, folder, options);
  ASSERT_THAT(model, IsOk());
  EXPECT_FALSE((*model)->is_training());
  const Json& result = call["result"];
  if (result.contains("raises")) return;
  EXPECT_EQ(Json(info.missing_keys), result["missing_keys"]);
  EXPECT_EQ(Json(info.unexpected_keys), result["unexpected_keys"]);
  EXPECT_EQ(Shown(info.mismatched_keys), result["mismatched_keys"]);
  EXPECT_EQ(absl::StrCat("torch.", info.dtype), result["model_dtype"]);
  ExpectState(**model, result["state"], info.mismatched_keys);
}

// The error that the peer's exception is here.
void ExpectRefuses(const ModelClass& model_class, const std::string& folder,
                   const Json& call, const FromPretrainedOptions& options) {
  const absl::Status status =
      LoadPretrained(model_class, folder, options).status();
  const std::string raised = call["result"]["raises"];
  const std::string message = call["result"]["message"];
  if (absl::StrContains(message, "size") ||
      absl::StrContains(message, "tensor of shape")) {
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "ignore_mismatched_sizes"));
  } else if (raised == "ValueError") {
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "prefix")) << status;
  } else if (absl::StrContains(message, "but there is a file for")) {
    // TensorFlow's and Flax's weights have no driver yet.
    EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), folder)) << status;
  } else {
    EXPECT_TRUE(absl::IsNotFound(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), folder)) << status;
  }
}

class GoldenLoadingTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenLoadingTest, LoadsAndReportsAsThePeerDoes) {
  const std::string folder = absl::StrCat("testdata/loading/", GetParam());
  const Json expect = ReadJsonFile(folder + "/expect.json");
  int number = -1;
  for (const Json& call : expect["calls"]) {
    ++number;
    if (call.contains("function")) continue;  // load_sharded_checkpoint_test
    SCOPED_TRACE(absl::StrCat(number, ": ", call["class"].get<std::string>(),
                              " ", call["kwargs"].dump()));
    auto model_class = FindModel(call["class"].get<std::string>());
    ASSERT_THAT(model_class, IsOk());
    const bool refused =
        call["result"].contains("raises") &&
        !LoadsHere().contains(absl::StrCat(GetParam(), " ", number));
    const std::string checkpoint = folder + "/checkpoint";
    if (refused) {
      ExpectRefuses(**model_class, checkpoint, call, OptionsOf(call));
    } else {
      ExpectLoads(**model_class, checkpoint, call, OptionsOf(call));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    , GoldenLoadingTest,
    ::testing::Values("base-into-head", "corrupt-prefix", "dtype",
                      "dtype-auto-from-weights", "file-priority",
                      "file-priority-all-four", "gamma-beta", "head-into-base",
                      "integer-and-scalar-tensors", "llama-base-and-head",
                      "mismatched", "mismatched-sharded", "missing-and-extra",
                      "no-config", "no-weights", "old-buffers-bert",
                      "old-buffers-gpt2", "sharded-index-misses-key",
                      "sharded-total-size-wrong", "subfolder", "t5-ignored-key",
                      "t5-keep-in-fp32", "tied-head-absent", "unknown-prefix",
                      "untied-head-absent", "variant"),
    [](const auto& info) {
      std::string name = info.param;
      absl::c_replace(name, '-', '_');
      return name;
    });

}  // namespace
}  // namespace pretrained
