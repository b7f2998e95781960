// BERT's classes with a head against the peer: outputs and losses of every
// case, facts, initial weights.

#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_inputs.h"
#include "modeling/bert/bert_lm_heads.h"
#include "modeling/bert/bert_model.h"
#include "modeling/bert/bert_sequence_heads.h"
#include "modeling/bert/bert_testutil.h"
#include "modeling/bert/bert_token_heads.h"
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
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::ordered_json;

constexpr char kFolder[] = "testdata/bert_heads/";
constexpr char kModels[] = "testdata/models/";
constexpr double kTolerance = 1e-5;

using Model = std::shared_ptr<PretrainedModel>;

absl::StatusOr<Model> Load(const std::string& class_name,
                           const std::string& folder,
                           const FromPretrainedOptions& options = {}) {
  absl::StatusOr<const ModelClass*> model_class = FindModel(class_name);
  if (!model_class.ok()) return model_class.status();
  return LoadPretrained(**model_class, folder, options);
}

absl::StatusOr<Model> Load(const Json& golden) {
  return Load(golden["class"],
              absl::StrCat(kFolder, golden["model"].get<std::string>()),
              {.kwargs = golden["config"]});
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

// Without attentions, which one fused kernel then leaves out, the rest is the
// same.
void ExpectTheSameWithoutAttentions(PretrainedModel& model, const Json& golden,
                                    const NamedTensors& inputs,
                                    const NamedTensors& want) {
  ForwardOptions options = ForwardOptionsOf(golden);
  options.output_attentions = false;
  absl::StatusOr<ModelOutput> output = model.Call(inputs, options);
  ASSERT_THAT(output, IsOk());
  NamedTensors rest;
  for (const auto& [name, tensor] : want) {
    if (!absl::StrContains(name, "attentions.")) rest[name] = tensor;
  }
  ExpectOutputs(*output, rest);
}

at::Tensor TensorOf(PretrainedModel& model, absl::string_view name) {
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    if (slot.name == name) return slot.tensor;
  }
  ADD_FAILURE() << "no tensor " << name;
  return at::Tensor();
}

void PerformSurgery(PretrainedModel& model, const Json& golden) {
  if (golden.contains("prune_heads")) {
    std::map<int64_t, std::vector<int64_t>> heads;
    for (const auto& [layer, list] : golden["prune_heads"].items()) {
      heads[std::stoll(layer)] = list.get<std::vector<int64_t>>();
    }
    ASSERT_THAT(model.PruneHeads(heads), IsOk());
    EXPECT_EQ(model.config().Get("pruned_heads"), golden["prune_heads"]);
  }
  if (golden.contains("resize_token_embeddings")) {
    const int64_t tokens = golden["resize_token_embeddings"].get<int64_t>();
    ASSERT_THAT(model.ResizeTokenEmbeddings(tokens), IsOk());
    EXPECT_EQ(*model.config().GetInt("vocab_size"), tokens);
  }
  // An untied head's own bias keeps its old length in the peer.
  const bool is_odd_in_the_peer =
      golden.contains("resize_token_embeddings") &&
      absl::EndsWith(golden["model"].get<std::string>(), "_untied");
  if (golden.contains("num_parameters") && !is_odd_in_the_peer) {
    EXPECT_EQ(model.num_parameters(), golden["num_parameters"].get<int64_t>());
  }
}

TEST(BertHeadsTest, ComputeWhatThePeerComputesInEveryCase) {
  const Json cases = ReadJsonFile(absl::StrCat(kFolder, "cases.json"))["cases"];
  ASSERT_GE(cases.size(), 74u);
  for (const Json& golden : cases) {
    SCOPED_TRACE(golden["name"]);
    absl::StatusOr<Model> model = Load(golden);
    ASSERT_THAT(model, IsOk());
    ASSERT_NO_FATAL_FAILURE(PerformSurgery(**model, golden));
    const std::string io =
        absl::StrCat(kFolder, golden["io"].get<std::string>());
    const NamedTensors inputs = ReadGolden(io, "in.");
    const NamedTensors want = ReadGolden(io, "out.");
    auto output = (*model)->Call(inputs, ForwardOptionsOf(golden));
    ASSERT_THAT(output, IsOk());
    ExpectOutputs(*output, want);
    ExpectTheSameWithoutAttentions(**model, golden, inputs, want);
  }
}

