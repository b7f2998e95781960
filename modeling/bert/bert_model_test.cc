#include "modeling/bert/bert_model.h"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/bert/bert_testutil.h"
#include "modeling/json_testutil.h"
#include "modeling/loading_info.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

constexpr char kFolder[] = "testdata/bert/";
constexpr double kTolerance = 1e-5;

FromPretrainedOptions OptionsOf(const Json& golden) {
  FromPretrainedOptions options;
  options.kwargs = golden["config"];
  if (!golden.value("add_pooling_layer", true)) {
    options.kwargs["add_pooling_layer"] = false;
  }
  return options;
}

std::map<int64_t, std::vector<int64_t>> HeadsOf(const Json& json) {
  std::map<int64_t, std::vector<int64_t>> heads;
  for (const auto& [layer, list] : json.items()) {
    heads[std::stoll(layer)] = list.get<std::vector<int64_t>>();
  }
  return heads;
}

ForwardOptions ForwardOptionsOf(const Json& golden) {
  return {.output_attentions = golden["output_attentions"].get<bool>(),
          .output_hidden_states = golden["output_hidden_states"].get<bool>(),
          .use_cache = golden["use_cache"].get<bool>()};
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

// The peer gives several new tokens after a cache the distances of the last
// one. We do not: see GivesEachNewTokenItsOwnDistances below.
bool IsWrongInThePeer(const std::string& name) {
  return absl::StrContains(name, "relative_key") &&
         absl::EndsWith(name, "past_three_tokens");
}

TEST(BertModelTest, ComputesWhatThePeerComputesInEveryCase) {
  const Json cases = ReadJsonFile(absl::StrCat(kFolder, "cases.json"))["cases"];
  ASSERT_GE(cases.size(), 70u);
  for (const Json& golden : cases) {
    const std::string name = golden["name"];
    SCOPED_TRACE(name);
    if (IsWrongInThePeer(name)) continue;
    LoadingInfo info;
    FromPretrainedOptions options = OptionsOf(golden);
    options.output_loading_info = &info;
    auto model = BertModel::FromPretrained(
        absl::StrCat(kFolder, golden["model"].get<std::string>()), options);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ(Json(info.missing_keys),
              golden.value("missing_keys", Json::array()));
    EXPECT_EQ(Json(info.unexpected_keys),
              golden.value("unexpected_keys", Json::array()));
    if (golden.contains("prune_heads")) {
      ASSERT_THAT((*model)->PruneHeads(HeadsOf(golden["prune_heads"])), IsOk());
    }
    if (golden.contains("resize_token_embeddings")) {
      ASSERT_THAT((*model)->ResizeTokenEmbeddings(
                      golden["resize_token_embeddings"].get<int64_t>()),
                  IsOk());
    }
    const std::string io =
        absl::StrCat(kFolder, golden["io"].get<std::string>());
    auto output =
        (*model)->Call(ReadGolden(io, "in."), ForwardOptionsOf(golden));
    ASSERT_THAT(output, IsOk());
    const NamedTensors want = ReadGolden(io, "out.");
    ExpectOutputs(*output, want);

    // Without attentions one fused kernel leaves them out; the rest is the
    // same.
    ForwardOptions no_attentions = ForwardOptionsOf(golden);
    no_attentions.output_attentions = false;
    output = (*model)->Call(ReadGolden(io, "in."), no_attentions);
    ASSERT_THAT(output, IsOk());
    NamedTensors rest;
    for (const auto& [field, tensor] : want) {
      if (!absl::StrContains(field, "attentions.")) rest[field] = tensor;
    }
    ExpectOutputs(*output, rest);
  }
}

TEST(BertModelTest, ComputesTheBaseCase) {
  auto model = BertModel::FromPretrained(absl::StrCat(kFolder, "base"));
  ASSERT_THAT(model, IsOk());
  const std::string io = absl::StrCat(kFolder, "base/io.safetensors");
  auto output =
      (*model)->Call(ReadGolden(io, "in."),
                     {.output_attentions = true, .output_hidden_states = true});
  ASSERT_THAT(output, IsOk());
  ExpectOutputs(*output, ReadGolden(io, "out."));
}

TEST(BertModelTest, RefusesWhatThePeerRefuses) {
  const Json refused =
      ReadJsonFile(absl::StrCat(kFolder, "cases.json"))["refused"];
  ASSERT_GE(refused.size(), 10u);
  const std::map<std::string, std::string> messages = {
      {"ids_and_embeds", "not both"},
      {"neither_ids_nor_embeds", "give input_ids, or inputs_embeds"},
      {"mask_4d", "attention_mask: has shape"},
      {"head_mask_3d", "head_mask: has shape"},
      {"too_long", "max_position_embeddings 40"},
      {"id_beyond_vocabulary", "but vocab_size is 120"},
      {"negative_id", "but vocab_size is 120"},
      {"chunk_does_not_divide", "chunk_size_feed_forward, 4"},
      {"encoder_states_without_cross_attention", "set add_cross_attention"},
      {"cross_attention_without_decoder", "set is_decoder too"},
      {"unknown_activation", "'hidden_act' is \"swoosh\""},
      {"heads_do_not_divide", "multiple of the 5 attention heads"}};
  for (const Json& golden : refused) {
    const std::string name = golden["name"];
    SCOPED_TRACE(name);
    ASSERT_TRUE(messages.contains(name));
    auto model = BertModel::FromPretrained(
        absl::StrCat(kFolder, golden["model"].get<std::string>()),
        OptionsOf(golden));
    absl::Status status = model.status();
    if (model.ok()) {
      const std::string io =
          absl::StrCat(kFolder, golden["io"].get<std::string>());
      status = (*model)->Call(ReadGolden(io, "in.")).status();
    }
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr(messages.at(name))));
  }
}

