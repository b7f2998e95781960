// Sharded checkpoints, through OpenCheckpoint().

#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_index.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "openssl/sha.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadBytes;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::SafetensorsFileWith;
using checkpoint_testing::ViewedBytes;
using checkpoint_testing::WriteTestFile;
using ::nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Weights(const std::string& tensor) {
  return SafetensorsFileWith({{tensor, "F32", {2}, 8}});
}

using WeightMap = std::vector<std::pair<std::string, std::string>>;

// A fresh folder of two safetensors shards, s-1 with "a" and s-2 with "b", and
// `index_name` with `weight_map`.
std::string TwoShards(const std::string& name, const WeightMap& weight_map,
                      const std::string& index_name) {
  const std::string folder = MakeTestFolder(name);
  WriteTestFile(name + "/s-1.safetensors", Weights("a"));
  WriteTestFile(name + "/s-2.safetensors", Weights("b"));
  const auto index = CheckpointIndex::Create(weight_map, "");
  EXPECT_THAT(index, IsOk());
  WriteTestFile(absl::StrCat(name, "/", index_name), index->Serialize());
  return folder;
}

const WeightMap kRightMap = {{"a", "s-1.safetensors"},
                             {"b", "s-2.safetensors"}};
absl::Status AcceptAny(const std::string&, const CheckpointIndex&) {
  return absl::OkStatus();
}

constexpr char kIndex[] = "model.safetensors.index.json";

std::string Digest(absl::string_view bytes) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), 16));
}

// That `checkpoint` holds what contents.json in `folder` says of the files
// whose names end in `extension`, in file order.
void ExpectContents(const Checkpoint& checkpoint, const std::string& folder,
                    absl::string_view extension) {
  const json contents =
      json::parse(ReadTestFile(folder + "/contents.json"), nullptr, false);
  size_t next = 0;
  for (const auto& [file, tensors] : contents.items()) {  // Sorted by name.
    if (!absl::EndsWith(file, extension)) continue;
    for (const json& want : tensors) {
      SCOPED_TRACE(absl::StrCat(file, " ", want["name"].get<std::string>()));
      ASSERT_LT(next, checkpoint.tensors().size());
      const TensorInfo& tensor = checkpoint.tensors()[next++];
      EXPECT_EQ(tensor.name, want["name"].get<std::string>());
      EXPECT_TRUE(absl::EndsWith(checkpoint.files()[tensor.file].path, file));
      EXPECT_EQ(tensor.shape, want["shape"].get<std::vector<int64_t>>());
      EXPECT_EQ(Digest(ReadBytes(checkpoint, tensor)),
                want["digest"].get<std::string>());
      EXPECT_EQ(Digest(ViewedBytes(checkpoint, tensor)),
                want["digest"].get<std::string>());
    }
  }
  EXPECT_EQ(next, checkpoint.tensors().size());
  EXPECT_GT(next, 0);
}

struct SavedFolder {
  const char* folder;
  OpenCheckpointOptions options;
  const char* extension;
};

const SavedFolder kSavedFolders[] = {
    {"safetensors-sharded", {}, ".safetensors"},
    {"bin-sharded", {}, ".bin"},
    {"variant-fp16-sharded", {.variant = "fp16"}, ".safetensors"},
    {"variant-fp16-sharded",
     {.variant = "fp16", .use_safetensors = false},
     ".bin"},
    {"safetensors", {}, ".safetensors"},
    {"bin", {}, ".bin"},
    {"bin-legacy", {}, ".bin"},
    {"variant-fp16", {.variant = "fp16"}, ".safetensors"},
    {"variant-fp16", {.variant = "fp16", .use_safetensors = false}, ".bin"},
};

