#include "modeling/family_testutil.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/from_pretrained_options.h"
#include "modeling/json_testutil.h"
#include "modeling/loading_info.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_digest.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;
using ModelPtr = std::shared_ptr<PretrainedModel>;

constexpr double kTolerance = 1e-5;

std::optional<bool> Flag(const Json& flags, const char* name) {
  if (!flags.contains(name)) return std::nullopt;
  return flags[name].get<bool>();
}

ForwardOptions OptionsOf(const Json& flags) {
  return {.output_attentions = Flag(flags, "output_attentions"),
          .output_hidden_states = Flag(flags, "output_hidden_states"),
          .use_cache = Flag(flags, "use_cache")};
}

void ExpectOutputs(const ModelOutput& output, const NamedTensors& want,
                   bool with_attentions) {
  for (const auto& [name, tensor] : output.fields) {
    EXPECT_TRUE(want.contains(name)) << name << " is not the peer's";
  }
  for (const auto& [name, tensor] : want) {
    const at::Tensor* got = output.find(name);
    if (!with_attentions && (absl::StartsWith(name, "attentions.") ||
                             absl::StartsWith(name, "cross_attentions."))) {
      EXPECT_EQ(got, nullptr) << name;
      continue;
    }
    ASSERT_NE(got, nullptr) << name << " is missing";
    EXPECT_THAT(*got, IsCloseTo(tensor, kTolerance)) << name;
  }
}

// With the options that are asked for, and without attentions.
void ExpectBothWays(PretrainedModel& model, const NamedTensors& inputs,
                    ForwardOptions options, const NamedTensors& want) {
  absl::StatusOr<ModelOutput> output = model.Call(inputs, options);
  ASSERT_THAT(output, IsOk());
  ExpectOutputs(*output, want, /*with_attentions=*/true);
  options.output_attentions = false;
  output = model.Call(inputs, options);
  ASSERT_THAT(output, IsOk());
  ExpectOutputs(*output, want, /*with_attentions=*/false);
}

absl::StatusOr<const ModelClass*> ClassOfFixture(const Json& facts) {
  return FindModel(facts["class"].get<std::string>());
}

Json FactsOf(const std::string& fixture) {
  return ReadJsonFile(absl::StrCat(fixture, "/facts.json"));
}

absl::StatusOr<ModelPtr> LoadFixture(const std::string& fixture) {
  absl::StatusOr<const ModelClass*> found = ClassOfFixture(FactsOf(fixture));
  if (!found.ok()) return found.status();
  return LoadPretrained(**found, fixture);
}

// A new model of the fixture's config.
absl::StatusOr<ModelPtr> NewModel(const std::string& fixture,
                                  const std::string& dtype) {
  absl::StatusOr<const ModelClass*> found = ClassOfFixture(FactsOf(fixture));
  if (!found.ok()) return found.status();
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromPretrained(
      fixture, *(*found)->layout->config_class);
  if (!config.ok()) return config.status();
  return ModelFromConfig(**found, *config, {.torch_dtype = dtype, .seed = 4});
}

NamedTensors InputsOf(const std::string& fixture) {
  return ReadGolden(absl::StrCat(fixture, "/io.safetensors"), "in.");
}

// Buffers by name, as in facts.json.
Json BuffersOf(PretrainedModel& model) {
  const std::map<at::ScalarType, std::string> names = {{at::kHalf, "float16"},
                                                       {at::kFloat, "float32"},
                                                       {at::kBool, "bool"},
                                                       {at::kLong, "int64"}};
  Json buffers = Json::object();
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    if (!slot.is_buffer) continue;
    buffers[slot.name] = {{"shape", slot.tensor.sizes().vec()},
                          {"dtype", names.at(slot.tensor.scalar_type())}};
  }
  return buffers;
}

