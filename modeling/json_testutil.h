#ifndef PRETRAINED_MODELING_JSON_TESTUTIL_H_
#define PRETRAINED_MODELING_JSON_TESTUTIL_H_

#include <string>

#include "nlohmann/json.hpp"

namespace pretrained {

// A JSON file of the test's data; fails the test if it is none.
nlohmann::ordered_json ReadJsonFile(const std::string& path);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_JSON_TESTUTIL_H_
