// Folders with wrong and hostile indexes, held to a table of what each is:
// read, or refused with its reason. testdata/README.md tells where they come
// from.

#include <algorithm>
#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_index.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using checkpoint_testing::ReadTestFile;
using ::nlohmann::json;
using ::testing::HasSubstr;

constexpr absl::string_view kCases = "checkpoint/testdata/index_errors/";

std::string IndexPath(const std::string& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") return entry.path();
  }
  return "";
}

void ExpectRefused(const absl::Status& status, const json& want,
                   const std::string& folder) {
  EXPECT_EQ(absl::StatusCodeToString(status.code()),
            want["code"].get<std::string>())
      << status;
  const std::string message(status.message());
  EXPECT_THAT(message, HasSubstr(folder));
  for (const json& part : want["message"]) {
    EXPECT_THAT(message, HasSubstr(part.get<std::string>()));
  }
}

TEST(IndexErrorsTest, ReadsOrRefusesEachFolderAsTheTableSays) {
  const json table = json::parse(
      ReadTestFile(absl::StrCat(kCases, "expected.json")), nullptr, false);
  EXPECT_EQ(table.size(), 18);
  for (const json& row : table) {
    const std::string name = row["case"];
    SCOPED_TRACE(absl::StrCat(name, ": ", row["what"].get<std::string>()));
    const std::string folder = absl::StrCat(kCases, name);
    const std::string path = IndexPath(folder);

    const auto index = CheckpointIndex::Read(path);
    if (row.contains("index")) {
      ASSERT_THAT(index, IsOk());
      EXPECT_EQ(index->weight_map().size(), row["index"]["entries"].get<int>());
      EXPECT_EQ(index->shards().size(), row["index"]["shards"].get<int>());
    } else if (row["refused"]["code"] == "DATA_LOSS") {
      ExpectRefused(index.status(), row["refused"], folder);
    }

    // By its folder, and by its own name.
    for (const std::string& opened : {folder, path}) {
      const auto checkpoint = OpenCheckpoint(opened);
      if (row.contains("refused")) {
        ExpectRefused(checkpoint.status(), row["refused"], folder);
        continue;
      }
      ASSERT_THAT(checkpoint, IsOk());
      EXPECT_EQ((*checkpoint)->tensors().size(), row["tensors"].get<int>());
      EXPECT_EQ((*checkpoint)->files().size(),
                row["index"]["shards"].get<int>());
    }
  }
}

TEST(IndexErrorsTest, HasARowForEachFolder) {
  const json table = json::parse(
      ReadTestFile(absl::StrCat(kCases, "expected.json")), nullptr, false);
  for (const auto& entry : std::filesystem::directory_iterator(kCases)) {
    const std::string name = entry.path().filename();
    // What path-traversal-existing reaches for.
    if (!entry.is_directory() || name == "sibling") continue;
    EXPECT_TRUE(std::any_of(table.begin(), table.end(), [&](const json& row) {
      return row["case"] == name;
    })) << name;
  }
}

}  // namespace
}  // namespace pretrained
