#include "generation/processors_from_config.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "generation/beam_processors.h"
#include "generation/logits_warpers.h"
#include "generation/repetition_processors.h"
#include "generation/sequence_bias_processors.h"
#include "generation/token_processors.h"
#include "modeling/generation_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

// A list being made, and the first error. What is read after an error is null.
class Builder {
 public:
  explicit Builder(const GenerationConfig& config) : config_(config) {}

  bool ok() const { return status_.ok(); }
  const absl::Status& status() const { return status_; }
  LogitsProcessorList& list() { return list_; }

  void Fail(absl::Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  void Bad(absl::string_view name, absl::string_view expected) {
    Fail(config_.BadValue(name, expected));
  }

  bool IsSet(absl::string_view name) const {
    return status_.ok() && !config_.Get(name).is_null();
  }
  bool IsTrue(absl::string_view name) const {
    return status_.ok() && config_.Get(name) == Json(true);
  }
  std::optional<double> Number(absl::string_view name) {
    if (!IsSet(name)) return std::nullopt;
    return Taken(config_.GetDouble(name));
  }
  std::optional<int64_t> Int(absl::string_view name) {
    if (!IsSet(name)) return std::nullopt;
    return Taken(config_.GetInt(name));
  }
  // As Int(), for what must be there.
  int64_t RequiredInt(absl::string_view name) {
    return Taken(config_.GetInt(name)).value_or(0);
  }
  std::vector<int64_t> Ints(absl::string_view name) {
    return Taken(config_.GetInts(name)).value_or(std::vector<int64_t>());
  }

  template <typename Processor>
  void Add(absl::StatusOr<Processor> processor) {
    if (!status_.ok()) return;
    if (processor.ok()) {
      list_.Add(*std::move(processor));
    } else {
      Fail(absl::Status(processor.status().code(),
                        absl::StrCat(config_.file_name(), ": ",
                                     processor.status().message())));
    }
  }

  absl::StatusOr<LogitsProcessorList> Done() && {
    if (!status_.ok()) return status_;
    return std::move(list_);
  }

 private:
  template <typename Value>
  std::optional<Value> Taken(absl::StatusOr<Value> value) {
    if (value.ok()) return *std::move(value);
    Fail(value.status());
    return std::nullopt;
  }

  const GenerationConfig& config_;
  LogitsProcessorList list_;
  absl::Status status_;
};

// A list of ids, if it is one.
std::optional<std::vector<int64_t>> IdsIn(const Json& json) {
  if (!json.is_array()) return std::nullopt;
  std::vector<int64_t> ids;
  for (const Json& id : json) {
    if (!id.is_number_integer()) return std::nullopt;
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

void AddSequenceBias(const GenerationConfig& config, Builder& builder) {
  constexpr char kName[] = "sequence_bias";
  constexpr char kExpected[] =
      "a list of pairs of a list of ids and a number, [[[5, 9], -1.5], ..], is "
      "expected";
  if (!builder.IsSet(kName)) return;
  const Json& pairs = config.Get(kName);
  if (!pairs.is_array()) return builder.Bad(kName, kExpected);
  SequenceBias bias;
  for (const Json& pair : pairs) {
    const bool is_pair =
        pair.is_array() && pair.size() == 2 && pair[1].is_number();
    std::optional<std::vector<int64_t>> ids;
    if (is_pair) ids = IdsIn(pair[0]);
    if (!ids.has_value()) return builder.Bad(kName, kExpected);
    bias[*std::move(ids)] = pair[1].get<double>();
  }
  builder.Add(SequenceBiasLogitsProcessor::Create(std::move(bias)));
}

void AddBadWords(const GenerationConfig& config, Builder& builder) {
  constexpr char kName[] = "bad_words_ids";
  if (!builder.IsSet(kName)) return;
  const Json& lists = config.Get(kName);
  std::vector<std::vector<int64_t>> words;
  for (const Json& list : lists) {
    std::optional<std::vector<int64_t>> ids;
    if (lists.is_array()) ids = IdsIn(list);
    if (!ids.has_value()) {
      return builder.Bad(kName, "a list of lists of ids is expected");
    }
    words.push_back(*std::move(ids));
  }
  builder.Add(
      NoBadWordsLogitsProcessor::Create(words, builder.Ints("eos_token_id")));
}

// Repetition: of the text itself, and of its source.
void AddRepetition(const ProcessorContext& context, Builder& builder) {
  const auto has_source = [&](absl::string_view name) {
    if (context.encoder_input_ids.defined()) return true;
    builder.Bad(name,
                "null is expected where no input_ids of a source are given");
    return false;
  };
  const auto source_penalty = builder.Number("encoder_repetition_penalty");
  if (source_penalty.value_or(1) != 1 &&
      has_source("encoder_repetition_penalty")) {
    builder.Add(EncoderRepetitionPenaltyLogitsProcessor::Create(
        *source_penalty, context.encoder_input_ids));
  }
  const auto penalty = builder.Number("repetition_penalty");
  if (penalty.value_or(1) != 1) {
    builder.Add(RepetitionPenaltyLogitsProcessor::Create(*penalty));
  }
  const auto ngram = builder.Int("no_repeat_ngram_size");
  if (ngram.value_or(0) > 0) {
    builder.Add(NoRepeatNGramLogitsProcessor::Create(*ngram));
  }
  constexpr char kSourceNGram[] = "encoder_no_repeat_ngram_size";
  const auto source_ngram = builder.Int(kSourceNGram);
  if (source_ngram.value_or(0) <= 0) return;
  if (!context.is_encoder_decoder) {
    return builder.Bad(kSourceNGram,
                       "the model has no encoder, and 0 is expected");
  }
  if (has_source(kSourceNGram)) {
    builder.Add(EncoderNoRepeatNGramLogitsProcessor::Create(
        *source_ngram, context.encoder_input_ids));
  }
}

// Lengths, and tokens that begin or end a text.
void AddLengths(const ProcessorContext& context, Builder& builder) {
  const int64_t prompt = context.input_ids_seq_length;
  const auto min_length = builder.Int("min_length");
  const auto min_new_tokens = builder.Int("min_new_tokens");
  if (builder.IsSet("eos_token_id")) {
    const std::vector<int64_t> eos = builder.Ints("eos_token_id");
    if (min_length.value_or(0) > 0) {
      builder.Add(MinLengthLogitsProcessor::Create(*min_length, eos));
    }
    if (min_new_tokens.value_or(0) > 0) {
      builder.Add(MinNewTokensLengthLogitsProcessor::Create(
          prompt, *min_new_tokens, eos));
    }
  }
  if (context.prefix_allowed_tokens != nullptr) {
    const int64_t beams = builder.RequiredInt("num_beams");
    const int64_t groups = builder.RequiredInt("num_beam_groups");
    if (groups < 1)
      return builder.Bad("num_beam_groups", "1 or more are expected");
    builder.Add(PrefixConstrainedLogitsProcessor::Create(
        context.prefix_allowed_tokens, beams / groups));
  }
  const auto bos = builder.Int("forced_bos_token_id");
  if (bos.has_value()) {
    builder.list().Add(ForcedBOSTokenLogitsProcessor(*bos));
  }
  if (builder.IsSet("forced_eos_token_id")) {
    const std::vector<int64_t> forced = builder.Ints("forced_eos_token_id");
    builder.list().Add(ForcedEOSTokenLogitsProcessor(
        builder.RequiredInt("max_length"), forced));
  }
}

void AddDecay(const GenerationConfig& config, int64_t prompt,
              Builder& builder) {
  constexpr char kName[] = "exponential_decay_length_penalty";
  if (!builder.IsSet(kName)) return;
  const Json& pair = config.Get(kName);
  if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_integer() ||
      !pair[1].is_number()) {
    return builder.Bad(kName, "a start and a factor, [5, 1.1], are expected");
  }
  if (!builder.IsSet("eos_token_id")) {
    return builder.Bad("eos_token_id",
                       "'exponential_decay_length_penalty' is set, so an end "
                       "of sequence is expected");
  }
  builder.list().Add(ExponentialDecayLengthPenalty(
      pair[0].get<int64_t>(), pair[1].get<double>(),
      builder.Ints("eos_token_id"), prompt));
}

// Tokens that are never to come, not first, or at their places only.
void AddTokens(const GenerationConfig& config, const ProcessorContext& context,
               Builder& builder) {
  if (builder.IsSet("suppress_tokens")) {
    builder.list().Add(
        SuppressTokensLogitsProcessor(builder.Ints("suppress_tokens")));
  }
  constexpr char kForced[] = "forced_decoder_ids";
  const bool has_forced = builder.IsSet(kForced);
  int64_t last_forced = 0;
  std::map<int64_t, int64_t> forced;
  if (has_forced) {
    const Json& pairs = config.Get(kForced);
    bool fits = pairs.is_array() && !pairs.empty();
    for (const Json& pair : pairs) {
      fits = fits && pair.is_array() && pair.size() == 2 &&
             pair[0].is_number_integer() &&
             (pair[1].is_null() || pair[1].is_number_integer());
      if (!fits) break;
      last_forced = pair[0].get<int64_t>();
      // Null forces nothing.
      forced.erase(last_forced);
      if (!pair[1].is_null()) forced[last_forced] = pair[1].get<int64_t>();
    }
    if (!fits) {
      return builder.Bad(kForced,
                         "a list of positions and ids, [[1, 5], ..], is "
                         "expected");
    }
  }
  if (builder.IsSet("begin_suppress_tokens")) {
    const int64_t prompt = context.input_ids_seq_length;
    const bool forces_bos = builder.IsSet("forced_bos_token_id");
    const int64_t begin = prompt > 1 || !forces_bos ? prompt : prompt + 1;
    builder.list().Add(SuppressTokensAtBeginLogitsProcessor(
        builder.Ints("begin_suppress_tokens"), begin + last_forced));
  }
  if (has_forced) {
    builder.list().Add(ForceTokensLogitsProcessor(std::move(forced)));
  }
}

}  // namespace

absl::StatusOr<LogitsProcessorList> MakeLogitsProcessors(
    const GenerationConfig& config, const ProcessorContext& context) {
  Builder builder(config);
  if (builder.Number("guidance_scale").value_or(1) != 1) {
    if (context.guidance == nullptr) {
      return absl::UnimplementedError(absl::StrCat(
          config.file_name(), ": 'guidance_scale' is ",
          config.Get("guidance_scale").dump(),
          ", which takes a processor that runs the model without the prompt: "
          "give one as ProcessorContext::guidance, or unset it"));
    }
    builder.list().Add(context.guidance);
  }
  AddSequenceBias(config, builder);
  const auto diversity = builder.Number("diversity_penalty");
  if (diversity.value_or(0) > 0) {
    builder.Add(HammingDiversityLogitsProcessor::Create(
        *diversity, builder.RequiredInt("num_beams"),
        builder.RequiredInt("num_beam_groups")));
  }
  AddRepetition(context, builder);
  AddBadWords(config, builder);
  AddLengths(context, builder);
  if (builder.IsTrue("remove_invalid_values")) {
    builder.list().Add(InfNanRemoveLogitsProcessor());
  }
  AddDecay(config, context.input_ids_seq_length, builder);
  AddTokens(config, context, builder);
  builder.Fail(builder.list().Merge(context.custom));
  if (builder.IsTrue("renormalize_logits")) {
    builder.list().Add(LogitNormalization());
  }
  return std::move(builder).Done();
}

absl::StatusOr<LogitsProcessorList> MakeLogitsWarpers(
    const GenerationConfig& config) {
  Builder builder(config);
  const auto temperature = builder.Number("temperature");
  if (temperature.value_or(1) != 1) {
    builder.Add(TemperatureLogitsWarper::Create(*temperature));
  }
  // Beams need a token beside the end of sequence.
  const int64_t kept = builder.RequiredInt("num_beams") > 1 ? 2 : 1;
  const auto top_k = builder.Int("top_k");
  if (top_k.value_or(0) != 0) {
    builder.Add(TopKLogitsWarper::Create(*top_k, kFilteredScore, kept));
  }
  const auto top_p = builder.Number("top_p");
  if (top_p.value_or(1) < 1) {
    builder.Add(TopPLogitsWarper::Create(*top_p, kFilteredScore, kept));
  }
  const auto typical_p = builder.Number("typical_p");
  if (typical_p.value_or(1) < 1) {
    builder.Add(TypicalLogitsWarper::Create(*typical_p, kFilteredScore, kept));
  }
  const auto is_cutoff = [](std::optional<double> value) {
    return value.has_value() && *value > 0 && *value < 1;
  };
  const auto epsilon = builder.Number("epsilon_cutoff");
  if (is_cutoff(epsilon)) {
    builder.Add(EpsilonLogitsWarper::Create(*epsilon, kFilteredScore, kept));
  }
  const auto eta = builder.Number("eta_cutoff");
  if (is_cutoff(eta)) {
    builder.Add(EtaLogitsWarper::Create(*eta, kFilteredScore, kept));
  }
  if (builder.IsTrue("renormalize_logits")) {
    builder.list().Add(LogitNormalization());
  }
  return std::move(builder).Done();
}

absl::StatusOr<StoppingCriteriaList> MakeStoppingCriteria(
    const GenerationConfig& config,
    std::optional<int64_t> max_position_embeddings,
    const StoppingCriteriaList& custom) {
  Builder builder(config);
  StoppingCriteriaList criteria;
  const auto max_length = builder.Int("max_length");
  if (max_length.has_value()) {
    criteria.Add(MaxLengthCriteria(*max_length, max_position_embeddings));
  }
  const auto max_time = builder.Number("max_time");
  if (max_time.has_value()) {
    criteria.Add(MaxTimeCriteria(absl::Seconds(*max_time)));
  }
  builder.Fail(criteria.Merge(custom));
  if (!builder.ok()) return builder.status();
  return criteria;
}

EarlyStopping EarlyStoppingOf(const GenerationConfig& config) {
  const Json& value = config.Get("early_stopping");
  if (!value.is_boolean()) return EarlyStopping::kNever;
  return value.get<bool>() ? EarlyStopping::kYes : EarlyStopping::kNo;
}

}  // namespace pretrained
