// Every class of the family, held to what transformers 4.34.0 computes.

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/json_testutil.h"
#include "modeling/loading_info.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using Json = nlohmann::ordered_json;

constexpr char kFolder[] = "testdata/gpt2/";
constexpr char kFixture[] = "testdata/models/GPT2LMHeadModel";
constexpr double kTolerance = 1e-5;

using ModelPtr = std::shared_ptr<PretrainedModel>;

absl::StatusOr<ModelPtr> Load(const std::string& class_name,
                              const std::string& folder,
                              const FromPretrainedOptions& options = {}) {
  absl::StatusOr<const ModelClass*> found = FindModel(class_name);
  if (!found.ok()) return found.status();
  return LoadPretrained(**found, folder, options);
}

// Of a case or a refused call.
absl::StatusOr<ModelPtr> LoadGolden(const Json& golden,
                                    LoadingInfo* info = nullptr) {
  FromPretrainedOptions options;
  options.kwargs = golden["config"];
  options.output_loading_info = info;
  return Load(golden["class"],
              absl::StrCat(kFolder, golden["model"].get<std::string>()),
              options);
}

std::optional<bool> Flag(const Json& golden, const char* name) {
  if (golden[name].is_null()) return std::nullopt;
  return golden[name].get<bool>();
}

ForwardOptions ForwardOptionsOf(const Json& golden) {
  return {.output_attentions = Flag(golden, "output_attentions"),
          .output_hidden_states = Flag(golden, "output_hidden_states"),
          .use_cache = Flag(golden, "use_cache")};
}

bool IsAttention(absl::string_view name) {
  return absl::StartsWith(name, "attentions.") ||
         absl::StartsWith(name, "cross_attentions.");
}

void ExpectOutputs(const ModelOutput& output, const NamedTensors& want,
                   bool with_attentions = true) {
  for (const auto& [name, tensor] : output.fields) {
    EXPECT_TRUE(want.contains(name)) << name << " is not the peer's";
  }
  for (const auto& [name, tensor] : want) {
    const at::Tensor* got = output.find(name);
    if (!with_attentions && IsAttention(name)) {
      EXPECT_EQ(got, nullptr) << name;
      continue;
    }
    ASSERT_NE(got, nullptr) << name << " is missing";
    EXPECT_THAT(*got, IsCloseTo(tensor, kTolerance)) << name;
  }
}

// In both ways: with attentions, and by the fused kernel that makes none.
TEST(GPT2GoldenTest, ComputesWhatThePeerComputesInEveryCase) {
  const Json cases = ReadJsonFile(absl::StrCat(kFolder, "cases.json"))["cases"];
  ASSERT_GE(cases.size(), 90u);
  for (const Json& golden : cases) {
    const std::string name = golden["name"];
    SCOPED_TRACE(name);
    LoadingInfo info;
    absl::StatusOr<ModelPtr> model = LoadGolden(golden, &info);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ(Json(info.missing_keys),
              golden.value("missing_keys", Json::array()));
    EXPECT_EQ(Json(info.unexpected_keys),
              golden.value("unexpected_keys", Json::array()));
    const std::string io = absl::StrCat(kFolder, "io/", name, ".safetensors");
    const NamedTensors inputs = ReadGolden(io, "in.");
    const NamedTensors want = ReadGolden(io, "out.");
    ForwardOptions options = ForwardOptionsOf(golden);
    absl::StatusOr<ModelOutput> output = (*model)->Call(inputs, options);
    ASSERT_THAT(output, IsOk());
    ExpectOutputs(*output, want);
    options.output_attentions = false;
    output = (*model)->Call(inputs, options);
    ASSERT_THAT(output, IsOk());
    ExpectOutputs(*output, want, /*with_attentions=*/false);
  }
}

TEST(GPT2GoldenTest, RefusesWhatThePeerRefuses) {
  const Json refused =
      ReadJsonFile(absl::StrCat(kFolder, "cases.json"))["refused"];
  ASSERT_GE(refused.size(), 20u);
  for (const Json& golden : refused) {
    const std::string name = golden["name"];
    SCOPED_TRACE(name);
    absl::StatusOr<ModelPtr> model = LoadGolden(golden);
    absl::Status status = model.status();
    if (model.ok()) {
      const std::string io =
          absl::StrCat(kFolder, "io/refused_", name, ".safetensors");
      status = (*model)
                   ->Call(ReadGolden(io, "in."), {.output_attentions = true})
                   .status();
    }
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_FALSE(absl::StrContains(status.message(), "Exception raised from"))
        << status;
  }
}

