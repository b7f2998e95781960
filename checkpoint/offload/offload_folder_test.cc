#include "checkpoint/offload/offload_folder.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/offload/offload_index.h"
#include "checkpoint/offload/offload_writer.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/tensor_source.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "openssl/sha.h"

namespace pretrained {
namespace {

namespace fs = std::filesystem;
using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::CopyTestFolder;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadBytes;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::SafetensorsFileWith;
using checkpoint_testing::ViewedBytes;
using checkpoint_testing::WriteTestFile;
using ::testing::HasSubstr;

constexpr char kFunctions[] = "testdata/offload/functions";

std::string DigestOf(const std::string& bytes) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<char*>(digest), 16));
}

std::vector<std::string> FilesIn(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    names.push_back(entry.path().lexically_relative(folder));
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(OffloadFolderTest, ReadsWhatAccelerateWroteOfEachDtype) {
  auto folder = OffloadFolder::Open(kFunctions);
  ASSERT_THAT(folder, IsOk());
  const auto contents = nlohmann::json::parse(
      ReadTestFile(absl::StrCat(kFunctions, "/contents.json")));
  const auto& want = contents.at("loaded_back");
  ASSERT_EQ((*folder)->tensors().size(), want.size());
  for (const TensorInfo& tensor : (*folder)->tensors()) {
    SCOPED_TRACE(tensor.name);
    const auto& golden = want.at(tensor.name);
    EXPECT_EQ(DtypeName(tensor.dtype), golden.at("dtype"));
    EXPECT_EQ(tensor.shape, golden.at("shape").get<std::vector<int64_t>>());
    EXPECT_EQ(DigestOf(ViewedBytes(**folder, tensor)), golden.at("digest"));
    EXPECT_EQ(DigestOf(ReadBytes(**folder, tensor)), golden.at("digest"));
  }
  EXPECT_THAT((*folder)->CheckFilesUnchanged(), IsOk());
  EXPECT_THAT((*folder)->Find("flaot32"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("float32")));
}

// Index and files are the same to the byte: names, int16 for bfloat16, scalars.
TEST(OffloadFolderTest, WritesWhatAccelerateWrites) {
  for (const std::string source :
       {kFunctions, "testdata/offload/bin/offload_folder",
        "testdata/offload/bin-bf16/offload_folder",
        "testdata/offload/bin-sharded/offload_folder"}) {
    SCOPED_TRACE(source);
    auto folder = OffloadFolder::Open(source);
    ASSERT_THAT(folder, IsOk());
    const std::string to =
        absl::StrCat(MakeTestFolder("offload written"), "/new/folder");
    fs::remove_all(to);
    absl::StatusOr<OffloadWriter> writer = OffloadWriter::Begin(to);
    ASSERT_THAT(writer, IsOk());
    for (const TensorInfo& tensor : (*folder)->tensors()) {
      ASSERT_THAT(
          writer->Add(TensorFromCheckpoint(**folder, tensor, tensor.dtype)),
          IsOk());
    }
    EXPECT_FALSE(fs::exists(to));
    ASSERT_THAT(writer->Commit(), IsOk());
    for (const std::string& name : FilesIn(source)) {
      if (name == "contents.json") continue;
      EXPECT_EQ(ReadTestFile(absl::StrCat(to, "/", name)),
                ReadTestFile(absl::StrCat(source, "/", name)))
          << name;
    }
  }
}

TEST(OffloadFolderTest, KeepsTheOtherWeightsOfTheFolder) {
  const std::string folder = CopyTestFolder("offload kept", kFunctions);
  const std::vector<std::string> before = FilesIn(folder);
  absl::StatusOr<OffloadWriter> writer = OffloadWriter::Begin(folder);
  ASSERT_THAT(writer, IsOk());
  const int8_t bytes[] = {1, 2};
  ASSERT_THAT(writer->Add({"new", Dtype::kInt8, {2}, bytes}), IsOk());
  ASSERT_THAT(writer->Add({"int64", Dtype::kInt8, {1}, bytes}), IsOk());
  EXPECT_THAT(writer->Add({"new", Dtype::kInt8, {2}, bytes}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'new'")));
  ASSERT_THAT(writer->Commit(), IsOk());
  auto read = OffloadFolder::Open(folder);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ((*read)->tensors().size(), 9u);
  EXPECT_EQ((*(*read)->Find("int64"))->dtype, Dtype::kInt8);
  EXPECT_EQ(ReadBytes(**read, **(*read)->Find("new")), "\x01\x02");
  EXPECT_EQ(FilesIn(folder).size(), before.size() + 1);
}

TEST(OffloadFolderTest, FollowsEntriesIntoSafetensorsFiles) {
  const std::string file = WriteTestFile(
      "m.safetensors", SafetensorsFileWith({{"x.a", "F16", {2, 3}, 12},
                                            {"x.b", "F16", {4}, 8}}));
  const std::string folder = MakeTestFolder("offload points");
  absl::StatusOr<OffloadWriter> writer = OffloadWriter::Begin(folder);
  ASSERT_THAT(writer, IsOk());
  ASSERT_THAT(writer->AddSafetensors({"a", std::nullopt, {}, file, "x.a"}),
              IsOk());
  ASSERT_THAT(writer->AddSafetensors({"b", Dtype::kFloat32, {}, file, "x.b"}),
              IsOk());
  EXPECT_THAT(writer->AddSafetensors({"c", Dtype::kFloat32, {4}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  ASSERT_THAT(writer->Commit(), IsOk());
  EXPECT_EQ(FilesIn(folder), std::vector<std::string>{"index.json"});

  auto read = OffloadFolder::Open(folder);
  ASSERT_THAT(read, IsOk());
  auto source = OpenCheckpoint(file);
  ASSERT_THAT(source, IsOk());
  const TensorInfo& a = **(*read)->Find("a");
  EXPECT_TRUE(a.in_place);
  EXPECT_EQ(ViewedBytes(**read, a),
            ReadBytes(**source, **(*source)->Find("x.a")));
  const TensorInfo& b = **(*read)->Find("b");
  EXPECT_EQ(b.dtype, Dtype::kFloat32);
  const TensorToWrite converted =
      TensorFromCheckpoint(**source, **(*source)->Find("x.b"), Dtype::kFloat32);
  std::string want;
  ASSERT_THAT(ProduceBytes(converted,
                           [&](absl::string_view piece) {
                             want += piece;
                             return absl::OkStatus();
                           }),
              IsOk());
  EXPECT_EQ(ViewedBytes(**read, b), want);
  std::string half(8, '\0');
  ASSERT_THAT((*read)->ReadSlice(b, {{1, 3}}, absl::MakeSpan(half)), IsOk());
  EXPECT_EQ(half, want.substr(4, 8));
}

TEST(OffloadFolderTest, RefusesFilesThatAreNotWhatTheIndexSays) {
  EXPECT_THAT(OffloadFolder::Open("testdata/offload/none"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("index.json")));
  const std::string folder = CopyTestFolder("offload damaged", kFunctions);
  auto open = OffloadFolder::Open(folder);
  ASSERT_THAT(open, IsOk());
  const std::string path = folder + "/int64.dat";
  fs::resize_file(path, 40);
  EXPECT_THAT(
      OffloadFolder::Open(folder),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("has 40 bytes, but")));
  EXPECT_THAT((*open)->View(**(*open)->Find("int64")),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT((*open)->CheckFilesUnchanged(),
              StatusIs(absl::StatusCode::kDataLoss));
  fs::remove(path);
  EXPECT_THAT(OffloadFolder::Open(folder),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("int64.dat")));
}

TEST(OffloadWriterTest, LeavesNothingWhereItCannotWrite) {
  const std::string parent = MakeTestFolder("offload full");
  const std::string folder = parent + "/folder";
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small = {1000, before.rlim_max};
  const std::string bytes(4000, 'x');
  {
    absl::StatusOr<OffloadWriter> writer = OffloadWriter::Begin(folder);
    ASSERT_THAT(writer, IsOk());
    ASSERT_THAT(writer->Add({"a", Dtype::kInt8, {500}, bytes.data()}), IsOk());
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    EXPECT_FALSE(writer->Add({"b", Dtype::kInt8, {4000}, bytes.data()}).ok());
    setrlimit(RLIMIT_FSIZE, &before);
  }
  EXPECT_THAT(FilesIn(parent), ::testing::IsEmpty());

  std::ofstream(folder) << "a file";
  EXPECT_THAT(OffloadWriter::Begin(folder),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(folder)));
  EXPECT_THAT(OffloadWriter::Begin(""),
              StatusIs(absl::StatusCode::kInvalidArgument));
  fs::remove(folder);
  fs::create_directory(folder);
  std::ofstream(folder + "/index.json") << "{";
  EXPECT_THAT(OffloadWriter::Begin(folder),
              StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace pretrained
