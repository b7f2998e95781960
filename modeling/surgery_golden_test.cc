// Every family, pruned and resized: beside what transformers 4.34 made of the
// same model where it can, and beside the model with those heads silenced where
// it cannot.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/json_testutil.h"
#include "modeling/layers.h"
#include "modeling/loading_info.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/state_dict.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::ordered_json;
using ModelPtr = std::shared_ptr<PretrainedModel>;
using Heads = std::map<int64_t, std::vector<int64_t>>;

constexpr double kTolerance = 1e-5;
constexpr char kPruning[] = "testdata/surgery/pruning/";
constexpr char kResizing[] = "testdata/surgery/resize/";
constexpr char kModels[] = "testdata/models/";

ModelPtr Load(const std::string& folder, const std::string& class_name,
              const Json& kwargs = Json::object()) {
  absl::StatusOr<const ModelClass*> found = FindModel(class_name);
  EXPECT_THAT(found.status(), IsOk());
  LoadingInfo info;
  absl::StatusOr<ModelPtr> model = LoadPretrained(
      **found, folder, {.kwargs = kwargs, .output_loading_info = &info});
  EXPECT_THAT(model, IsOk()) << folder;
  EXPECT_THAT(info.missing_keys, IsEmpty());
  EXPECT_THAT(info.unexpected_keys, IsEmpty());
  return model.ok() ? *model : nullptr;
}

// What it is after it was saved and loaded.
ModelPtr SavedAndLoaded(PretrainedModel& model) {
  const std::string folder = absl::StrCat(
      ::testing::TempDir(), "/saved_", model.class_name(), "_",
      ::testing::UnitTest::GetInstance()->current_test_info()->name());
  EXPECT_THAT(model.SavePretrained(folder), IsOk());
  return Load(folder, model.class_name());
}

NamedTensors Outputs(PretrainedModel& model, const NamedTensors& inputs,
                     bool attentions = false) {
  absl::StatusOr<ModelOutput> output =
      model.Call(inputs, {.output_attentions = attentions,
                          .output_hidden_states = true,
                          .use_cache = false});
  EXPECT_THAT(output, IsOk());
  NamedTensors named;
  if (!output.ok()) return named;
  for (const auto& [name, tensor] : output->fields) named[name] = tensor;
  return named;
}

void ExpectNear(const NamedTensors& got, const NamedTensors& want,
                double tolerance = kTolerance) {
  EXPECT_EQ(got.size(), want.size());
  for (const auto& [name, tensor] : want) {
    ASSERT_TRUE(got.contains(name)) << name;
    EXPECT_THAT(got.at(name), IsCloseTo(tensor, tolerance)) << name;
  }
}

// The same tensors, bit for bit.
void ExpectSameWeights(PretrainedModel& got, PretrainedModel& want) {
  const StateDict state = got.state_dict();
  std::map<std::string, at::Tensor> tensors(state.begin(), state.end());
  const StateDict wanted = want.state_dict();
  EXPECT_EQ(tensors.size(), wanted.size());
  for (const auto& [name, tensor] : wanted) {
    ASSERT_TRUE(tensors.contains(name)) << name;
    EXPECT_TRUE(at::equal(tensors[name], tensor)) << name;
  }
}

Heads HeadsOf(const Json& json) {
  Heads heads;
  for (const auto& [layer, pruned] : json.items()) {
    heads[std::stoll(layer)] = pruned.get<std::vector<int64_t>>();
  }
  return heads;
}

// --- Beside the peer ---------------------------------------------------------

class PrunedByThePeerTest : public ::testing::TestWithParam<const char*> {};

