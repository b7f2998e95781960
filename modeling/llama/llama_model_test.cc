#include "modeling/llama/llama_model.h"

#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/json_testutil.h"
#include "modeling/loading_info.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

constexpr char kFolder[] = "testdata/llama/";
constexpr char kModelFolder[] = "testdata/models/LlamaForCausalLM";
constexpr double kTolerance = 1e-5;

Json Cases(const char* list) {
  return ReadJsonFile(absl::StrCat(kFolder, "cases.json"))[list];
}

const ModelClass& ClassOf(const Json& golden) {
  return **FindModel(golden["class"].get<std::string>());
}

absl::StatusOr<std::shared_ptr<PretrainedModel>> Load(
    const Json& golden, LoadingInfo* info = nullptr,
    const std::string& torch_dtype = "") {
  FromPretrainedOptions options;
  options.torch_dtype = torch_dtype;
  options.kwargs = golden["config"];
  options.output_loading_info = info;
  return LoadPretrained(
      ClassOf(golden),
      absl::StrCat(kFolder, golden["model"].get<std::string>()), options);
}

NamedTensors TensorsOf(const Json& golden, const char* prefix) {
  return ReadGolden(absl::StrCat(kFolder, golden["io"].get<std::string>()),
                    prefix);
}

ForwardOptions FlagsOf(const Json& golden) {
  const Json& flags = golden["flags"];
  const auto flag = [&](const char* name) -> std::optional<bool> {
    if (!flags.contains(name)) return std::nullopt;
    return flags[name].get<bool>();
  };
  return {.output_attentions = flag("output_attentions"),
          .output_hidden_states = flag("output_hidden_states"),
          .use_cache = flag("use_cache")};
}

void ExpectOutputs(const ModelOutput& output, const NamedTensors& want) {
  for (const auto& [name, tensor] : output.fields) {
    EXPECT_TRUE(want.contains(name)) << name << " is not the peer's";
  }
  for (const auto& [name, tensor] : want) {
    const at::Tensor* got = output.find(name);
    ASSERT_NE(got, nullptr) << name << " is missing";
    EXPECT_THAT(*got, IsCloseTo(tensor, kTolerance)) << name;
  }
}

TEST(LlamaModelTest, ComputesWhatThePeerComputesInEveryCase) {
  const Json cases = Cases("cases");
  ASSERT_GE(cases.size(), 60u);
  for (const Json& golden : cases) {
    SCOPED_TRACE(golden["name"].get<std::string>());
    LoadingInfo info;
    auto model = Load(golden, &info);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ(Json(info.missing_keys),
              golden.value("missing_keys", Json::array()));
    EXPECT_EQ(Json(info.unexpected_keys),
              golden.value("unexpected_keys", Json::array()));
    if (golden["before"].get<bool>()) {
      ASSERT_THAT((*model)->Call(TensorsOf(golden, "before.")), IsOk());
    }
    auto output = (*model)->Call(TensorsOf(golden, "in."), FlagsOf(golden));
    ASSERT_THAT(output, IsOk());
    ExpectOutputs(*output, TensorsOf(golden, "out."));
  }
}

TEST(LlamaModelTest, ComputesTheModelOfThePeersOwnMaking) {
  auto model = LlamaForCausalLM::FromPretrained(kModelFolder);
  ASSERT_THAT(model, IsOk());
  const std::string io = absl::StrCat(kModelFolder, "/io.safetensors");
  auto output =
      (*model)->Call(ReadGolden(io, "in."), {.output_attentions = true,
                                             .output_hidden_states = true,
                                             .use_cache = false});
  ASSERT_THAT(output, IsOk());
  ExpectOutputs(*output, ReadGolden(io, "out."));
  // The same without attentions, which the fused kernel computes.
  auto fused = (*model)->Call(ReadGolden(io, "in."), {.use_cache = false});
  ASSERT_THAT(fused, IsOk());
  EXPECT_THAT(*fused->find("logits"),
              IsCloseTo(ReadGolden(io, "out.").at("logits"), kTolerance));
}