// Tokens that come after a cache must get what they get without one, also when
// there are several and positions are relative.
TEST(BertModelTest, GivesEachNewTokenItsOwnDistances) {
  for (const char* type : {"relative_key", "relative_key_query"}) {
    SCOPED_TRACE(type);
    FromPretrainedOptions options;
    options.kwargs = {{"is_decoder", true}};
    auto model =
        BertModel::FromPretrained(absl::StrCat(kFolder, type), options);
    ASSERT_THAT(model, IsOk());
    const at::Tensor ids =
        at::arange(1, 17, at::dtype(at::kLong)).reshape({2, 8});
    auto whole = (*model)->Forward({.input_ids = ids});
    ASSERT_THAT(whole, IsOk());
    auto first = (*model)->Forward({.input_ids = ids.narrow(1, 0, 5)});
    ASSERT_THAT(first, IsOk());
    auto rest = (*model)->Forward({.input_ids = ids.narrow(1, 5, 3),
                                   .past_key_values = first->past_key_values});
    ASSERT_THAT(rest, IsOk());
    EXPECT_THAT(
        rest->last_hidden_state,
        IsCloseTo(whole->last_hidden_state.narrow(1, 5, 3), kTolerance));
  }
}

// With every kind of mask, a row that sees no key, relative positions and
// caches; with attentions and fused.
TEST(BertModelTest, HalfDtypesStayCloseToFloat32) {
  const std::set<std::string> names = {
      "no_attention_mask", "mask_hides_a_whole_row", "mask_3d",
      "head_mask_2d",      "relative_key",           "relative_key_query",
      "cross_cache",       "decoder_past",           "longest_sequence"};
  int found = 0;
  const Json cases = ReadJsonFile(absl::StrCat(kFolder, "cases.json"))["cases"];
  for (const Json& golden : cases) {
    const std::string name = golden["name"];
    if (!names.contains(name)) continue;
    ++found;
    const std::string folder =
        absl::StrCat(kFolder, golden["model"].get<std::string>());
    const NamedTensors inputs = ReadGolden(
        absl::StrCat(kFolder, golden["io"].get<std::string>()), "in.");
    FromPretrainedOptions options = OptionsOf(golden);
    auto full = BertModel::FromPretrained(folder, options);
    ASSERT_THAT(full, IsOk());
    for (const char* dtype : {"float16", "bfloat16"}) {
      options.torch_dtype = dtype;
      auto half = BertModel::FromPretrained(folder, options);
      ASSERT_THAT(half, IsOk());
      ForwardOptions forward_options = ForwardOptionsOf(golden);
      for (const bool attentions : {true, false}) {
        forward_options.output_attentions = attentions;
        EXPECT_LE(
            HalfError(**half, **full, inputs, forward_options),
            (*half)->dtype() == at::kHalf ? kFloat16Error : kBfloat16Error)
            << name << " " << dtype << " " << attentions;
      }
      ASSERT_THAT((*half)->InitWeights(5), IsOk());
      EXPECT_LE(HalfError(**half, **full, inputs, forward_options),
                kNewModelHalfError)
          << name << " " << dtype << " with new weights";
    }
  }
  EXPECT_EQ(found, 9);
}

