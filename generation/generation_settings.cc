#include "generation/generation_settings.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace pretrained {
namespace {

// `lowest` or more.
absl::StatusOr<int64_t> IntFrom(const GenerationConfig& config,
                                absl::string_view name, int64_t lowest) {
  absl::StatusOr<int64_t> value = config.GetInt(name);
  if (value.ok() && *value < lowest) {
    return config.BadValue(name, absl::StrCat(lowest, " or more is expected"));
  }
  return value;
}

// Reads attributes one after the other; the first error stays.
class Reader {
 public:
  explicit Reader(const GenerationConfig& config) : config_(config) {}

  void Positive(absl::string_view name, int64_t& value) {
    Take(IntFrom(config_, name, 1), value);
  }
  void Bool(absl::string_view name, bool& value) {
    Take(config_.GetBool(name), value);
  }
  template <typename T>
  void Take(absl::StatusOr<T> read, T& value) {
    if (!read.ok()) {
      status_.Update(read.status());
    } else {
      value = *std::move(read);
    }
  }
  const absl::Status& status() const { return status_; }

 private:
  const GenerationConfig& config_;
  absl::Status status_;
};

absl::StatusOr<bool> IsContrastive(const GenerationConfig& config) {
  if (config.Get("penalty_alpha").is_null() || config.Get("top_k").is_null()) {
    return false;
  }
  absl::StatusOr<double> alpha = config.GetDouble("penalty_alpha");
  if (!alpha.ok()) return alpha.status();
  absl::StatusOr<int64_t> top_k = config.GetInt("top_k");
  if (!top_k.ok()) return top_k.status();
  return *alpha > 0 && *top_k > 1;
}

absl::StatusOr<GenerationMode> ModeOf(const GenerationSettings& settings) {
  const GenerationConfig& config = settings.config;
  for (const absl::string_view name : {"constraints", "force_words_ids"}) {
    if (config.Get(name).is_null()) continue;
    return absl::UnimplementedError(absl::StrCat(
        name, ": beam search under constraints is not done here; unset it"));
  }
  absl::StatusOr<bool> samples = config.GetBool("do_sample");
  if (!samples.ok()) return samples.status();
  if (settings.num_beams > 1) {
    if (settings.num_beam_groups > 1) return GenerationMode::kBeamGroups;
    return *samples ? GenerationMode::kBeamSample : GenerationMode::kBeams;
  }
  if (*samples) return GenerationMode::kSample;
  absl::StatusOr<bool> contrastive = IsContrastive(config);
  if (!contrastive.ok()) return contrastive.status();
  if (*contrastive) {
    return absl::UnimplementedError(
        "penalty_alpha: contrastive search is not done here; unset it");
  }
  return GenerationMode::kGreedy;
}

}  // namespace

absl::StatusOr<GenerationSettings> ReadGenerationSettings(
    GenerationConfig config, const SettingsByName& overrides,
    bool has_attention_mask) {
  GenerationSettings settings;
  for (const auto& [name, value] : overrides) {
    if (!config.HasDefault(name)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", name, "' is no setting of generation; see GenerationConfig"));
    }
    config.Set(name, value);
    if (name == "max_length" && !value.is_null()) {
      settings.has_default_max_length = false;
    }
  }
  absl::Status status = config.Validate();
  if (!status.ok()) return status;
  for (const std::string& warning : config.Warnings()) {
    ABSL_LOG(WARNING) << warning;
  }
  Reader reader(config);
  reader.Positive("num_beams", settings.num_beams);
  reader.Positive("num_beam_groups", settings.num_beam_groups);
  reader.Positive("num_return_sequences", settings.num_return_sequences);
  reader.Bool("use_cache", settings.use_cache);
  reader.Bool("output_scores", settings.output_scores);
  reader.Bool("output_attentions", settings.output_attentions);
  reader.Bool("output_hidden_states", settings.output_hidden_states);
  reader.Take(config.GetOptionalInt("pad_token_id"), settings.pad_token_id);
  reader.Take(config.GetInts("eos_token_id"), settings.eos_token_ids);
  if (!reader.status().ok()) return reader.status();
  if (!settings.pad_token_id.has_value() && !settings.eos_token_ids.empty()) {
    settings.pad_token_id = settings.eos_token_ids.front();
    config.Set("pad_token_id", *settings.pad_token_id);
    ABSL_LOG(WARNING) << "pad_token_id is not set; eos_token_id, "
                      << *settings.pad_token_id
                      << ", pads texts that ended before others"
                      << (has_attention_mask
                              ? ""
                              : ". Without it, nor an attention_mask, no "
                                "token of the prompt counts as padding");
  }
  settings.config = std::move(config);
  absl::StatusOr<GenerationMode> mode = ModeOf(settings);
  if (!mode.ok()) return mode.status();
  settings.mode = *mode;
  return settings;
}

absl::Status FitToPrompt(int64_t prompt_length, const std::string& input_name,
                         GenerationSettings& settings) {
  GenerationConfig& config = settings.config;
  absl::StatusOr<std::optional<int64_t>> max_new =
      config.GetOptionalInt("max_new_tokens");
  if (!max_new.ok()) return max_new.status();
  if (max_new->has_value()) {
    if (**max_new < 1) {
      return config.BadValue("max_new_tokens", "1 or more is expected");
    }
    if (!settings.has_default_max_length) {
      ABSL_LOG(WARNING) << "max_new_tokens and max_length are both set; the "
                           "former counts";
    }
    config.Set("max_length", prompt_length + **max_new);
  }
  absl::StatusOr<int64_t> max_length = IntFrom(config, "max_length", 0);
  if (!max_length.ok()) return max_length.status();
  settings.max_length = *max_length;
  if (settings.has_default_max_length && !max_new->has_value() &&
      *max_length == 20) {
    ABSL_LOG(WARNING) << "texts end at max_length, 20, which nothing has set; "
                         "set max_new_tokens";
  }
  if (prompt_length >= *max_length) {
    ABSL_LOG(WARNING) << input_name << " have " << prompt_length
                      << " tokens, but max_length is " << *max_length
                      << "; raise it, or set max_new_tokens";
  }
  for (const auto& [name, before] :
       {std::pair<absl::string_view, int64_t>{"min_length", 0},
        {"min_new_tokens", prompt_length}}) {
    absl::StatusOr<std::optional<int64_t>> least = config.GetOptionalInt(name);
    if (!least.ok()) return least.status();
    if (least->has_value() && before + **least > *max_length) {
      ABSL_LOG(WARNING) << name << " is " << **least
                        << ", but texts end at max_length, " << *max_length
                        << ", before they are that long";
    }
  }
  return absl::OkStatus();
}

}  // namespace pretrained