TEST(LlamaModelTest, RefusesWhatThePeerRefuses) {
  const std::map<std::string, std::string> messages = {
      {"ids_and_embeds", "not both"},
      {"neither_ids_nor_embeds", "give input_ids, or inputs_embeds"},
      {"mask_too_short", "attention_mask: has shape [2, 5], but [2, 6]"},
      {"mask_without_the_cache",
       "attention_mask: has shape [2, 6], but [2, 9]"},
      {"mask_3d", "attention_mask: has shape [2, 6, 6]"},
      {"position_beyond_the_tokens", "position_ids: holds 6"},
      {"id_beyond_vocabulary", "input_ids: holds 61, but vocab_size is 61"},
      {"negative_id", "input_ids: holds -1"},
      {"cache_of_all_heads", "past_key_values.0.0: has shape [2, 4, 3, 8]"},
      {"labels_of_another_length", "labels: has shape [2, 5], but [2, 6]"},
      {"label_beyond_vocabulary", "labels: holds "},
      {"rows_without_padding_token", "input_ids: has 2 rows, but without"},
      {"heads_do_not_divide", "a multiple of the 5 attention heads"},
      {"key_heads_do_not_divide", "a divisor of the 4 attention heads"},
      {"unknown_activation", "'hidden_act' is \"swoosh\""},
      {"padding_beyond_vocabulary", "'pad_token_id' is 61"},
      {"tp_does_not_divide", "'pretraining_tp' is 3"}};
  const Json refused = Cases("refused");
  EXPECT_EQ(refused.size(), messages.size());
  for (const Json& golden : refused) {
    const std::string name = golden["name"];
    SCOPED_TRACE(name);
    ASSERT_TRUE(messages.contains(name));
    auto model = Load(golden);
    absl::Status status = model.status();
    if (model.ok()) status = (*model)->Call(TensorsOf(golden, "in.")).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr(messages.at(name))));
  }
}

// Buffers by name, as in facts.json.
Json BuffersOf(PretrainedModel& model) {
  Json buffers = Json::object();
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    if (!slot.is_buffer) continue;
    const bool half = slot.tensor.scalar_type() == at::kHalf;
    buffers[slot.name] = {{"shape", slot.tensor.sizes().vec()},
                          {"dtype", half ? "float16" : "float32"}};
  }
  return buffers;
}

