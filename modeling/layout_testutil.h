#ifndef PRETRAINED_MODELING_LAYOUT_TESTUTIL_H_
#define PRETRAINED_MODELING_LAYOUT_TESTUTIL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modeling/model_layout.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// A model folder, what to change in its config, and what the peer says of the
// model (see testdata/models/README.md).
struct LayoutCase {
  std::string folder;
  nlohmann::ordered_json config = nlohmann::ordered_json::object();
  nlohmann::ordered_json facts;
};

// `fixture`, a folder with a facts.json of its own, and what the facts.json of
// `family`, a folder of golden_decoders.py, is about.
std::vector<LayoutCase> LayoutCases(const std::string& fixture,
                                    const std::string& family);

// That of the class that the facts name.
absl::StatusOr<ModelLayout> LayoutOf(const LayoutCase& golden);

// Fails the test unless the layout has the peer's modules, state dict and
// buffers, in its order, its class attributes and ties, and counts as it does.
void ExpectLayoutOfPeer(const LayoutCase& golden);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LAYOUT_TESTUTIL_H_