// Folders of three models as save_pretrained() left them, to the bit.
TEST(OpenShardedTest, ReadsWhatTransformersSaved) {
  for (const char* model :
       {"BertForMaskedLM", "GPT2LMHeadModel", "T5ForConditionalGeneration"}) {
    for (const SavedFolder& saved : kSavedFolders) {
      const std::string folder =
          absl::StrCat("testdata/formats/", model, "/", saved.folder);
      SCOPED_TRACE(absl::StrCat(folder, " ", saved.extension));
      const auto checkpoint = OpenCheckpoint(folder, saved.options);
      ASSERT_THAT(checkpoint, IsOk());
      const bool sharded = absl::EndsWith(saved.folder, "-sharded");
      EXPECT_EQ((*checkpoint)->files().size() > 1, sharded);
      ExpectContents(**checkpoint, folder, saved.extension);
    }
  }
}

TEST(OpenShardedTest, OpensAnIndexGivenByName) {
  const std::string folder = TwoShards("by-name", kRightMap, kIndex);
  // A name that no format has will do: the shards tell.
  WriteTestFile("by-name/own.index.json", ReadTestFile(folder + "/" + kIndex));
  for (const char* name : {kIndex, "own.index.json"}) {
    const auto checkpoint = OpenCheckpoint(absl::StrCat(folder, "/", name));
    ASSERT_THAT(checkpoint, IsOk());
    EXPECT_EQ((*checkpoint)->format(), "safetensors");
    ASSERT_EQ((*checkpoint)->tensors().size(), 2);
    EXPECT_EQ((*checkpoint)->files()[1].path, folder + "/s-2.safetensors");
  }
}

TEST(OpenShardedTest, GoesByTheShardsNotByTheNameOfTheIndex) {
  const std::string folder =
      TwoShards("mixed-names", kRightMap, "pytorch_model.bin.index.json");
  const auto checkpoint = OpenCheckpoint(folder);
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_EQ((*checkpoint)->format(), "safetensors");
}

TEST(OpenShardedTest, ListsTensorsThatTheIndexDoesNotName) {
  const auto checkpoint = OpenCheckpoint(TwoShards(
      "unnamed", {{"a", "s-1.safetensors"}, {"c", "s-2.safetensors"}}, kIndex));
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_THAT((*checkpoint)->Find("a"), IsOk());
  EXPECT_THAT((*checkpoint)->Find("b"), IsOk());
  // What the index names and no shard holds is missing, as in any checkpoint.
  EXPECT_THAT((*checkpoint)->Find("c"), StatusIs(absl::StatusCode::kNotFound));
}

TEST(OpenShardedTest, TellsWhatTheIndexLists) {
  const std::string folder = TwoShards("listed", kRightMap, kIndex);
  // By hand, for an order that is nobody's.
  WriteTestFile(absl::StrCat("listed/", kIndex), R"({"weight_map": {
      "z": "s-2.safetensors", "ghost": "s-1.safetensors",
      "a": "s-1.safetensors"}})");
  for (const std::string& path : {folder, absl::StrCat(folder, "/", kIndex)}) {
    const auto checkpoint = OpenCheckpoint(path);
    ASSERT_THAT(checkpoint, IsOk());
    EXPECT_THAT((*checkpoint)->index_keys(), ElementsAre("z", "ghost", "a"));
    // And of the shards all that it told without the index.
    EXPECT_EQ((*checkpoint)->format(), "safetensors");
    EXPECT_EQ((*checkpoint)->files().size(), 2);
    EXPECT_THAT((*checkpoint)->metadata(), IsEmpty());
    const auto b = (*checkpoint)->Find("b");
    ASSERT_THAT(b, IsOk());
    char row[4];
    EXPECT_THAT((*checkpoint)->ReadSlice(**b, {{1, 2}}, absl::MakeSpan(row)),
                IsOk());
    EXPECT_EQ(std::string(row, 4), ReadBytes(**checkpoint, **b).substr(4));
    EXPECT_THAT((*checkpoint)->CheckFilesUnchanged(), IsOk());
  }
}

TEST(OpenShardedTest, WithoutAnIndexThereAreNoIndexKeys) {
  const std::string folder = TwoShards("one-of-them", kRightMap, kIndex);
  const auto checkpoint = OpenCheckpoint(folder + "/s-1.safetensors");
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_THAT((*checkpoint)->index_keys(), IsEmpty());
}

