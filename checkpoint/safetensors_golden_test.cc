// Files that the Python package `safetensors` wrote, and broken ones made from
// them, held to what that package reads. testdata/README.md tells which.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_checkpoint.h"
#include "checkpoint/safetensors_reader.h"
#include "checkpoint/safetensors_testutil.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "openssl/sha.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using checkpoint_testing::ReadBytes;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::ViewedBytes;
using checkpoint_testing::WriteTestFile;
using ::nlohmann::json;
using ::testing::HasSubstr;

constexpr absl::string_view kTestdata = "checkpoint/testdata/";

json ReadJson(absl::string_view name) {
  const json value = json::parse(ReadTestFile(absl::StrCat(kTestdata, name)),
                                 nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(value.is_discarded()) << name;
  return value;
}

// The first 32 hexadecimal digits of the SHA-256.
std::string Digest(absl::string_view bytes) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), 16));
}

// That `checkpoint` has exactly the tensors of `want`, {name: {dtype, shape,
// digest}}, by either way of reading.
void ExpectTensors(const Checkpoint& checkpoint, const json& want) {
  EXPECT_EQ(checkpoint.tensors().size(), want.size());
  for (const auto& [name, entry] : want.items()) {
    SCOPED_TRACE(name);
    const absl::StatusOr<const TensorInfo*> tensor = checkpoint.Find(name);
    ASSERT_THAT(tensor, IsOk());
    EXPECT_EQ(DtypeName((*tensor)->dtype), entry["dtype"].get<std::string>());
    EXPECT_EQ((*tensor)->shape, entry["shape"].get<std::vector<int64_t>>());
    EXPECT_EQ(Digest(ReadBytes(checkpoint, **tensor)),
              entry["digest"].get<std::string>());
    EXPECT_EQ(Digest(ViewedBytes(checkpoint, **tensor)),
              entry["digest"].get<std::string>());
  }
}

TEST(SafetensorsGoldenTest, ReadsOrRefusesEachFileAsTheTableSays) {
  const json table = ReadJson("errors/expected.json");
  EXPECT_EQ(table.size(), 65);
  for (const json& row : table) {
    const std::string file = row["file"];
    SCOPED_TRACE(absl::StrCat(file, ": ", row["what"].get<std::string>()));
    const auto checkpoint =
        SafetensorsCheckpoint::Open({absl::StrCat(kTestdata, "errors/", file)});
    if (row.contains("tensors")) {
      ASSERT_THAT(checkpoint, IsOk());
      ExpectTensors(**checkpoint, row["tensors"]);
      continue;
    }
    const absl::Status status = checkpoint.status();
    EXPECT_EQ(absl::StatusCodeToString(status.code()),
              row["refused"]["code"].get<std::string>())
        << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(file));
    for (const json& part : row["refused"]["message"]) {
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr(part.get<std::string>()));
    }
  }
}

// Random bytes changed, random lengths: read exactly when the peer reads it.
TEST(SafetensorsGoldenTest, AgreesWithThePeerOnEditedFiles) {
  const json table = ReadJson("edits.json");
  EXPECT_EQ(table.size(), 100);
  for (const json& row : table) {
    SCOPED_TRACE(row.dump());
    std::string content = ReadTestFile(
        absl::StrCat(kTestdata, "errors/", row["base"].get<std::string>()));
    for (const json& edit : row["edits"]) {
      content[edit[0].get<size_t>()] = static_cast<char>(edit[1].get<int>());
    }
    content.resize(row["length"].get<size_t>());
    const auto checkpoint = SafetensorsCheckpoint::Open(
        {WriteTestFile("edited.safetensors", content)});
    if (row["tensors"].is_null()) {
      EXPECT_FALSE(checkpoint.ok());
    } else {
      ASSERT_THAT(checkpoint, IsOk());
      ExpectTensors(**checkpoint, row["tensors"]);
    }
  }
}

TEST(SafetensorsGoldenTest, ReadsEveryDtypeTorchWrites) {
  const json contents = ReadJson("containers/contents.json");
  EXPECT_EQ(contents.size(), 2);
  for (const auto& [file, tensors] : contents.items()) {
    SCOPED_TRACE(file);
    const auto checkpoint = SafetensorsCheckpoint::Open(
        {absl::StrCat(kTestdata, "containers/", file)});
    ASSERT_THAT(checkpoint, IsOk());
    json want = json::object();
    for (const json& tensor : tensors) want[tensor["name"]] = tensor;
    ExpectTensors(**checkpoint, want);
  }
}

// A good file with one byte changed, or cut: refused or read, never worse.
TEST(SafetensorsGoldenTest, SurvivesEverySingleByteChange) {
  const std::string good =
      ReadTestFile(absl::StrCat(kTestdata, "errors/good.safetensors"));
  for (size_t i = 0; i < good.size(); ++i) {
    std::string content = good;
    for (int value = 0; value < 256; ++value) {
      content[i] = static_cast<char>(value);
      SafetensorsReader::Parse(content, static_cast<int64_t>(content.size()),
                               "edited")
          .status()
          .IgnoreError();
    }
  }
}

}  // namespace
}  // namespace pretrained