TEST(BertHeadsTest, RefuseWhatThePeerRefuses) {
  const Json refused =
      ReadJsonFile(absl::StrCat(kFolder, "cases.json"))["refused"];
  const std::map<std::string, std::string> messages = {
      {"label_beyond_classes", "labels: holds 3"},
      {"negative_label", "labels: holds -1"},
      {"labels_of_another_length", "labels: has shape [2, 5], but [2, 6]"},
      {"labels_of_another_batch", "labels: has shape [3], but [2]"},
      {"multi_labels_of_another_shape", "labels: has shape [2], but [2, 3]"},
      {"multi_labels_flat", "labels: has shape [6], but [2, 3]"},
      {"regression_labels_flat", "labels: has shape [6], but [2, 3]"},
      {"multi_labels_of_ids", "labels: is of dtype Long"},
      {"single_labels_of_floats", "labels: is of dtype Float"},
      {"shifted_labels_of_another_length",
       "labels: has shape [2, 5], but [2, 6]"},
      {"masked_label_beyond_vocabulary", "labels: holds 30"},
      {"masked_past", "BertForMaskedLM has no input 'past_key_values.0.0'"},
      {"token_encoder_states", "has no input 'encoder_hidden_states'"},
      {"token_next_sentence_label", "has no input 'next_sentence_label'"},
      {"answer_three_labels", "num_labels, the entries of id2label, is 3"},
      {"answer_positions_of_floats", "start_positions: is of dtype Float"},
      {"answer_positions_of_another_batch", "start_positions: has shape [3]"},
      {"choice_labels_of_another_batch", "labels: has shape [8], but [2]"},
      {"choice_label_beyond_choices", "labels: holds 4"},
      {"choice_of_one_dimension",
       "input_ids: has shape [5], but [batch, choices, tokens]"},
      {"pretraining_sentence_label_of_three", "next_sentence_label: holds 2"}};
  ASSERT_EQ(refused.size(), messages.size());
  for (const Json& golden : refused) {
    const std::string name = golden["name"];
    SCOPED_TRACE(name);
    ASSERT_TRUE(messages.contains(name));
    FromPretrainedOptions options{.kwargs = golden["config"]};
    options.ignore_mismatched_sizes = true;  // Three labels instead of two.
    absl::StatusOr<Model> model = Load(
        golden["class"],
        absl::StrCat(kFolder, golden["model"].get<std::string>()), options);
    ASSERT_THAT(model, IsOk());
    const std::string io =
        absl::StrCat(kFolder, golden["io"].get<std::string>());
    EXPECT_THAT((*model)->Call(ReadGolden(io, "in.")),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(messages.at(name))));
  }
}

// The golden models that every family has.
TEST(BertHeadsTest, HaveOutputsAndFactsOfThePeer) {
  for (const char* name :
       {"BertForMaskedLM", "BertForSequenceClassification"}) {
    SCOPED_TRACE(name);
    const std::string folder = absl::StrCat(kModels, name);
    const Json facts = ReadJsonFile(folder + "/facts.json");
    LoadingInfo info;
    absl::StatusOr<Model> model =
        Load(name, folder, {.output_loading_info = &info});
    ASSERT_THAT(model, IsOk());
    EXPECT_THAT(info.missing_keys, IsEmpty());
    EXPECT_THAT(info.unexpected_keys, IsEmpty());
    const NamedTensors inputs = ReadGolden(folder + "/io.safetensors", "in.");
    auto output = (*model)->Call(
        inputs, {.output_attentions = true, .output_hidden_states = true});
    ASSERT_THAT(output, IsOk());
    ExpectOutputs(*output, ReadGolden(folder + "/io.safetensors", "out."));

    for (const auto& [key, count] : facts["num_parameters"].items()) {
      EXPECT_EQ((*model)->num_parameters(
                    {.only_trainable = absl::StrContains(key, "trainable=True"),
                     .exclude_embeddings =
                         absl::StrContains(key, "embeddings=True")}),
                count.get<int64_t>())
          << key;
    }
    EXPECT_EQ((*model)->get_memory_footprint(true),
              facts["memory_footprint"]["return_buffers=True"].get<int64_t>());
    EXPECT_EQ((*model)->estimate_tokens(inputs),
              facts["estimate_tokens"].get<int64_t>());
    EXPECT_EQ(
        (*model)->floating_point_ops(inputs, true),
        facts["floating_point_ops"]["exclude_embeddings=True"].get<int64_t>());
    EXPECT_EQ((*model)->InputEmbeddingsPath(),
              facts["input_embeddings"].get<std::string>());
    EXPECT_EQ((*model)->OutputEmbeddingsPath(),
              facts["output_embeddings"].is_null()
                  ? ""
                  : facts["output_embeddings"].get<std::string>());
  }
}