TEST_P(PrunedByThePeerTest, IsWhatItMade) {
  const std::string folder = absl::StrCat(kPruning, GetParam());
  const Json golden = ReadJsonFile(folder + "/expect.json");
  const std::string class_name = golden["class"];
  ModelPtr model = Load(folder + "/before", class_name);
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->num_parameters(), golden["num_parameters_before"]);
  ASSERT_THAT(model->PruneHeads(HeadsOf(golden["heads_to_prune"])), IsOk());
  EXPECT_EQ(model->num_parameters(), golden["num_parameters_after"]);
  EXPECT_EQ(model->config().Get("pruned_heads"), golden["config_pruned_heads"]);
  Json shapes = Json::object();
  for (const auto& [name, tensor] : model->state_dict()) {
    shapes[name] = tensor.sizes().vec();
  }
  EXPECT_EQ(shapes.dump(1), golden["state_dict"].dump(1));
  const std::string io = folder + "/io.safetensors";
  const NamedTensors inputs = ReadGolden(io, "in.");
  const NamedTensors want = ReadGolden(io, "out.");
  ExpectNear(Outputs(*model, inputs, /*attentions=*/true), want);

  // What the peer saved, which for T5 it cannot load itself.
  ModelPtr peers = Load(folder + "/after", class_name);
  ASSERT_NE(peers, nullptr);
  ExpectSameWeights(*model, *peers);
  ExpectNear(Outputs(*peers, inputs, /*attentions=*/true), want);

  ModelPtr loaded = SavedAndLoaded(*model);
  ASSERT_NE(loaded, nullptr);
  EXPECT_EQ(loaded->config().Get("pruned_heads"),
            golden["config_pruned_heads"]);
  ExpectSameWeights(*loaded, *model);
  ExpectNear(Outputs(*loaded, inputs, /*attentions=*/true), want);
}

INSTANTIATE_TEST_SUITE_P(Classes, PrunedByThePeerTest,
                         ::testing::Values("BertModel",
                                           "BertForSequenceClassification",
                                           "GPT2LMHeadModel",
                                           "T5EncoderModel"));

class ResizedByThePeerTest : public ::testing::TestWithParam<const char*> {};

// New rows are draws of a generator that is not ours: those of the output are
// compared by the scores of the tokens that were there before.
void ExpectResizedAs(PretrainedModel& model, const std::string& file,
                     const Json& result) {
  const int64_t common = result["common_tokens"];
  std::map<std::string, at::Tensor> state;
  for (const auto& [name, tensor] : model.state_dict()) state[name] = tensor;
  for (const auto& [name, tensor] : ReadGolden(file, "state.")) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(state.contains(name));
    const at::Tensor& got = state[name];
    if (name == "cls.predictions.bias" && !result["tied"].get<bool>()) {
      continue;  // The peer leaves it, and another as long as the matrix.
    }
    EXPECT_EQ(got.sizes(), tensor.sizes());
    EXPECT_TRUE(
        at::equal(got.narrow(0, 0, common), tensor.narrow(0, 0, common)));
    if (tensor.dim() == 1) {
      EXPECT_TRUE(at::equal(got, tensor));
    }
  }
  const NamedTensors want = ReadGolden(file, "out.");
  const NamedTensors got = Outputs(model, ReadGolden(file, "in."));
  if (want.contains("logits_common")) {
    EXPECT_EQ(got.at("logits").sizes(), want.at("logits").sizes());
    EXPECT_THAT(got.at("logits").narrow(-1, 0, common),
                IsCloseTo(want.at("logits_common"), kTolerance));
  } else {
    EXPECT_THAT(got.at("last_hidden_state"),
                IsCloseTo(want.at("last_hidden_state"), kTolerance));
  }
}