void ExpectParameterCounts(PretrainedModel& model, const Json& want) {
  for (const auto& [key, count] : want.items()) {
    const CountOptions options = {
        .only_trainable = absl::StrContains(key, "only_trainable=True"),
        .exclude_embeddings =
            absl::StrContains(key, "exclude_embeddings=True")};
    EXPECT_EQ(model.num_parameters(options), count.get<int64_t>()) << key;
  }
}

// Prunes heads and resizes embeddings, where the case says so.
void Operate(const Json& golden, PretrainedModel& model) {
  if (golden.contains("prune_heads")) {
    std::map<int64_t, std::vector<int64_t>> heads;
    for (const auto& [layer, pruned] : golden["prune_heads"].items()) {
      heads[std::stoll(layer)] = pruned.get<std::vector<int64_t>>();
    }
    ASSERT_THAT(model.PruneHeads(heads), IsOk());
    EXPECT_EQ(model.config().Get("pruned_heads"), golden["prune_heads"]);
  }
  if (golden.contains("resize_token_embeddings")) {
    const int64_t rows = golden["resize_token_embeddings"].get<int64_t>();
    ASSERT_THAT(model.ResizeTokenEmbeddings(rows), IsOk());
    EXPECT_EQ(model.config().Get("vocab_size"), rows);
  }
  if (golden.contains("num_parameters")) {
    EXPECT_EQ(model.num_parameters(), golden["num_parameters"].get<int64_t>());
  }
}

void CopyParameters(PretrainedModel& from, PretrainedModel& to) {
  std::map<std::string, at::Tensor> slots;
  for (const Module::NamedSlot& slot : from.TensorSlots()) {
    slots[slot.name] = slot.tensor;
  }
  at::NoGradGuard no_grad;
  for (const Module::NamedSlot& slot : to.TensorSlots()) {
    at::Tensor tensor = slot.tensor;
    if (!slot.is_buffer) tensor.copy_(slots.at(slot.name));
  }
}

}  // namespace

absl::StatusOr<ModelPtr> LoadGolden(const std::string& family,
                                    const Json& golden, LoadingInfo* info,
                                    const std::string& torch_dtype) {
  absl::StatusOr<const ModelClass*> found =
      FindModel(golden["class"].get<std::string>());
  if (!found.ok()) return found.status();
  FromPretrainedOptions options;
  options.torch_dtype = torch_dtype;
  options.kwargs = golden["config"];
  options.output_loading_info = info;
  return LoadPretrained(
      **found, absl::StrCat(family, "/", golden["model"].get<std::string>()),
      options);
}

void ExpectGoldenCases(const std::string& family, size_t least) {
  const Json cases = ReadJsonFile(absl::StrCat(family, "/cases.json"))["cases"];
  ASSERT_GE(cases.size(), least);
  const std::string io = absl::StrCat(family, "/io.safetensors");
  for (const Json& golden : cases) {
    const std::string name = golden["name"];
    SCOPED_TRACE(name);
    LoadingInfo info;
    absl::StatusOr<ModelPtr> model = LoadGolden(family, golden, &info);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ(Json(info.missing_keys),
              golden.value("missing_keys", Json::array()));
    EXPECT_EQ(Json(info.unexpected_keys),
              golden.value("unexpected_keys", Json::array()));
    Operate(golden, **model);
    if (golden["before"].get<bool>()) {
      ASSERT_THAT((*model)->Call(ReadGolden(io, name + "/before.")), IsOk());
    }
    ExpectBothWays(**model, ReadGolden(io, name + "/in."),
                   OptionsOf(golden["flags"]), ReadGolden(io, name + "/out."));
  }
}