// Mean and deviation of each tensor, as far from the peer's as draws may be:
// six standard errors of either.
TEST(BertHeadsTest, StartWithTheWeightsOfThePeer) {
  for (const char* name :
       {"BertModel", "BertForMaskedLM", "BertForSequenceClassification"}) {
    const std::string folder = absl::StrCat(kModels, name);
    auto config = PretrainedConfig::FromPretrained(folder, BertConfigClass());
    ASSERT_THAT(config, IsOk());
    const ModelClass& model_class = **FindModel(name);
    const Model model = model_class.create(
        *config, *model_class.layout->build(*config, Json::object()),
        {.device = at::kCPU});
    model->PostInit();
    ASSERT_THAT(model->InitWeights(7), IsOk());
    const Json facts =
        ReadJsonFile(folder + "/facts.json")["initial_state"]["tensors"];
    ASSERT_GE(facts.size(), 39u);
    for (const auto& [tensor_name, want] : facts.items()) {
      SCOPED_TRACE(absl::StrCat(name, " ", tensor_name));
      const at::Tensor tensor = TensorOf(*model, tensor_name).to(at::kDouble);
      const double count = static_cast<double>(tensor.numel());
      const double deviation = want["std"].get<double>();
      EXPECT_NEAR(tensor.mean().item().toDouble(), want["mean"].get<double>(),
                  6 * deviation * std::sqrt(2 / count));
      EXPECT_NEAR(tensor.std(/*unbiased=*/false).item().toDouble(), deviation,
                  6 * deviation / std::sqrt(count));
    }
    EXPECT_TRUE(TensorOf(*model, name == std::string("BertModel")
                                     ? "embeddings.word_embeddings.weight"
                                     : "bert.embeddings.word_embeddings.weight")
                    .select(0, 0)
                    .eq(0)
                    .all()
                    .item()
                    .toBool())
        << "the padding row is not 0";
  }
}

// Every class in float16 and bfloat16, losses too.
TEST(BertHeadsTest, HalfDtypesStayCloseToFloat32) {
  const std::map<std::string, std::string> names = {
      {"pretraining_labels", "BertForPreTraining"},
      {"lm_labels", "BertLMHeadModel"},
      {"lm_cross_past", "BertLMHeadModel"},
      {"masked_labels", "BertForMaskedLM"},
      {"sentence_relation_labels", "BertForNextSentencePrediction"},
      {"sequence_multi", "BertForSequenceClassification"},
      {"choice_labels", "BertForMultipleChoice"},
      {"token_labels", "BertForTokenClassification"},
      {"answer_positions", "BertForQuestionAnswering"}};
  size_t found = 0;
  const Json cases = ReadJsonFile(absl::StrCat(kFolder, "cases.json"))["cases"];
  for (const Json& golden : cases) {
    const std::string name = golden["name"];
    if (!names.contains(name)) continue;
    ++found;
    const std::string folder =
        absl::StrCat(kFolder, golden["model"].get<std::string>());
    const NamedTensors inputs = ReadGolden(
        absl::StrCat(kFolder, golden["io"].get<std::string>()), "in.");
    absl::StatusOr<Model> full = Load(names.at(name), folder);
    ASSERT_THAT(full, IsOk());
    for (const char* dtype : {"float16", "bfloat16"}) {
      absl::StatusOr<Model> half =
          Load(names.at(name), folder, {.torch_dtype = dtype});
      ASSERT_THAT(half, IsOk());
      const ForwardOptions options = ForwardOptionsOf(golden);
      EXPECT_LE(HalfError(**half, **full, inputs, options),
                (*half)->dtype() == at::kHalf ? kFloat16Error : kBfloat16Error)
          << name << " " << dtype;
      ASSERT_THAT((*half)->InitWeights(5), IsOk());
      EXPECT_LE(HalfError(**half, **full, inputs, options), kNewModelHalfError)
          << name << " " << dtype << " with new weights";
    }
  }
  EXPECT_EQ(found, names.size());
}

TEST(BertHeadsTest, AreCalledWithStructsToo) {
  auto model = BertLMHeadModel::FromPretrained(absl::StrCat(kFolder, "lm"));
  ASSERT_THAT(model, IsOk());
  BertHeadInputs inputs;
  inputs.input_ids = at::arange(1, 9, at::kLong).reshape({2, 4});
  auto output = (*model)->Forward(inputs, {.use_cache = true});
  ASSERT_THAT(output, IsOk());
  EXPECT_EQ(output->logits.sizes(), at::IntArrayRef({2, 4, 30}));
  EXPECT_FALSE(output->loss.defined());
  EXPECT_EQ(output->past_key_values.size(), 1u);
  inputs.labels = inputs.input_ids;
  output = (*model)->Forward(inputs, {.use_cache = true});
  ASSERT_THAT(output, IsOk());
  EXPECT_TRUE(output->loss.defined());
  EXPECT_THAT(output->past_key_values, IsEmpty());
  EXPECT_THAT(output->attentions, IsEmpty());
  EXPECT_THAT(output->hidden_states, IsEmpty());

  // A struct has a place for what this class does not take.
  auto masked =
      BertForMaskedLM::FromPretrained(absl::StrCat(kFolder, "masked"));
  ASSERT_THAT(masked, IsOk());
  BertHeadInputs with_cache;
  with_cache.input_ids = at::ones({1, 2}, at::kLong);
  with_cache.past_key_values = {{at::ones({1, 2, 3, 8}), at::ones({1})}};
  EXPECT_THAT(
      (*masked)->Forward(with_cache),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("past_key_values: BertForMaskedLM does not take it")));
}