TEST_P(ResizedByThePeerTest, IsWhatItMade) {
  const std::string folder = absl::StrCat(kResizing, GetParam());
  std::string class_name = GetParam();
  class_name = absl::StrReplaceAll(class_name, {{"-untied", ""}});
  const Json steps = ReadJsonFile(folder + "/expect.json");
  int64_t resized = 0;
  for (const auto& [step, golden] : steps.items()) {
    SCOPED_TRACE(step);
    const Json& result = golden["result"];
    if (result.contains("raises")) continue;  // A multiple that is no integer.
    ModelPtr model = Load(folder + "/before", class_name);
    ASSERT_NE(model, nullptr);
    const Module* module = model->get_input_embeddings();
    const at::Tensor before = module->parameter("weight");
    const Json& kwargs = golden["kwargs"];
    std::optional<int64_t> tokens, multiple;
    if (kwargs.contains("new_num_tokens")) {
      tokens = kwargs["new_num_tokens"].get<int64_t>();
    }
    if (kwargs.contains("pad_to_multiple_of")) {
      multiple = kwargs["pad_to_multiple_of"].get<int64_t>();
    }
    ASSERT_THAT(model->ResizeTokenEmbeddings(tokens, multiple), IsOk());
    EXPECT_EQ(model->get_input_embeddings(), module) << "hooks would be lost";
    EXPECT_EQ(Json(module->parameter("weight").sizes().vec()),
              result["returned_shape"]);
    EXPECT_EQ(model->config().Get("vocab_size"), result["config_vocab_size"]);
    const Module* output = model->get_output_embeddings();
    EXPECT_EQ(output == nullptr, result["output_shape"].is_null());
    bool tied = false;
    if (output != nullptr) {
      EXPECT_EQ(Json(output->parameter("weight").sizes().vec()),
                result["output_shape"]);
      tied = output->parameter("weight").is_same(module->parameter("weight"));
    }
    EXPECT_EQ(tied, result["tied"].get<bool>());
    // Where the matrix is untied, the peer has BERT's bias twice, of two sizes.
    const bool two_biases = !tied && class_name == "BertForMaskedLM" &&
                            result["config_vocab_size"] != before.size(0);
    EXPECT_EQ(model->num_parameters(), result["num_parameters"].get<int64_t>() -
                                           (two_biases ? before.size(0) : 0));
    const std::string file = absl::StrCat(folder, "/", step, ".safetensors");
    if (!std::filesystem::exists(file)) {
      EXPECT_TRUE(module->parameter("weight").is_same(before));
      continue;
    }
    ++resized;
    ExpectResizedAs(*model, file, result);
    ModelPtr loaded = SavedAndLoaded(*model);
    ASSERT_NE(loaded, nullptr);
    ExpectSameWeights(*loaded, *model);
  }
  EXPECT_EQ(resized, 4);
}

INSTANTIATE_TEST_SUITE_P(Classes, ResizedByThePeerTest,
                         ::testing::Values("BertModel", "BertForMaskedLM",
                                           "BertForMaskedLM-untied",
                                           "GPT2LMHeadModel",
                                           "T5ForConditionalGeneration",
                                           "T5ForConditionalGeneration-untied",
                                           "LlamaForCausalLM-untied"));

// --- Every family ------------------------------------------------------------

// One of testdata/models, of four heads, and where a layer's heads are read:
// "$0" is the layer.
struct Family {
  const char* folder;
  const char* output;
  int64_t group_size = 1;  // Heads that go together.
  int64_t layers = 2;
};

class FamilyTest : public ::testing::TestWithParam<Family> {
 protected:
  static std::string Folder() {
    return absl::StrCat(kModels, GetParam().folder);
  }
  static std::string ClassName() {
    return ReadJsonFile(Folder() + "/facts.json")["class"];
  }
  static ModelPtr Model(const Json& kwargs = Json::object()) {
    return Load(Folder(), ClassName(), kwargs);
  }
  static NamedTensors Inputs() {
    return ReadGolden(Folder() + "/io.safetensors", "in.");
  }
  static std::string OutputOf(int64_t layer) {
    return absl::StrReplaceAll(GetParam().output,
                               {{"$0", absl::StrCat(layer)}});
  }

  // The heads of the `index`-th group.
  static std::vector<int64_t> Group(int64_t index) {
    std::vector<int64_t> heads;
    for (int64_t i = 0; i < GetParam().group_size; ++i) {
      heads.push_back(index * GetParam().group_size + i);
    }
    return heads;
  }

  // The first group of layer 0, and the last of the last layer.
  static Heads SomeHeads() {
    return {{0, Group(0)},
            {GetParam().layers - 1, Group(4 / GetParam().group_size - 1)}};
  }

  // Makes nothing of what those heads put out.
  static void Silence(PretrainedModel& model, const Heads& heads) {
    at::NoGradGuard no_grad;
    for (const auto& [layer, layer_heads] : heads) {
      Module* output = nullptr;
      model.ForEachModule([&](const std::string& path, Module& module) {
        if (path == OutputOf(layer)) output = &module;
      });
      ASSERT_NE(output, nullptr) << OutputOf(layer);
      const at::Tensor weight = output->parameter("weight");
      const int64_t dim = dynamic_cast<Conv1D*>(output) != nullptr ? 0 : 1;
      const int64_t size = weight.size(dim) / 4;
      for (int64_t head : layer_heads) {
        weight.narrow(dim, head * size, size).zero_();
      }
    }
  }
};