TEST(BertModelTest, HasTheFactsOfThePeer) {
  for (const char* folder : {"base", "relative_key", "cross", "odd_sizes"}) {
    SCOPED_TRACE(folder);
    const Json facts =
        ReadJsonFile(absl::StrCat(kFolder, folder, "/facts.json"));
    auto model = BertModel::FromPretrained(absl::StrCat(kFolder, folder));
    ASSERT_THAT(model, IsOk());
    for (const bool trainable : {false, true}) {
      for (const bool no_embeddings : {false, true}) {
        const std::string key = absl::StrCat(
            "only_trainable=", trainable ? "True" : "False",
            ",exclude_embeddings=", no_embeddings ? "True" : "False");
        EXPECT_EQ(
            (*model)->num_parameters({.only_trainable = trainable,
                                      .exclude_embeddings = no_embeddings}),
            facts["num_parameters"][key].get<int64_t>())
            << key;
      }
    }
    EXPECT_EQ((*model)->get_memory_footprint(true),
              facts["memory_footprint"]["return_buffers=True"].get<int64_t>());
    EXPECT_EQ((*model)->get_memory_footprint(false),
              facts["memory_footprint"]["return_buffers=False"].get<int64_t>());
  }
}

TEST(BertModelTest, CountsFrozenParametersAsThePeerDoes) {
  const Json facts = ReadJsonFile(absl::StrCat(kFolder, "base/facts.json"));
  auto model = BertModel::FromPretrained(absl::StrCat(kFolder, "base"));
  ASSERT_THAT(model, IsOk());
  const Json& frozen = facts["num_parameters_with_frozen"];
  for (Module::NamedSlot& slot : (*model)->TensorSlots()) {
    for (const Json& name : frozen["frozen"]) {
      if (slot.name == name) slot.tensor.set_requires_grad(false);
    }
  }
  EXPECT_EQ((*model)->num_parameters({.only_trainable = true}),
            frozen["counts"]["only_trainable=True,exclude_embeddings=False"]
                .get<int64_t>());
  EXPECT_EQ((*model)->num_parameters(
                {.only_trainable = true, .exclude_embeddings = true}),
            frozen["counts"]["only_trainable=True,exclude_embeddings=True"]
                .get<int64_t>());
}

