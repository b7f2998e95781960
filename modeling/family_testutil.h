#ifndef PRETRAINED_MODELING_FAMILY_TESTUTIL_H_
#define PRETRAINED_MODELING_FAMILY_TESTUTIL_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "modeling/loading_info.h"
#include "modeling/pretrained_model.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// A family's models held to the peer's: to a folder that golden_decoders.py
// wrote ("testdata/mistral"), and to one of testdata/models. Each fails the
// test where something differs.

// The model of a case, of a refused call, or of facts.
absl::StatusOr<std::shared_ptr<PretrainedModel>> LoadGolden(
    const std::string& family, const nlohmann::ordered_json& golden,
    LoadingInfo* info = nullptr, const std::string& torch_dtype = "");

// Every case of cases.json, with attentions where it has them, and without, as
// the fused kernel computes it: outputs by name within 1e-5 (1 + |want|), keys
// that loading reports exactly. Heads are pruned, and embeddings resized, where
// a case says so. There must be `least` cases.
void ExpectGoldenCases(const std::string& family, size_t least);

// Every refused call is kInvalidArgument; the message has what `messages` says
// under the call's name, all of which must be there.
void ExpectRefusals(const std::string& family,
                    const std::map<std::string, std::string>& messages);

// The footprint and the buffers of every model of facts.json, in float32 and in
// float16.
void ExpectGoldenWeights(const std::string& family);

// Outputs, counts and paths of a folder of testdata/models; where a new model's
// weights start.
void ExpectFixtureOutputs(const std::string& fixture);
void ExpectFixtureFacts(const std::string& fixture);
void ExpectFixtureStart(const std::string& fixture);

// A new model of that config in float16 and bfloat16, within 2e-2 (1 + |want|)
// of itself in float32.
void ExpectHalfNearFloat32(const std::string& fixture);

// What the model is saved as: the config.json and the tensors that the peer
// saved it as.
void ExpectSavesWhatItLoaded(const std::string& fixture);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_FAMILY_TESTUTIL_H_