TEST_P(FamilyTest, PruningIsSilencingForGood) {
  ModelPtr silent = Model();
  Silence(*silent, SomeHeads());
  const NamedTensors want = Outputs(*silent, Inputs());
  ModelPtr model = Model();
  ASSERT_THAT(model->PruneHeads(SomeHeads()), IsOk());
  EXPECT_LT(model->num_parameters(), silent->num_parameters());
  ExpectNear(Outputs(*model, Inputs()), want);

  ModelPtr loaded = SavedAndLoaded(*model);
  ASSERT_NE(loaded, nullptr);
  EXPECT_EQ(loaded->config().Get("pruned_heads"),
            model->config().Get("pruned_heads"));
  ExpectSameWeights(*loaded, *model);
  ExpectNear(Outputs(*loaded, Inputs()), want);
}

TEST_P(FamilyTest, PruningTwiceComposesByTheFirstNumbers) {
  const int64_t groups = 4 / GetParam().group_size;
  ModelPtr once = Model();
  ModelPtr twice = Model();
  if (groups == 2) {  // There is nothing left to prune in a layer.
    ASSERT_THAT(once->PruneHeads({{0, Group(0)}, {1, Group(1)}}), IsOk());
    ASSERT_THAT(twice->PruneHeads({{1, Group(1)}}), IsOk());
    ASSERT_THAT(twice->PruneHeads({{0, Group(0)}, {1, Group(1)}}), IsOk());
  } else {
    ASSERT_THAT(once->PruneHeads({{0, {0, 1, 3}}, {1, {2}}}), IsOk());
    ASSERT_THAT(twice->PruneHeads({{0, {1}}, {1, {2}}}), IsOk());
    // One that is gone may be named again.
    ASSERT_THAT(twice->PruneHeads({{0, {3, 1, 0}}}), IsOk());
  }
  EXPECT_EQ(once->config().Get("pruned_heads").dump(),
            twice->config().Get("pruned_heads").dump());
  ExpectSameWeights(*twice, *once);
  ExpectNear(Outputs(*twice, Inputs()), Outputs(*once, Inputs()), 0.0);
  // After loading, too.
  ModelPtr loaded = SavedAndLoaded(*twice);
  ASSERT_NE(loaded, nullptr);
  ASSERT_THAT(loaded->PruneHeads({{0, Group(0)}}), IsOk());
  ExpectSameWeights(*loaded, *twice);
}

TEST_P(FamilyTest, BadHeadsAreNamedAndChangeNothing) {
  ModelPtr model = Model();
  const StateDict before = model->state_dict();
  const std::pair<Heads, std::string> cases[] = {
      {{{0, Group(0)}, {9, {0}}}, "layer 9 has no heads"},
      {{{0, Group(0)}, {-1, {0}}}, "layer -1 has no heads"},
      {{{0, Group(0)}, {1, {4}}}, "layer 1: head 4 cannot be pruned"},
      {{{0, {-1}}}, "head -1 cannot be pruned"},
      {{{0, Group(0)}, {1, {0, 1, 2, 3}}}, "would leave none of 4"}};
  for (const auto& [heads, message] : cases) {
    EXPECT_THAT(
        model->PruneHeads(heads),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  }
  if (GetParam().group_size > 1) {
    EXPECT_THAT(model->PruneHeads({{0, {1}}}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("head 1"), HasSubstr("head 0"))));
  }
  EXPECT_FALSE(model->config().IsSet("pruned_heads"));
  const StateDict after = model->state_dict();
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(after[i].second.is_same(before[i].second)) << before[i].first;
  }
}