TEST(OpenShardedTest, RefusesAnIndexThatContradictsTheShards) {
  const std::string folder =
      TwoShards("contradiction",
                {{"a", "s-2.safetensors"}, {"b", "s-1.safetensors"}}, kIndex);
  EXPECT_THAT(OpenCheckpoint(folder),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr(absl::StrCat(folder, "/", kIndex)),
                             HasSubstr("tensor 'a': the index puts it into "
                                       "'s-2.safetensors', but it lies in "
                                       "'s-1.safetensors'"))));
}

TEST(OpenShardedTest, RefusesATensorThatTwoShardsHold) {
  const std::string folder = TwoShards("twice", kRightMap, kIndex);
  WriteTestFile("twice/s-2.safetensors", Weights("a"));
  EXPECT_THAT(OpenCheckpoint(folder),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("is also in")));
}

TEST(OpenShardedTest, SaysWhichShardsAreMissingAndWhatTheyHold) {
  const std::string folder = TwoShards("missing", kRightMap, kIndex);
  const std::string second = folder + "/s-2.safetensors";
  ASSERT_EQ(unlink(second.c_str()), 0);
  EXPECT_THAT(OpenCheckpoint(folder),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("shard 's-2.safetensors' is not beside it, "
                                 "but holds 1 of 2 tensors; download it")));
  ASSERT_EQ(symlink("../blobs/absent", second.c_str()), 0);
  EXPECT_THAT(OpenCheckpoint(folder),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("symbolic link to a file that is not there")));
  ASSERT_EQ(unlink((folder + "/s-1.safetensors").c_str()), 0);
  EXPECT_THAT(OpenCheckpoint(folder),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("'s-1.safetensors' is not beside it"),
                             HasSubstr("1 more of 2 shards"),
                             HasSubstr("download them"))));
}

// As huggingface_hub lays it out: names are links out of the folder.
TEST(OpenShardedTest, FollowsTheLinksOfTheHubsCache) {
  MakeTestFolder("cache");
  MakeTestFolder("cache/blobs");
  MakeTestFolder("cache/snapshots");
  const std::string folder =
      TwoShards("cache/snapshots/main", kRightMap, kIndex);
  for (const char* name : {"s-1.safetensors", "s-2.safetensors", kIndex}) {
    const std::string path = absl::StrCat(folder, "/", name);
    const std::string blob = absl::StrCat(folder, "/../../blobs/x", name);
    std::filesystem::rename(path, blob);
    std::filesystem::create_symlink(absl::StrCat("../../blobs/x", name), path);
  }
  const auto checkpoint = OpenCheckpoint(folder);
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_EQ((*checkpoint)->tensors().size(), 2);
  for (const char* name : {"s-1.safetensors", "s-2.safetensors", kIndex}) {
    unlink(absl::StrCat(folder, "/", name).c_str());
  }
}

TEST(OpenShardedTest, OpensShardsInSubfolders) {
  const std::string folder = TwoShards(
      "nested", {{"a", "deep/s-1.safetensors"}, {"b", "s-2.safetensors"}},
      kIndex);
  MakeTestFolder("nested/deep");
  std::filesystem::rename(folder + "/s-1.safetensors",
                          folder + "/deep/s-1.safetensors");
  const auto checkpoint = OpenCheckpoint(folder);
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_THAT((*checkpoint)->Find("a"), IsOk());
}

TEST(OpenShardedTest, LeavesAsideAWrongTotalSize) {
  const std::string folder = TwoShards("size", kRightMap, kIndex);
  const auto index =
      CheckpointIndex::Create(kRightMap, R"({"total_size": -7.5})");
  ASSERT_THAT(index, IsOk());
  WriteTestFile(absl::StrCat("size/", kIndex), index->Serialize());
  EXPECT_THAT(OpenCheckpoint(folder), IsOk());
}