void ExpectRefusals(const std::string& family,
                    const std::map<std::string, std::string>& messages) {
  const Json refused =
      ReadJsonFile(absl::StrCat(family, "/cases.json"))["refused"];
  EXPECT_EQ(refused.size(), messages.size());
  const std::string io = absl::StrCat(family, "/io.safetensors");
  for (const Json& golden : refused) {
    const std::string name = golden["name"];
    SCOPED_TRACE(name);
    ASSERT_TRUE(messages.contains(name));
    absl::StatusOr<ModelPtr> model = LoadGolden(family, golden);
    absl::Status status = model.status();
    if (model.ok()) {
      status =
          (*model)
              ->Call(ReadGolden(io, absl::StrCat("refused_", name, "/in.")))
              .status();
    }
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr(messages.at(name))));
  }
}

void ExpectGoldenWeights(const std::string& family) {
  for (const Json& facts : ReadJsonFile(absl::StrCat(family, "/facts.json"))) {
    SCOPED_TRACE(facts["model"].get<std::string>() + facts["config"].dump());
    for (const bool half : {false, true}) {
      absl::StatusOr<ModelPtr> model =
          LoadGolden(family, facts, nullptr, half ? "float16" : "");
      ASSERT_THAT(model, IsOk());
      const std::string suffix = half ? "_float16" : "";
      const Json& footprint = facts["memory_footprint" + suffix];
      EXPECT_EQ((*model)->get_memory_footprint(true),
                footprint["return_buffers=True"].get<int64_t>());
      EXPECT_EQ((*model)->get_memory_footprint(false),
                footprint["return_buffers=False"].get<int64_t>());
      EXPECT_EQ(BuffersOf(**model).dump(1), facts["buffers" + suffix].dump(1));
    }
  }
}

void ExpectFixtureOutputs(const std::string& fixture) {
  absl::StatusOr<ModelPtr> model = LoadFixture(fixture);
  ASSERT_THAT(model, IsOk());
  ExpectBothWays(**model, InputsOf(fixture),
                 {.output_attentions = true,
                  .output_hidden_states = true,
                  .use_cache = false},
                 ReadGolden(absl::StrCat(fixture, "/io.safetensors"), "out."));
}

void ExpectFixtureFacts(const std::string& fixture) {
  const Json facts = FactsOf(fixture);
  absl::StatusOr<ModelPtr> model = LoadFixture(fixture);
  ASSERT_THAT(model, IsOk());
  const NamedTensors inputs = InputsOf(fixture);
  EXPECT_EQ((*model)->estimate_tokens(inputs),
            facts["estimate_tokens"].get<int64_t>());
  for (const bool flag : {false, true}) {
    const char* value = flag ? "True" : "False";
    EXPECT_EQ(
        (*model)->floating_point_ops(inputs, flag),
        facts["floating_point_ops"][absl::StrCat("exclude_embeddings=", value)]
            .get<int64_t>());
    EXPECT_EQ((*model)->get_memory_footprint(flag),
              facts["memory_footprint"][absl::StrCat("return_buffers=", value)]
                  .get<int64_t>());
  }
  EXPECT_EQ((*model)->InputEmbeddingsPath(), facts["input_embeddings"]);
  const Json& output = facts["output_embeddings"];
  EXPECT_EQ((*model)->OutputEmbeddingsPath(),
            output.is_null() ? "" : output.get<std::string>());
  EXPECT_EQ(BuffersOf(**model).dump(1), facts["buffers"].dump(1));
  Json modules = Json::object();
  (*model)->ForEachModule([&](const std::string& path, Module& module) {
    modules[path] = module.class_name();
  });
  EXPECT_EQ(modules.dump(1), facts["modules"].dump(1));
  ExpectParameterCounts(**model, facts["num_parameters"]);
  const Json& frozen = facts["num_parameters_with_frozen"];
  for (Module::NamedSlot& slot : (*model)->TensorSlots()) {
    for (const Json& name : frozen["frozen"]) {
      if (slot.name == name) slot.tensor.set_requires_grad(false);
    }
  }
  ExpectParameterCounts(**model, frozen["counts"]);
}