TEST_P(FamilyTest, PrunesThenResizesThenLoads) {
  ModelPtr model = Model();
  NamedTensors inputs = Inputs();
  inputs.erase("labels");  // A loss would know of the new tokens.
  ASSERT_THAT(model->PruneHeads(SomeHeads()), IsOk());
  const NamedTensors want = Outputs(*model, inputs);
  const int64_t tokens = *model->config().GetInt("vocab_size");
  ASSERT_THAT(model->ResizeTokenEmbeddings(tokens + 3, 8), IsOk());
  const int64_t rows = (tokens + 3 + 7) / 8 * 8;
  EXPECT_EQ(model->config().Get("vocab_size"), rows);
  const NamedTensors resized = Outputs(*model, inputs);
  for (const auto& [name, tensor] : want) {
    const at::Tensor got = name == "logits" && tensor.size(-1) == tokens
                               ? resized.at(name).narrow(-1, 0, tokens)
                               : resized.at(name);
    EXPECT_THAT(got, IsCloseTo(tensor, kTolerance)) << name;
  }
  // A new token may be read, and an old one more may not.
  NamedTensors ids = inputs;
  ids["input_ids"] = at::full_like(inputs.at("input_ids"), rows - 1);
  EXPECT_THAT(model->Call(ids), IsOk());
  ids["input_ids"] = at::full_like(inputs.at("input_ids"), rows);
  EXPECT_THAT(model->Call(ids).status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
  ModelPtr loaded = SavedAndLoaded(*model);
  ASSERT_NE(loaded, nullptr);
  ExpectSameWeights(*loaded, *model);
  ExpectNear(Outputs(*loaded, inputs), resized);
}

// Positions, caches and masks of the heads that are left.
TEST_P(FamilyTest, APrunedDecoderGoesOnFromItsCache) {
  ModelPtr model = Model();
  ASSERT_THAT(model->PruneHeads(SomeHeads()), IsOk());
  if (!model->can_generate() || absl::StartsWith(ClassName(), "T5") ||
      absl::EndsWith(ClassName(), "MaskedLM")) {
    GTEST_SKIP() << "no cache that pruning changes";
  }
  const at::Tensor ids = at::arange(10, 16).view({1, 6});
  absl::StatusOr<ModelOutput> whole =
      model->Call({{"input_ids", ids}}, {.use_cache = false});
  ASSERT_THAT(whole, IsOk());
  absl::StatusOr<ModelOutput> first =
      model->Call({{"input_ids", ids.narrow(1, 0, 4)}}, {.use_cache = true});
  ASSERT_THAT(first, IsOk());
  NamedTensors inputs = {{"input_ids", ids.narrow(1, 4, 2)}};
  for (const auto& [name, tensor] : first->fields) {
    if (absl::StartsWith(name, "past_key_values.")) inputs[name] = tensor;
  }
  ASSERT_EQ(inputs.size(), static_cast<size_t>(1 + 2 * GetParam().layers));
  absl::StatusOr<ModelOutput> rest = model->Call(inputs);
  ASSERT_THAT(rest, IsOk());
  EXPECT_THAT(*rest->find("logits"),
              IsCloseTo(whole->find("logits")->narrow(1, 4, 2), kTolerance));
}

TEST_P(FamilyTest, HeadMasksKeepTheFirstNumbers) {
  if (GetParam().group_size > 1) GTEST_SKIP() << "LLaMA takes no head mask";
  NamedTensors inputs = Inputs();
  at::Tensor mask = at::ones({GetParam().layers, 4});
  mask.select(0, 0).select(0, 0).zero_();
  mask.select(0, 0).select(0, 2).zero_();
  inputs["head_mask"] = mask;
  if (absl::StartsWith(ClassName(), "T5")) {
    inputs["decoder_head_mask"] =
        at::ones({ReadJsonFile(Folder() + "/config.json")["num_decoder_layers"]
                      .get<int64_t>(),
                  4});
  }
  ModelPtr model = Model();
  const NamedTensors want = Outputs(*model, inputs);
  ASSERT_THAT(model->PruneHeads({{0, {0}}}), IsOk());
  ExpectNear(Outputs(*model, inputs), want);
}

TEST_P(FamilyTest, OffloadedWeightsAreLeftAlone) {
  ModelPtr model = Model();
  const std::string name = OutputOf(0) + ".weight";
  at::Tensor weight;
  for (const auto& [key, tensor] : model->state_dict()) {
    if (key == name) weight = tensor;
  }
  ASSERT_THAT(model->ReplaceTensor(name, weight.detach().to(at::kMeta)),
              IsOk());
  EXPECT_THAT(model->PruneHeads(SomeHeads()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("pruning heads"), HasSubstr(name))));
  EXPECT_THAT(model->ResizeTokenEmbeddings(200),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("resizing"), HasSubstr(name))));
}