// The fixture's last row is padded on the left, so that some of its queries see
// masked keys alone.
TEST(GPT2GoldenTest, ComputesTheFixture) {
  absl::StatusOr<ModelPtr> model = Load("GPT2LMHeadModel", kFixture);
  ASSERT_THAT(model, IsOk());
  const std::string io = absl::StrCat(kFixture, "/io.safetensors");
  const NamedTensors inputs = ReadGolden(io, "in.");
  const NamedTensors want = ReadGolden(io, "out.");
  ASSERT_EQ(inputs.at("attention_mask").select(0, -1)[0].item().toLong(), 0);
  for (const bool output_attentions : {true, false}) {
    absl::StatusOr<ModelOutput> output =
        (*model)->Call(inputs, {.output_attentions = output_attentions,
                                .output_hidden_states = true,
                                .use_cache = false});
    ASSERT_THAT(output, IsOk());
    ExpectOutputs(*output, want, output_attentions);
  }
}

TEST(GPT2GoldenTest, HasTheFactsOfTheFixture) {
  const Json facts = ReadJsonFile(absl::StrCat(kFixture, "/facts.json"));
  absl::StatusOr<ModelPtr> model = Load("GPT2LMHeadModel", kFixture);
  ASSERT_THAT(model, IsOk());
  const auto counts = [&](const Json& want) {
    for (const auto& [key, count] : want.items()) {
      EXPECT_EQ(
          (*model)->num_parameters(
              {.only_trainable = absl::StrContains(key, "only_trainable=True"),
               .exclude_embeddings =
                   absl::StrContains(key, "exclude_embeddings=True")}),
          count.get<int64_t>())
          << key;
    }
  };
  counts(facts["num_parameters"]);
  EXPECT_EQ((*model)->get_memory_footprint(true),
            facts["memory_footprint"]["return_buffers=True"].get<int64_t>());
  EXPECT_EQ((*model)->get_memory_footprint(false),
            facts["memory_footprint"]["return_buffers=False"].get<int64_t>());
  const NamedTensors inputs =
      ReadGolden(absl::StrCat(kFixture, "/io.safetensors"), "in.");
  EXPECT_EQ((*model)->estimate_tokens(inputs),
            facts["estimate_tokens"].get<int64_t>());
  for (const bool exclude : {true, false}) {
    const char* key =
        exclude ? "exclude_embeddings=True" : "exclude_embeddings=False";
    EXPECT_EQ((*model)->floating_point_ops(inputs, exclude),
              facts["floating_point_ops"][key].get<int64_t>());
  }
  EXPECT_EQ((*model)->InputEmbeddingsPath(), facts["input_embeddings"]);
  EXPECT_EQ((*model)->OutputEmbeddingsPath(), facts["output_embeddings"]);
  const Json& frozen = facts["num_parameters_with_frozen"];
  for (Module::NamedSlot& slot : (*model)->TensorSlots()) {
    for (const Json& name : frozen["frozen"]) {
      if (slot.name == name) slot.tensor.set_requires_grad(false);
    }
  }
  counts(frozen["counts"]);
}

// Each tensor of a new model is a sample of the distribution that the peer drew
// its own from: mean and deviation differ by what two samples differ.
TEST(GPT2GoldenTest, StartsAsThePeerDoes) {
  const Json facts = ReadJsonFile(absl::StrCat(kFixture, "/facts.json"));
  const Json& want = facts["initial_state"]["tensors"];
  absl::StatusOr<const ModelClass*> found = FindModel("GPT2LMHeadModel");
  ASSERT_THAT(found, IsOk());
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromPretrained(
      kFixture, *(*found)->layout->config_class);
  ASSERT_THAT(config, IsOk());
  absl::StatusOr<ModelPtr> model =
      ModelFromConfig(**found, *config, {.seed = 4});
  ASSERT_THAT(model, IsOk());
  int seen = 0;
  for (const Module::NamedSlot& slot : (*model)->TensorSlots()) {
    if (slot.is_buffer) continue;
    ASSERT_TRUE(want.contains(slot.name)) << slot.name;
    const double mean = want[slot.name]["mean"].get<double>();
    const double deviation = want[slot.name]["std"].get<double>();
    const double count = static_cast<double>(slot.tensor.numel());
    EXPECT_NEAR(slot.tensor.mean().item().toDouble(), mean,
                6 * deviation / std::sqrt(count))
        << slot.name;
    EXPECT_NEAR(slot.tensor.std().item().toDouble(), deviation,
                5 * deviation / std::sqrt(count))
        << slot.name;
    ++seen;
  }
  EXPECT_EQ(seen, static_cast<int>(want.size()));
}

}  // namespace
}  // namespace pretrained