// Tokens that come after a cache are scored as without one.
TEST(BertHeadsTest, ACacheChangesNothing) {
  auto model = BertLMHeadModel::FromPretrained(absl::StrCat(kFolder, "lm"));
  ASSERT_THAT(model, IsOk());
  BertHeadInputs inputs;
  const at::Tensor ids = at::arange(1, 17, at::kLong).reshape({2, 8});
  inputs.input_ids = ids;
  auto whole = (*model)->Forward(inputs);
  ASSERT_THAT(whole, IsOk());
  KeyValueCache cache;
  for (const auto& [start, length] : {std::pair(0, 3), {3, 4}, {7, 1}}) {
    BertHeadInputs step;
    step.input_ids = ids.narrow(1, start, length);
    step.past_key_values = cache;
    auto output = (*model)->Forward(step, {.use_cache = true});
    ASSERT_THAT(output, IsOk());
    EXPECT_THAT(output->logits,
                IsCloseTo(whole->logits.narrow(1, start, length), kTolerance));
    cache = output->past_key_values;
  }
}

// classifier_dropout, else hidden_dropout_prob, in training mode only.
TEST(BertHeadsTest, TheClassifierHasADropoutOfItsOwn) {
  const std::string folder = absl::StrCat(kFolder, "token");
  BertHeadInputs inputs;
  inputs.input_ids = at::arange(1, 9, at::kLong).reshape({2, 4});
  const auto logits = [&](const Json& kwargs, bool train) {
    auto model =
        BertForTokenClassification::FromPretrained(folder, {.kwargs = kwargs});
    EXPECT_THAT(model, IsOk());
    (*model)->train(train);
    return (*model)->Forward(inputs)->logits;
  };
  const Json none = {{"hidden_dropout_prob", 0.0},
                     {"attention_probs_dropout_prob", 0.0}};
  Json all = none;
  all["classifier_dropout"] = 1.0;
  Json nothing_of_its_own = none;
  nothing_of_its_own["classifier_dropout"] = nullptr;
  const at::Tensor whole = logits(none, false);
  EXPECT_TRUE(at::equal(logits(all, false), whole));
  EXPECT_TRUE(at::equal(logits(nothing_of_its_own, true), whole));
  // With all states dropped the bias is left: the same for every token.
  const at::Tensor dropped = logits(all, true);
  EXPECT_TRUE(at::equal(dropped, dropped[0][0].expand({2, 4, 5})));
  EXPECT_FALSE(at::equal(dropped, whole));
}

TEST(BertHeadsTest, BaseCheckpointsAndHeadsShareTheirWeights) {
  const std::string folder = absl::StrCat(kModels, "BertModel");
  LoadingInfo info;
  absl::StatusOr<Model> model = Load("BertForTokenClassification", folder,
                                     {.output_loading_info = &info});
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(info.missing_keys,
              testing::ElementsAre("classifier.bias", "classifier.weight"));
  EXPECT_THAT(info.unexpected_keys,
              testing::ElementsAre("pooler.dense.bias", "pooler.dense.weight"));
  const NamedTensors inputs = ReadGolden(folder + "/io.safetensors", "in.");
  auto output = (*model)->Call(inputs, {.output_hidden_states = true});
  ASSERT_THAT(output, IsOk());
  EXPECT_THAT(*output->find("hidden_states.2"),
              IsCloseTo(ReadGolden(folder + "/io.safetensors", "out.")
                            .at("last_hidden_state"),
                        kTolerance));
}

TEST(BertHeadsTest, EveryClassIsKnownByItsName) {
  for (const ModelClass* model_class :
       {&BertModel::Class(), &BertForPreTraining::Class(),
        &BertLMHeadModel::Class(), &BertForMaskedLM::Class(),
        &BertForNextSentencePrediction::Class(),
        &BertForSequenceClassification::Class(),
        &BertForMultipleChoice::Class(), &BertForTokenClassification::Class(),
        &BertForQuestionAnswering::Class()}) {
    auto found = FindModel(model_class->layout->class_name);
    ASSERT_THAT(found, IsOk());
    EXPECT_EQ(*found, model_class);
  }
}

}  // namespace
}  // namespace pretrained