INSTANTIATE_TEST_SUITE_P(
    Models, FamilyTest,
    ::testing::Values(
        Family{"BertForMaskedLM",
               "bert.encoder.layer.$0.attention.output.dense"},
        Family{"RobertaForMaskedLM",
               "roberta.encoder.layer.$0.attention.output.dense"},
        Family{"DistilBertModel", "transformer.layer.$0.attention.out_lin", 1,
               3},
        Family{"GPT2LMHeadModel", "transformer.h.$0.attn.c_proj"},
        Family{"T5ForConditionalGeneration",
               "encoder.block.$0.layer.0.SelfAttention.o"},
        Family{"T5ForConditionalGeneration-v1_1",
               "encoder.block.$0.layer.0.SelfAttention.o"},
        Family{"LlamaForCausalLM", "model.layers.$0.self_attn.o_proj", 2},
        Family{"MistralForCausalLM", "model.layers.$0.self_attn.o_proj", 2},
        Family{"OPTForCausalLM", "model.decoder.layers.$0.self_attn.out_proj"},
        Family{"BloomForCausalLM", "transformer.h.$0.self_attention.dense"},
        Family{"GPTNeoXForCausalLM", "gpt_neox.layers.$0.attention.dense"}),
    [](const auto& info) {
      return absl::StrReplaceAll(info.param.folder, {{"-", "_"}});
    });

// --- T5's own ----------------------------------------------------------------

TEST(T5SurgeryTest, StacksThatShareWeightsBothLoseTheirHeads) {
  const std::string folder =
      absl::StrCat(kModels, "T5ForConditionalGeneration");
  const Json tied = {{"tie_encoder_decoder", true}};
  const NamedTensors inputs = ReadGolden(folder + "/io.safetensors", "in.");
  const auto load = [&] {
    absl::StatusOr<ModelPtr> model = LoadPretrained(
        **FindModel("T5ForConditionalGeneration"), folder, {.kwargs = tied});
    EXPECT_THAT(model, IsOk());
    return *model;
  };
  ModelPtr silent = load();
  for (const auto& [name, tensor] : silent->state_dict()) {
    if (name != "encoder.block.0.layer.0.SelfAttention.o.weight") continue;
    at::NoGradGuard no_grad;
    tensor.narrow(1, 8, 8).zero_();  // Head 1, of both stacks.
  }
  ModelPtr model = load();
  ASSERT_THAT(model->PruneHeads({{0, {1}}}), IsOk());
  ExpectNear(Outputs(*model, inputs), Outputs(*silent, inputs));
  ModelPtr loaded = SavedAndLoaded(*model);
  ASSERT_NE(loaded, nullptr);
  ExpectSameWeights(*loaded, *model);
}

TEST(T5SurgeryTest, WhatT5ModelSavesT5EncoderModelLoads) {
  for (const char* class_name : {"T5Model", "T5ForConditionalGeneration"}) {
    const std::string folder = absl::StrCat(kPruning, class_name);
    const Json golden = ReadJsonFile(folder + "/expect.json");
    ModelPtr model = Load(folder + "/before", class_name);
    ASSERT_NE(model, nullptr);
    EXPECT_EQ(model->num_parameters(), golden["num_parameters_before"]);
    ASSERT_THAT(model->PruneHeads(HeadsOf(golden["heads_to_prune"])), IsOk());
    const std::string saved =
        absl::StrCat(::testing::TempDir(), "/t5_", class_name);
    ASSERT_THAT(model->SavePretrained(saved), IsOk());
    absl::StatusOr<ModelPtr> encoder =
        LoadPretrained(**FindModel("T5EncoderModel"), saved);
    ASSERT_THAT(encoder, IsOk());
    const NamedTensors inputs = {
        {"input_ids", at::arange(2, 8).view({1, 6})},
        {"decoder_input_ids", at::arange(3, 5).view({1, 2})}};
    const NamedTensors whole = Outputs(*model, inputs);
    const NamedTensors half =
        Outputs(**encoder, {{"input_ids", inputs.at("input_ids")}});
    EXPECT_THAT(half.at("last_hidden_state"),
                IsCloseTo(whole.at("encoder_last_hidden_state"), kTolerance));
  }
}

// --- Every class -------------------------------------------------------------

// A folder of testdata/models for each model type.
std::map<std::string, std::string> FoldersByType() {
  std::map<std::string, std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(kModels)) {
    if (!entry.is_directory()) continue;
    const Json config = ReadJsonFile((entry.path() / "config.json").string());
    folders[config["model_type"].get<std::string>()] = entry.path().string();
  }
  return folders;
}

