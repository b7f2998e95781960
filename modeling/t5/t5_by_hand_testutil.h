#ifndef PRETRAINED_MODELING_T5_T5_BY_HAND_TESTUTIL_H_
#define PRETRAINED_MODELING_T5_T5_BY_HAND_TESTUTIL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "c10/core/ScalarType.h"
#include "modeling/pretrained_model.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// The model of a folder without the loader, so that tests of what a model
// computes say nothing about how models are loaded: `attributes` are put into
// its config, weights put in by their names, and what the file has beside is
// left out. In float32 and eval mode.
absl::StatusOr<std::shared_ptr<PretrainedModel>> LoadByHand(
    const std::string& class_name, const std::string& folder,
    const nlohmann::ordered_json& attributes =
        nlohmann::ordered_json::object());

// Rounds the weights of `model` to a half dtype, and returns a model of that
// dtype that has just these; "wo" stays float32 in float16, as when loaded so.
std::shared_ptr<PretrainedModel> RoundAndMakeHalf(PretrainedModel& model,
                                                  at::ScalarType type);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_T5_T5_BY_HAND_TESTUTIL_H_
