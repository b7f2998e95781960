#ifndef PRETRAINED_MODELING_BERT_BERT_LAYOUT_H_
#define PRETRAINED_MODELING_BERT_BERT_LAYOUT_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/bert/bert_config.h"
#include "modeling/model_layout.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// What BertModel's constructor takes beside the config.
struct BertModelArguments {
  bool add_pooling_layer = true;
};

// The layout of BertModel: modules, parameters and buffers as transformers 4.34
// modeling_bert.py registers them, in its order and under its names.
ModelLayout BertModelLayout(const BertConfig& config,
                            const BertModelArguments& arguments = {});

// Those of `model_kwargs` ({"add_pooling_layer": false}) for the model without
// a head of class `class_name`. kInvalidArgument, naming it, for another one.
absl::StatusOr<BertModelArguments> ReadBertModelArguments(
    absl::string_view class_name, const nlohmann::ordered_json& model_kwargs);

// "BertModel", for the registry; linking this target registers it.
const LayoutClass& BertModelLayoutClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_LAYOUT_H_
