#include "modeling/roberta/roberta_config.h"

#include <cstdint>

#include "absl/status/statusor.h"
#include "modeling/bert/bert_config.h"
#include "modeling/config_reader.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

const ConfigClass& RobertaConfigClass() {
  static const ConfigClass* const config_class = [] {
    auto* roberta = new ConfigClass{.model_type = "roberta",
                                    .defaults = BertConfigClass().defaults};
    roberta->defaults["vocab_size"] = 50265;
    roberta->defaults["pad_token_id"] = 1;
    roberta->defaults["bos_token_id"] = 0;
    roberta->defaults["eos_token_id"] = 2;
    return roberta;
  }();
  return *config_class;
}

absl::StatusOr<RobertaConfig> RobertaConfig::From(
    const PretrainedConfig& config) {
  absl::StatusOr<BertConfig> encoder = BertConfig::From(config);
  if (!encoder.ok()) return encoder.status();
  encoder->positions_pass_over_padding = true;
  const int64_t positions = encoder->max_position_embeddings;
  const int64_t padding = encoder->pad_token_id.value_or(0);
  ConfigReader reader(config);
  reader.Require(padding >= -positions && padding < positions, "pad_token_id",
                 "a token within max_position_embeddings is expected, for it "
                 "is the position of padding");
  if (!reader.ok()) return reader.status();
  return RobertaConfig{.encoder = *encoder};
}

}  // namespace pretrained