// A new model of every class there is, sizes as in testdata/models.
void ForEachClass(const Json& kwargs,
                  const std::function<void(PretrainedModel&)>& visit) {
  const auto folders = FoldersByType();
  int seen = 0;
  for (const std::string& class_name : KnownLayouts()) {
    SCOPED_TRACE(class_name);
    absl::StatusOr<const ModelClass*> found = FindModel(class_name);
    ASSERT_THAT(found.status(), IsOk());
    const ConfigClass& config_class = *(*found)->layout->config_class;
    absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromPretrained(
        folders.at(config_class.model_type), config_class);
    ASSERT_THAT(config, IsOk());
    config->Set("num_labels", 2);
    for (const auto& [name, value] : kwargs.items()) config->Set(name, value);
    absl::StatusOr<ModelPtr> model =
        ModelFromConfig(**found, *config, {.seed = 3});
    ASSERT_THAT(model, IsOk());
    visit(**model);
    ++seen;
  }
  EXPECT_GE(seen, 40);
}

// Which deviation new rows have, of a model whose weights begin with it.
double DeviationOf(const at::Tensor& rows) {
  return rows.detach().to(at::kDouble).std().item<double>();
}

TEST(EveryClassTest, ResizesItsEmbeddingsAndWhatScoresTokens) {
  for (const bool tied : {false, true}) {
    const Json kwargs = {{"tie_word_embeddings", tied}};
    ForEachClass(kwargs, [&](PretrainedModel& model) {
      const Module& input = *model.get_input_embeddings();
      const Module* output = model.get_output_embeddings();
      const at::Tensor before = input.parameter("weight").detach().clone();
      at::Tensor scores;
      if (output != nullptr) {
        scores = output->parameter("weight").detach().clone();
        EXPECT_EQ(
            output->parameter("weight").is_same(input.parameter("weight")),
            tied);
      }
      const int64_t rows = before.size(0) + 500;
      ASSERT_THAT(model.ResizeTokenEmbeddings(rows), IsOk());
      EXPECT_EQ(model.config().Get("vocab_size"), rows);
      const at::Tensor& after = input.parameter("weight");
      ASSERT_EQ(after.size(0), rows);
      EXPECT_TRUE(after.requires_grad());
      EXPECT_TRUE(at::equal(after.narrow(0, 0, before.size(0)), before));
      const double deviation = DeviationOf(before);
      EXPECT_NEAR(DeviationOf(after.narrow(0, before.size(0), 500)), deviation,
                  0.1 * deviation);
      if (output == nullptr) return;
      const at::Tensor& resized = output->parameter("weight");
      ASSERT_EQ(resized.size(0), rows);
      EXPECT_EQ(resized.is_same(after), tied);
      EXPECT_TRUE(at::equal(resized.narrow(0, 0, before.size(0)), scores));
      EXPECT_GT(DeviationOf(resized.narrow(0, before.size(0), 500)), 0.0);
      if (output->has_parameter("bias")) {
        const at::Tensor& bias = output->parameter("bias");
        ASSERT_EQ(bias.size(0), rows);
        EXPECT_EQ(bias.narrow(0, before.size(0), 500).abs().max().item<float>(),
                  0.0f);
      }
    });
  }
}

TEST(EveryClassTest, ShrinksAndTakesNoBadSizes) {
  ForEachClass(Json::object(), [](PretrainedModel& model) {
    const StateDict before = model.state_dict();
    for (const int64_t bad : {0, -3}) {
      EXPECT_THAT(model.ResizeTokenEmbeddings(bad),
                  StatusIs(absl::StatusCode::kInvalidArgument,
                           HasSubstr(absl::StrCat("vocabulary of ", bad))));
    }
    EXPECT_THAT(model.ResizeTokenEmbeddings(5, 0),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("pad_to_multiple_of")));
    ASSERT_THAT(model.ResizeTokenEmbeddings(std::nullopt), IsOk());
    const StateDict after = model.state_dict();
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_TRUE(after[i].second.is_same(before[i].second));
    }
    ASSERT_THAT(model.ResizeTokenEmbeddings(17), IsOk());
    EXPECT_EQ(model.get_input_embeddings()->parameter("weight").size(0), 17);
    if (model.get_output_embeddings() != nullptr) {
      EXPECT_EQ(model.get_output_embeddings()->parameter("weight").size(0), 17);
    }
  });
}

