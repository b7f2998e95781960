#include "modeling/json_testutil.h"

#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace pretrained {

nlohmann::ordered_json ReadJsonFile(const std::string& path) {
  std::ifstream file(path);
  auto json = nlohmann::ordered_json::parse(file, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << path;
  return json;
}

}  // namespace pretrained