TEST(LlamaModelTest, WeighsWhatThePeerWeighsInFloat16Too) {
  for (const Json& facts : ReadJsonFile(absl::StrCat(kFolder, "facts.json"))) {
    SCOPED_TRACE(facts["model"].get<std::string>() + facts["config"].dump());
    for (const bool half : {false, true}) {
      auto model = Load(facts, nullptr, half ? "float16" : "");
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

TEST(LlamaModelTest, HasTheFactsOfThePeer) {
  const Json facts = ReadJsonFile(absl::StrCat(kModelFolder, "/facts.json"));
  auto model = LlamaForCausalLM::FromPretrained(kModelFolder);
  ASSERT_THAT(model, IsOk());
  const NamedTensors inputs =
      ReadGolden(absl::StrCat(kModelFolder, "/io.safetensors"), "in.");
  EXPECT_EQ((*model)->estimate_tokens(inputs),
            facts["estimate_tokens"].get<int64_t>());
  for (const bool flag : {false, true}) {
    const std::string key =
        absl::StrCat("exclude_embeddings=", flag ? "True" : "False");
    EXPECT_EQ((*model)->floating_point_ops(inputs, flag),
              facts["floating_point_ops"][key].get<int64_t>());
    EXPECT_EQ(
        (*model)->num_parameters({.exclude_embeddings = flag}),
        facts["num_parameters"]["only_trainable=False," + key].get<int64_t>());
  }
  EXPECT_EQ((*model)->InputEmbeddingsPath(), facts["input_embeddings"]);
  EXPECT_EQ((*model)->OutputEmbeddingsPath(), facts["output_embeddings"]);
  Json modules = Json::object();
  (*model)->ForEachModule([&](const std::string& path, Module& module) {
    modules[path] = module.class_name();
  });
  EXPECT_EQ(modules.dump(1), facts["modules"].dump(1));
}

// The mean of n draws of a normal distribution strays by sigma / sqrt(n), their
// standard deviation by sigma / sqrt(2 n); ten times that does not happen.
TEST(LlamaModelTest, NewWeightsAreDrawnAsThePeersAre) {
  const Json state = ReadJsonFile(
      absl::StrCat(kModelFolder, "/facts.json"))["initial_state"]["tensors"];
  auto model = LlamaForCausalLM::FromPretrained(kModelFolder);
  ASSERT_THAT(model, IsOk());
  ASSERT_THAT((*model)->InitWeights(7), IsOk());
  int64_t seen = 0;
  for (const Module::NamedSlot& slot : (*model)->TensorSlots()) {
    if (slot.is_buffer) continue;
    SCOPED_TRACE(slot.name);
    ASSERT_TRUE(state.contains(slot.name));
    const double want_deviation = state[slot.name]["std"].get<double>();
    const double want_mean = state[slot.name]["mean"].get<double>();
    const double n = static_cast<double>(slot.tensor.numel());
    const at::Tensor values = slot.tensor.detach().to(at::kDouble);
    EXPECT_NEAR(values.mean().item<double>(), want_mean,
                10 * want_deviation / std::sqrt(n) + 1e-9);
    EXPECT_NEAR(values.std().item<double>(), want_deviation,
                10 * want_deviation / std::sqrt(2 * n) + 1e-9);
    ++seen;
  }
  EXPECT_EQ(seen, static_cast<int64_t>(state.size()));
  const at::Tensor padding =
      (*model)->model().named_parameters()["embed_tokens.weight"].select(0, 0);
  EXPECT_EQ(padding.abs().max().item<double>(), 0.0);
}

TEST(LlamaModelTest, TiedWeightsAreOneTensor) {
  for (const bool tie : {true, false}) {
    FromPretrainedOptions options;
    options.kwargs = {{"tie_word_embeddings", tie}};
    auto model = LlamaForCausalLM::FromPretrained(
        absl::StrCat(kFolder, "one_key_head"), options);
    ASSERT_THAT(model, IsOk());
    std::map<std::string, at::Tensor> slots;
    for (const Module::NamedSlot& slot : (*model)->TensorSlots()) {
      slots[slot.name] = slot.tensor;
    }
    EXPECT_EQ(
        slots["lm_head.weight"].is_same(slots["model.embed_tokens.weight"]),
        tie);
  }
}

// One call, and as many calls as tokens, with a cache, must agree.
TEST(LlamaModelTest, ACacheChangesNothing) {
  for (const char* folder : {"grouped", "one_key_head"}) {
    SCOPED_TRACE(folder);
    auto model = LlamaModel::FromPretrained(absl::StrCat(kFolder, folder));
    ASSERT_THAT(model, IsOk());
    const at::Tensor ids =
        at::arange(1, 17, at::dtype(at::kLong)).reshape({2, 8});
    auto whole = (*model)->Forward({.input_ids = ids});
    ASSERT_THAT(whole, IsOk());
    KeyValueCache cache;
    for (int64_t i = 0; i < 8; ++i) {
      auto step = (*model)->Forward(
          {.input_ids = ids.narrow(1, i, 1), .past_key_values = cache});
      ASSERT_THAT(step, IsOk());
      EXPECT_THAT(
          step->last_hidden_state,
          IsCloseTo(whole->last_hidden_state.narrow(1, i, 1), kTolerance));
      cache = step->past_key_values;
    }
    // Cached once for each key head, not for each query head.
    EXPECT_EQ(cache[0][0].size(1),
              (*model)->llama_config().num_key_value_heads);
  }
}

// The fused kernel and the one that returns attentions, row by row, padding and
// all: also where a row sees nothing but padding.
TEST(LlamaModelTest, AttentionsMayBeAskedForOrNot) {
  auto model = LlamaModel::FromPretrained(absl::StrCat(kFolder, "grouped"));
  ASSERT_THAT(model, IsOk());
  const at::Tensor ids =
      at::arange(1, 22, at::dtype(at::kLong)).reshape({3, 7});
  at::Tensor mask = at::ones({3, 7}, at::dtype(at::kLong));
  mask.select(0, 1).narrow(0, 0, 4).zero_();
  mask.select(0, 2).zero_();
  for (const at::Tensor& attention_mask : {at::Tensor(), mask}) {
    const LlamaModelInputs inputs{.input_ids = ids,
                                  .attention_mask = attention_mask};
    auto fused = (*model)->Forward(inputs);
    auto plain = (*model)->Forward(inputs, {.output_attentions = true});
    ASSERT_THAT(fused, IsOk());
    ASSERT_THAT(plain, IsOk());
    EXPECT_TRUE(fused->attentions.empty());
    EXPECT_EQ(plain->attentions.size(), 2u);
    EXPECT_THAT(fused->last_hidden_state,
                IsCloseTo(plain->last_hidden_state, kTolerance));
  }
}

struct HalfAndWhole {
  at::Tensor half;
  at::Tensor whole;
};

// The logits of one model in `dtype`, and in float32 with the same weights.
HalfAndWhole LogitsOf(const std::string& folder, const NamedTensors& inputs,
                      const std::string& dtype, bool attentions) {
  auto half = LlamaForCausalLM::FromPretrained(folder, {.torch_dtype = dtype});
  auto whole = LlamaForCausalLM::FromPretrained(folder);
  EXPECT_THAT(half, IsOk());
  EXPECT_THAT(whole, IsOk());
  std::map<std::string, at::Tensor> rounded;
  for (const Module::NamedSlot& slot : (*half)->TensorSlots()) {
    rounded[slot.name] = slot.tensor;
  }
  at::NoGradGuard no_grad;
  for (const Module::NamedSlot& slot : (*whole)->TensorSlots()) {
    if (!slot.is_buffer) slot.tensor.copy_(rounded[slot.name]);
  }
  const ForwardOptions options{.output_attentions = attentions,
                               .use_cache = true};
  auto got = (*half)->Call(inputs, options);
  auto want = (*whole)->Call(inputs, options);
  EXPECT_THAT(got, IsOk());
  EXPECT_THAT(want, IsOk());
  EXPECT_EQ(got->find("logits")->scalar_type(), at::kFloat);
  EXPECT_EQ(got->find("past_key_values.0.0")->scalar_type(),
            dtype == "float16" ? at::kHalf : at::kBFloat16);
  return {*got->find("logits"), *want->find("logits")};
}

TEST(LlamaModelTest, Float16StaysNearFloat32) {
  const NamedTensors inputs =
      ReadGolden(absl::StrCat(kModelFolder, "/io.safetensors"), "in.");
  for (const bool attentions : {false, true}) {
    SCOPED_TRACE(attentions ? "with attentions" : "fused");
    const auto [half, whole] =
        LogitsOf(kModelFolder, inputs, "float16", attentions);
    EXPECT_THAT(half, IsCloseTo(whole, 2e-2));
  }
}

// Eight bits are few for weights as large as these: the peer strays by up to
// several times 2e-2 (1 + |logit|). On the average we stray no further.
TEST(LlamaModelTest, BFloat16StaysAsNearFloat32AsThePeers) {
  const std::string file = absl::StrCat(kFolder, "beside_float32.safetensors");
  const NamedTensors inputs = ReadGolden(file, "in.");
  const auto strays = [](const at::Tensor& half, const at::Tensor& whole) {
    return ((half - whole).abs() / (1 + whole.abs())).mean().item<double>();
  };
  const at::Tensor exact = ReadGolden(file, "exact.").at("logits");
  const double peers = strays(ReadGolden(file, "out.").at("logits"), exact);
  EXPECT_LT(peers, 2e-2);
  for (const bool attentions : {false, true}) {
    SCOPED_TRACE(attentions ? "with attentions" : "fused");
    const auto [half, whole] = LogitsOf(absl::StrCat(kFolder, "grouped"),
                                        inputs, "bfloat16", attentions);
    EXPECT_THAT(whole, IsCloseTo(exact, kTolerance));
    EXPECT_LT(strays(half, whole), 1.1 * peers);
  }
}

TEST(LlamaModelTest, ManyThreadsMayCallIt) {
  FromPretrainedOptions options;
  options.kwargs = {{"rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}}};
  auto model =
      LlamaModel::FromPretrained(absl::StrCat(kFolder, "grouped"), options);
  ASSERT_THAT(model, IsOk());
  const auto forward = [&](int64_t tokens) {
    return (*model)->Forward(
        {.input_ids = at::ones({1, tokens}, at::dtype(at::kLong))});
  };
  // The longest comes first, so that all calls use its frequencies.
  const at::Tensor want = forward(30)->last_hidden_state;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int64_t tokens = 1; tokens <= 30; ++tokens) {
        auto output = forward(tokens);
        ASSERT_THAT(output, IsOk());
        EXPECT_THAT(output->last_hidden_state,
                    IsCloseTo(want.narrow(1, 0, tokens), kTolerance));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(LlamaModelTest, GradientsReachEveryWeight) {
  auto model = LlamaForCausalLM::FromPretrained(kModelFolder);
  ASSERT_THAT(model, IsOk());
  const at::Tensor ids =
      at::arange(1, 13, at::dtype(at::kLong)).reshape({2, 6});
  auto output = (*model)->Forward({{.input_ids = ids}, /*labels=*/ids});
  ASSERT_THAT(output, IsOk());
  output->loss.backward();
  for (const Module::NamedSlot& slot : (*model)->TensorSlots()) {
    if (slot.is_buffer) continue;
    ASSERT_TRUE(slot.tensor.grad().defined()) << slot.name;
    EXPECT_GT(slot.tensor.grad().abs().max().item<double>(), 0.0) << slot.name;
  }
}

TEST(LlamaModelTest, ResizedEmbeddingsTakeTheNewIds) {
  auto model = LlamaModel::FromPretrained(absl::StrCat(kFolder, "grouped"));
  ASSERT_THAT(model, IsOk());
  const LlamaModelInputs beyond{.input_ids =
                                    at::full({1, 3}, 63, at::dtype(at::kLong))};
  EXPECT_THAT((*model)->Forward(beyond),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("vocab_size is 61")));
  ASSERT_THAT((*model)->ResizeTokenEmbeddings(64), IsOk());
  EXPECT_THAT((*model)->Forward(beyond), IsOk());
}

TEST(LlamaModelTest, IsWhatAutoModelMakes) {
  auto model = AutoModel::FromPretrained(kModelFolder);
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ((*model)->class_name(), "LlamaModel");
  EXPECT_NE(dynamic_cast<LlamaModel*>(model->get()), nullptr);
}

}  // namespace
}  // namespace pretrained