TEST(EveryClassTest, PrunesTheModelThatItHolds) {
  ForEachClass(Json::object(), [](PretrainedModel& model) {
    const int64_t before = model.num_parameters();
    ASSERT_THAT(model.PruneHeads({{0, {0, 1}}}), IsOk());
    EXPECT_LT(model.num_parameters(), before);
    EXPECT_EQ(model.config().Get("pruned_heads").dump(), R"({"0":[0,1]})");
    ModelPtr loaded = SavedAndLoaded(model);
    ASSERT_NE(loaded, nullptr);
    ExpectSameWeights(*loaded, model);
  });
}

// --- Setting -----------------------------------------------------------------

TEST(EmbeddingsTest, WhatIsTiedFollowsTheInput) {
  ModelPtr model =
      Load(absl::StrCat(kModels, "GPT2LMHeadModel"), "GPT2LMHeadModel");
  const at::Tensor old = model->get_input_embeddings()->parameter("weight");
  const at::Tensor weight = at::ones_like(old);
  ASSERT_THAT(model->set_input_embeddings(weight), IsOk());
  EXPECT_TRUE(
      model->get_output_embeddings()->parameter("weight").is_same(weight));
  EXPECT_THAT(model->set_output_embeddings(old),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("tie_word_embeddings=false")));
  EXPECT_THAT(model->set_input_embeddings(at::ones({3, 2})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("transformer.wte.weight: is [3, 2]")));
}

TEST(EmbeddingsTest, AnOutputOfItsOwnIsSet) {
  ModelPtr model =
      Load(absl::StrCat(kModels, "LlamaForCausalLM"), "LlamaForCausalLM");
  const Module& output = *model->get_output_embeddings();
  const at::Tensor weight = at::ones_like(output.parameter("weight"));
  ASSERT_THAT(model->set_output_embeddings(weight), IsOk());
  EXPECT_TRUE(output.parameter("weight").is_same(weight));
  EXPECT_THAT(model->set_output_embeddings(weight, at::ones({150})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("lm_head has no bias")));
  ModelPtr base = Load(absl::StrCat(kModels, "BertModel"), "BertModel");
  EXPECT_THAT(base->set_output_embeddings(weight),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("BertModel makes no scores")));
}

// The weights of a mapped file are left in it, but for those that are new.
TEST(EmbeddingsTest, AMappedModelIsResized) {
  const std::string folder = absl::StrCat(kModels, "OPTForCausalLM");
  const std::string file = folder + "/model.safetensors";
  ModelPtr model = Load(folder, "OPTForCausalLM");
  const at::Tensor before =
      model->get_input_embeddings()->parameter("weight").detach();
  ASSERT_TRUE(IsMappedFrom(before, file));
  ASSERT_THAT(model->ResizeTokenEmbeddings(150), IsOk());
  const at::Tensor& after = model->get_input_embeddings()->parameter("weight");
  EXPECT_FALSE(IsMappedFrom(after, file));
  EXPECT_TRUE(at::equal(after.narrow(0, 0, 144), before));
}

TEST(EmbeddingsTest, AModelOnTheMetaDeviceIsAPlanThatMayChange) {
  absl::StatusOr<const ModelClass*> found = FindModel("BertForMaskedLM");
  ASSERT_THAT(found.status(), IsOk());
  ModelPtr model =
      Load(absl::StrCat(kModels, "BertForMaskedLM"), "BertForMaskedLM");
  absl::flat_hash_map<std::string, at::Tensor> meta;
  for (const Module::NamedSlot& slot : model->TensorSlots()) {
    if (!slot.is_buffer) meta[slot.name] = slot.tensor.detach().to(at::kMeta);
  }
  ASSERT_THAT(model->ReplaceTensors(meta), IsOk());
  ASSERT_THAT(model->PruneHeads({{0, {1}}}), IsOk());
  ASSERT_THAT(model->ResizeTokenEmbeddings(130), IsOk());
  const at::Tensor& weight = model->get_input_embeddings()->parameter("weight");
  EXPECT_TRUE(weight.is_meta());
  EXPECT_EQ(weight.size(0), 130);
}

}  // namespace
}  // namespace pretrained