// The mean of n draws of a normal distribution strays by sigma / sqrt(n), their
// standard deviation by sigma / sqrt(2 n); ten times that does not happen.
// Buffers must be the very same.
void ExpectFixtureStart(const std::string& fixture) {
  const Json state = FactsOf(fixture)["initial_state"]["tensors"];
  absl::StatusOr<ModelPtr> model = NewModel(fixture, "");
  ASSERT_THAT(model, IsOk());
  size_t seen = 0;
  for (const Module::NamedSlot& slot : (*model)->TensorSlots()) {
    if (!state.contains(slot.name)) {
      EXPECT_TRUE(slot.is_buffer) << slot.name;
      continue;
    }
    SCOPED_TRACE(slot.name);
    ++seen;
    if (!state[slot.name].contains("mean")) {  // A single number.
      EXPECT_EQ(DigestOf(slot.tensor), state[slot.name]["digest"]);
      continue;
    }
    const at::Tensor values = slot.tensor.detach().to(at::kDouble);
    const double n = static_cast<double>(values.numel());
    const double mean = state[slot.name]["mean"].get<double>();
    const double deviation = state[slot.name]["std"].get<double>();
    const double strays = slot.is_buffer ? 0.0 : 10 * deviation / std::sqrt(n);
    EXPECT_NEAR(values.mean().item<double>(), mean, strays + 1e-7);
    EXPECT_NEAR(values.std().item<double>(), deviation,
                strays / std::sqrt(2.0) + 1e-7);
  }
  EXPECT_EQ(seen, state.size());
}

void ExpectHalfNearFloat32(const std::string& fixture) {
  const NamedTensors inputs = InputsOf(fixture);
  for (const char* dtype : {"float16", "bfloat16"}) {
    absl::StatusOr<ModelPtr> half = NewModel(fixture, dtype);
    absl::StatusOr<ModelPtr> whole = NewModel(fixture, "");
    ASSERT_THAT(half, IsOk());
    ASSERT_THAT(whole, IsOk());
    CopyParameters(**half, **whole);
    for (const bool attentions : {true, false}) {
      SCOPED_TRACE(absl::StrCat(dtype, attentions ? ", plain" : ", fused"));
      const ForwardOptions options{.output_attentions = attentions,
                                   .output_hidden_states = true,
                                   .use_cache = true};
      absl::StatusOr<ModelOutput> got = (*half)->Call(inputs, options);
      absl::StatusOr<ModelOutput> want = (*whole)->Call(inputs, options);
      ASSERT_THAT(got, IsOk());
      ASSERT_THAT(want, IsOk());
      ASSERT_EQ(got->fields.size(), want->fields.size());
      for (const auto& [name, tensor] : want->fields) {
        EXPECT_THAT(got->find(name)->to(at::kFloat), IsCloseTo(tensor, 2e-2))
            << name;
      }
    }
  }
}

void ExpectSavesWhatItLoaded(const std::string& fixture) {
  absl::StatusOr<ModelPtr> model = LoadFixture(fixture);
  ASSERT_THAT(model, IsOk());
  const std::string folder =
      absl::StrCat(checkpoint_testing::MakeTestFolder("saved"), "/model");
  ASSERT_THAT((*model)->SavePretrained(folder), IsOk());
  // Beside what it was loaded from, nothing differs.
  Json config = ReadJsonFile(absl::StrCat(folder, "/config.json"));
  config.erase("_name_or_path");
  EXPECT_EQ(config.dump(1),
            ReadJsonFile(absl::StrCat(fixture, "/config.json")).dump(1));
  const NamedTensors want =
      ReadGolden(absl::StrCat(fixture, "/model.safetensors"), "");
  const NamedTensors got =
      ReadGolden(absl::StrCat(folder, "/model.safetensors"), "");
  EXPECT_EQ(got.size(), want.size());
  for (const auto& [name, tensor] : want) {
    ASSERT_TRUE(got.contains(name)) << name;
    EXPECT_TRUE(at::equal(got.at(name), tensor)) << name;
  }
}

}  // namespace pretrained