TEST(BertModelTest, EstimatesTokensAndOperationsAsThePeerDoes) {
  const Json facts = ReadJsonFile(absl::StrCat(kFolder, "base/facts.json"));
  auto model = BertModel::FromPretrained(absl::StrCat(kFolder, "base"));
  ASSERT_THAT(model, IsOk());
  const NamedTensors inputs =
      ReadGolden(absl::StrCat(kFolder, "base/io.safetensors"), "in.");
  EXPECT_EQ((*model)->estimate_tokens(inputs),
            facts["estimate_tokens"].get<int64_t>());
  EXPECT_EQ(
      (*model)->floating_point_ops(inputs, true),
      facts["floating_point_ops"]["exclude_embeddings=True"].get<int64_t>());
  EXPECT_EQ(
      (*model)->floating_point_ops(inputs, false),
      facts["floating_point_ops"]["exclude_embeddings=False"].get<int64_t>());
  EXPECT_EQ((*model)->estimate_tokens({}), 0);
}

TEST(BertModelTest, IsCalledByNameAndNamesWhatItDoesNotKnow) {
  auto model = BertModel::FromPretrained(absl::StrCat(kFolder, "base"));
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT((*model)->Call({{"inputs", at::ones({1, 2})}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no input 'inputs'; it takes: input_ids")));
  EXPECT_THAT((*model)->Call({{"input_ids", at::ones({1, 2})}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("int64 or int32 is expected")));
}

TEST(BertModelTest, PruningIsRememberedAndNotRepeated) {
  auto model = BertModel::FromPretrained(absl::StrCat(kFolder, "base"));
  ASSERT_THAT(model, IsOk());
  const int64_t before = (*model)->num_parameters();
  ASSERT_THAT((*model)->PruneHeads({{0, {1}}}), IsOk());
  const int64_t after = (*model)->num_parameters();
  // Three projections of 8 rows of 32 and a bias, and 8 columns of the output.
  EXPECT_EQ(before - after, 3 * 8 * 33 + 8 * 32);
  ASSERT_THAT((*model)->PruneHeads({{0, {1}}}), IsOk());
  EXPECT_EQ((*model)->num_parameters(), after);
  EXPECT_EQ((*model)->config().Get("pruned_heads").dump(), R"({"0":[1]})");
  EXPECT_THAT((*model)->PruneHeads({{0, {0, 2, 3}}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("would leave none")));
  EXPECT_THAT((*model)->PruneHeads({{2, {0}}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("layer 2 has no heads")));
  EXPECT_THAT((*model)->PruneHeads({{1, {4}}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("head 4 cannot be pruned")));
}

TEST(BertModelTest, ResizingKeepsOldRowsAndRoundsUp) {
  auto model = BertModel::FromPretrained(absl::StrCat(kFolder, "base"));
  ASSERT_THAT(model, IsOk());
  const auto weight = [&] {
    for (Module::NamedSlot& slot : (*model)->TensorSlots()) {
      if (slot.name == "embeddings.word_embeddings.weight") return slot.tensor;
    }
    return at::Tensor();
  };
  const at::Tensor before = weight();
  ASSERT_THAT((*model)->ResizeTokenEmbeddings(121, 64), IsOk());
  const at::Tensor after = weight();
  EXPECT_EQ(after.size(0), 128);
  EXPECT_TRUE(after.requires_grad());
  EXPECT_TRUE(at::equal(after.narrow(0, 0, 120), before));
  EXPECT_LT(after.narrow(0, 120, 8).abs().max().item().toDouble(), 0.2);
  EXPECT_EQ(*(*model)->config().GetInt("vocab_size"), 128);
  EXPECT_THAT((*model)->ResizeTokenEmbeddings(0),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT((*model)->ResizeTokenEmbeddings(5, 0),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("pad_to_multiple_of is 0")));
  // Ids that are new now are taken, and those beyond refused.
  EXPECT_THAT((*model)->Forward(
                  {.input_ids = at::full({1, 3}, 127, at::dtype(at::kLong))}),
              IsOk());
}

TEST(BertModelTest, IsWhatAutoModelMakes) {
  auto model = AutoModel::FromPretrained(absl::StrCat(kFolder, "base"));
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ((*model)->class_name(), "BertModel");
  EXPECT_NE(dynamic_cast<BertModel*>(model->get()), nullptr);
}

}  // namespace
}  // namespace pretrained
