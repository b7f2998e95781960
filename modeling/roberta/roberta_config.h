#ifndef PRETRAINED_MODELING_ROBERTA_ROBERTA_CONFIG_H_
#define PRETRAINED_MODELING_ROBERTA_ROBERTA_CONFIG_H_

#include "absl/status/statusor.h"
#include "modeling/bert/bert_config.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The attributes of a RoBERTa config, checked: BERT's, with other defaults, and
// positions that pass over padding.
//
// Defaults and names are those of transformers 4.34 configuration_roberta.py
// `RobertaConfig`.
struct RobertaConfig {
  BertConfig encoder;

  // As BertConfig::From(); and kInvalidArgument for a pad_token_id beyond
  // max_position_embeddings, for padding has a position, too.
  static absl::StatusOr<RobertaConfig> From(const PretrainedConfig& config);
};

// What makes a PretrainedConfig a RoBERTa one: model type and defaults.
const ConfigClass& RobertaConfigClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_ROBERTA_ROBERTA_CONFIG_H_