TEST(OpenShardedTest, ShowsTheIndexBeforeAnyShardIsOpened) {
  const std::string folder = TwoShards("shown", kRightMap, kIndex);
  WriteTestFile("shown/s-1.safetensors", "not a shard");
  const auto refuse = [&](const std::string& path,
                          const CheckpointIndex& index) {
    EXPECT_EQ(path, absl::StrCat(folder, "/", kIndex));
    EXPECT_EQ(index.weight_map().size(), 2);
    return absl::InvalidArgumentError("not mine");
  };
  EXPECT_THAT(OpenShardedCheckpoint(folder, /*prefer_safe=*/true, refuse),
              StatusIs(absl::StatusCode::kInvalidArgument, "not mine"));
  EXPECT_THAT(
      OpenShardedCheckpoint(folder, true, &AcceptAny),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("s-1.safetensors")));
}

// The folder changes between index and shards: what was shown does not count.
TEST(OpenShardedTest, ShowsTheIndexAgainAfterTheFolderChanged) {
  const std::string folder = TwoShards("shown-again", kRightMap, kIndex);
  std::vector<size_t> shown;
  const auto checkpoint = OpenShardedCheckpoint(
      folder, /*prefer_safe=*/true,
      [&](const std::string&, const CheckpointIndex& index) -> absl::Status {
        shown.push_back(index.weight_map().size());
        if (shown.size() > 1) return absl::OkStatus();
        WriteTestFile("shown-again/s-3.safetensors", Weights("c"));
        WriteTestFile(absl::StrCat("shown-again/", kIndex),
                      R"({"weight_map": {"c": "s-3.safetensors"}})");
        return absl::InvalidArgumentError("of the old index");
      });
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_THAT(shown, ElementsAre(2, 1));
  EXPECT_THAT((*checkpoint)->index_keys(), ElementsAre("c"));
  EXPECT_EQ((*checkpoint)->tensors().size(), 1);
}

TEST(OpenShardedTest, OpensByIndexAloneAndTheOnePreferred) {
  const std::string folder =
      TwoShards("two-indexes", {{"a", "s-1.safetensors"}}, kIndex);
  WriteTestFile("two-indexes/pytorch_model.bin.index.json",
                R"({"weight_map": {"b": "s-2.safetensors"}})");
  WriteTestFile("two-indexes/model.safetensors", Weights("single"));
  for (const bool prefer_safe : {true, false}) {
    const auto checkpoint =
        OpenShardedCheckpoint(folder, prefer_safe, &AcceptAny);
    ASSERT_THAT(checkpoint, IsOk());
    EXPECT_THAT((*checkpoint)->index_keys(),
                ElementsAre(prefer_safe ? "a" : "b"));
  }
  const std::string no_index = MakeTestFolder("no-index");
  const std::string single =
      WriteTestFile("no-index/model.safetensors", Weights("single"));
  EXPECT_THAT(
      OpenShardedCheckpoint(no_index, true, &AcceptAny),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("no index of shards")));
  EXPECT_THAT(OpenShardedCheckpoint(single, true, &AcceptAny),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("model.safetensors: is not a folder")));
  EXPECT_THAT(OpenShardedCheckpoint("no/such/folder", true, &AcceptAny),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("no/such/folder: there is no such folder")));
}

TEST(OpenShardedTest, SaysWhenShardsAreOfAFormatItDoesNotRead) {
  const std::string folder = MakeTestFolder("h5 shards");
  WriteTestFile("h5 shards/tf_model-1.h5", "\x89HDF\r\n\x1a\n");
  const auto index = CheckpointIndex::Create({{"a", "tf_model-1.h5"}}, "");
  ASSERT_THAT(index, IsOk());
  WriteTestFile("h5 shards/own.index.json", index->Serialize());
  EXPECT_THAT(OpenCheckpoint(folder + "/own.index.json"),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("looks like a Keras HDF5 file")));
}

}  // namespace
}  // namespace pretrained
