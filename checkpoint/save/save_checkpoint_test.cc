#include "checkpoint/save/save_checkpoint.h"

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_index.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/save/save_testutil.h"
#include "checkpoint/tensor_source.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

namespace fs = std::filesystem;
using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::Content;
using checkpoint_testing::Leftovers;
using checkpoint_testing::MakeMemoryFolder;
using checkpoint_testing::PutFile;
using checkpoint_testing::ReadBytes;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::ViewedBytes;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using Files = std::map<std::string, std::string>;

constexpr int64_t kElements = 256;  // 1 KiB each.

const std::vector<float>& Values(int i) {
  static auto* const values = new std::map<int, std::vector<float>>;
  std::vector<float>& vector = (*values)[i];
  if (vector.empty()) {
    for (int64_t k = 0; k < kElements; ++k) vector.push_back(i + k / 1024.0f);
  }
  return vector;
}

std::string BytesOf(const std::vector<float>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()),
                     values.size() * sizeof(float));
}

// t0 .. t4, their values those of Values(first) and on.
std::vector<TensorToWrite> FiveTensors(int first = 0) {
  std::vector<TensorToWrite> tensors;
  for (int i = 0; i < 5; ++i) {
    tensors.push_back({.name = absl::StrCat("t", i),
                       .dtype = Dtype::kFloat32,
                       .shape = {kElements},
                       .data = Values(first + i).data()});
  }
  return tensors;
}

// What `folder` holds, by OpenCheckpoint().
Files TensorsIn(const std::string& folder,
                const OpenCheckpointOptions& options = {}) {
  Files tensors;
  const auto checkpoint = OpenCheckpoint(folder, options);
  EXPECT_THAT(checkpoint, IsOk());
  if (!checkpoint.ok()) return tensors;
  for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
    tensors[tensor.name] = ReadBytes(**checkpoint, tensor);
  }
  return tensors;
}

Files FiveTensorsBytes(int first = 0) {
  Files bytes;
  for (int i = 0; i < 5; ++i) {
    bytes[absl::StrCat("t", i)] = BytesOf(Values(first + i));
  }
  return bytes;
}

std::vector<std::string> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& [name, text] : Content(folder)) names.push_back(name);
  return names;
}

class SaveFormatTest : public ::testing::TestWithParam<std::string> {
 protected:
  bool IsSafetensors() const { return GetParam() == "safetensors"; }
  std::string Stem() const {
    return IsSafetensors() ? "model" : "pytorch_model";
  }
  std::string Extension() const {
    return IsSafetensors() ? ".safetensors" : ".bin";
  }
};

TEST_P(SaveFormatTest, SavesOneFile) {
  const std::string folder = MakeMemoryFolder() + "/new";
  const absl::StatusOr<SavedCheckpoint> saved =
      SaveCheckpoint(folder, FiveTensors(), {.format = GetParam()});
  ASSERT_THAT(saved, IsOk());
  EXPECT_THAT(saved->files, ElementsAre(Stem() + Extension()));
  EXPECT_EQ(saved->tensors, 5);
  EXPECT_EQ(saved->bytes, 5 * 1024);
  EXPECT_EQ(NamesIn(folder), saved->files);
  const auto checkpoint = OpenCheckpoint(folder);
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_EQ((*checkpoint)->format(), GetParam());
  EXPECT_EQ(TensorsIn(folder), FiveTensorsBytes());
}

TEST_P(SaveFormatTest, SavesShardsAndTheirIndex) {
  const std::string folder = MakeMemoryFolder() + "/new";
  const absl::StatusOr<SavedCheckpoint> saved =
      SaveCheckpoint(folder, FiveTensors(),
                     {.format = GetParam(),
                      .max_shard_bytes = 2048,
                      .variant = "fp16",
                      .other_files = {{"config.json", "{}"}}});
  ASSERT_THAT(saved, IsOk());
  const std::string stem = Stem() + ".fp16";
  EXPECT_THAT(
      saved->files,
      ElementsAre(stem + "-00001-of-00003" + Extension(),
                  stem + "-00002-of-00003" + Extension(),
                  stem + "-00003-of-00003" + Extension(),
                  Stem() + Extension() + ".index.fp16.json", "config.json"));
  EXPECT_EQ(Content(folder).size(), 5u);
  EXPECT_EQ(ReadTestFile(folder + "/config.json"), "{}");
  const auto index = CheckpointIndex::Read(folder + "/" + saved->files[3]);
  ASSERT_THAT(index, IsOk());
  EXPECT_EQ(index->metadata_json(), "{\"total_size\": 5120}");
  EXPECT_EQ(TensorsIn(folder, {.variant = "fp16"}), FiveTensorsBytes());
}

TEST_P(SaveFormatTest, StoresAliasesOnce) {
  for (const int64_t max_shard_bytes : {int64_t{2048}, kDefaultMaxShardBytes}) {
    const std::string folder = MakeMemoryFolder() + "/new";
    std::vector<TensorToWrite> tensors = FiveTensors();
    tensors[4].alias_of = 1;
    tensors[4].data = nullptr;
    const absl::StatusOr<SavedCheckpoint> saved = SaveCheckpoint(
        folder, tensors,
        {.format = GetParam(), .max_shard_bytes = max_shard_bytes});
    ASSERT_THAT(saved, IsOk());
    EXPECT_EQ(saved->bytes, 4 * 1024);
    Files expected = FiveTensorsBytes();
    expected["t4"] = expected["t1"];
    if (IsSafetensors()) {
      expected.erase("t4");
      EXPECT_EQ(saved->tensors, 4);
      EXPECT_THAT(saved->dropped_aliases, ElementsAre("t4"));
    } else {
      EXPECT_EQ(saved->tensors, 5);
      EXPECT_THAT(saved->dropped_aliases, IsEmpty());
      const auto checkpoint = OpenCheckpoint(folder);
      ASSERT_THAT(checkpoint, IsOk());
      const TensorInfo& first = **(*checkpoint)->Find("t1");
      const TensorInfo& alias = **(*checkpoint)->Find("t4");
      EXPECT_EQ(first.file, alias.file);
      EXPECT_GE(first.storage, 0);
      EXPECT_EQ(first.storage, alias.storage);
    }
    EXPECT_EQ(TensorsIn(folder), expected);
  }
}

// Of every kind of checkpoint over every other.
TEST_P(SaveFormatTest, RemovesWhatTheEarlierSaveLeaves) {
  const std::string base = MakeMemoryFolder();
  const std::vector<int64_t> sizes = {1024, 2048, 3072, kDefaultMaxShardBytes};
  for (const int64_t before : sizes) {
    for (const int64_t after : sizes) {
      SCOPED_TRACE(absl::StrCat(before, " to ", after));
      const std::string folder = absl::StrCat(base, "/", before, "-", after);
      fs::create_directories(folder + "/sub");
      // Of other formats, variants, and nobody's.
      const Files others = {
          {"sub", "/"},
          {"tf_model.h5", "x"},
          {Stem() + ".fp16" + Extension(), "x"},
          {Stem() + ".fp16-00001-of-00001" + Extension(), "x"},
          {Stem() + "-00001-of-00009" + Extension() + ".bak", "x"},
          {Stem() + "-00009-of-00009" + Extension(), "listed nowhere"},
          {"sub/" + Stem() + Extension(), "x"}};
      for (const auto& [name, text] : others) {
        if (text != "/") PutFile(folder + "/" + name, text);
      }
      ASSERT_THAT(
          SaveCheckpoint(folder, FiveTensors(),
                         {.format = GetParam(), .max_shard_bytes = before}),
          IsOk());
      const absl::StatusOr<SavedCheckpoint> saved =
          SaveCheckpoint(folder, FiveTensors(10),
                         {.format = GetParam(), .max_shard_bytes = after});
      ASSERT_THAT(saved, IsOk());
      EXPECT_EQ(TensorsIn(folder), FiveTensorsBytes(10));
      Files content = Content(folder);
      for (const std::string& name : saved->files) {
        EXPECT_EQ(content.erase(name), 1u) << name;
      }
      EXPECT_EQ(content, others);
      EXPECT_THAT(Leftovers(folder), IsEmpty());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, SaveFormatTest,
                         ::testing::Values("safetensors", "torch",
                                           "torch_legacy"),
                         [](const auto& info) { return info.param; });

// An index that somebody wrote to have other files removed.
TEST(SaveCheckpointTest, RemovesNoFileThatASaveDoesNotName) {
  const std::string base = MakeMemoryFolder();
  const std::string folder = base + "/model";
  fs::create_directory(folder);
  const std::vector<std::string> names = {
      "config.json",
      "optimizer.safetensors",
      "model-1-of-2.safetensors",
      "model-00001-of-00002.bin",
      "model-00001-of-00002.safetensors.txt",
      "xmodel-00001-of-00002.safetensors",
      "model.fp16-00001-of-00002.safetensors"};
  std::string map;
  for (const std::string& name : names) {
    PutFile(folder + "/" + name, "x");
    absl::StrAppend(&map, "\"", name, "\": \"", name, "\", ");
  }
  PutFile(folder + "/model-00007-of-00007.safetensors", "stale");
  PutFile(folder + "/model.safetensors.index.json",
          absl::StrCat("{\"weight_map\": {", map,
                       "\"w\": \"model-00007-of-00007.safetensors\"}}"));
  ASSERT_THAT(SaveCheckpoint(folder, FiveTensors()), IsOk());
  const std::vector<std::string> left = NamesIn(folder);
  EXPECT_EQ(left.size(), names.size() + 1);
  for (const std::string& name : names) EXPECT_THAT(left, Contains(name));
}

TEST(SaveCheckpointTest, ReplacesAnIndexThatCannotBeRead) {
  const std::string folder = MakeMemoryFolder();
  PutFile(folder + "/model.safetensors.index.json",
          R"({"weight_map": {"w": "../../precious"}})");
  ASSERT_THAT(SaveCheckpoint(folder, FiveTensors()), IsOk());
  EXPECT_THAT(NamesIn(folder), ElementsAre("model.safetensors"));
}

// The tensors come, while they are written, from the files that go.
TEST(SaveCheckpointTest, ConvertsInPlace) {
  const std::string folder = MakeMemoryFolder() + "/model";
  ASSERT_THAT(SaveCheckpoint(folder, FiveTensors(), {.max_shard_bytes = 2048}),
              IsOk());
  for (const int64_t max_shard_bytes :
       {int64_t{2048}, int64_t{1024}, kDefaultMaxShardBytes, int64_t{3072}}) {
    for (const std::string format : {"safetensors", "torch", "torch_legacy"}) {
      SCOPED_TRACE(absl::StrCat(max_shard_bytes, " ", format));
      for (const bool use_mmap : {true, false}) {
        const absl::StatusOr<std::unique_ptr<Checkpoint>> source =
            OpenCheckpoint(folder, {.use_mmap = use_mmap});
        ASSERT_THAT(source, IsOk());
        std::vector<TensorToWrite> tensors;
        Files viewed;
        for (const TensorInfo& tensor : (*source)->tensors()) {
          tensors.push_back(
              TensorFromCheckpoint(**source, tensor, tensor.dtype));
        }
        ASSERT_THAT(SaveCheckpoint(
                        folder, std::move(tensors),
                        {.format = format, .max_shard_bytes = max_shard_bytes}),
                    IsOk());
        EXPECT_EQ(TensorsIn(folder), FiveTensorsBytes());
        // What was mapped before is as it was.
        for (const TensorInfo& tensor : (*source)->tensors()) {
          viewed[tensor.name] = ViewedBytes(**source, tensor);
        }
        EXPECT_EQ(viewed, FiveTensorsBytes());
        EXPECT_THAT((*source)->CheckFilesUnchanged(), IsOk());
      }
    }
  }
}

TEST(SaveCheckpointTest, ChangesNothingWhenATensorCannotBeProduced) {
  const std::string folder = MakeMemoryFolder() + "/model";
  ASSERT_THAT(SaveCheckpoint(folder, FiveTensors(), {.max_shard_bytes = 2048}),
              IsOk());
  const Files before = Content(folder);
  std::vector<TensorToWrite> tensors = FiveTensors(10);
  tensors[4].data = nullptr;
  tensors[4].produce = [](TensorSink) {
    return absl::AbortedError("no more today");
  };
  EXPECT_THAT(SaveCheckpoint(folder, tensors, {.max_shard_bytes = 2048}),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("no more today")));
  EXPECT_EQ(Content(folder), before);
  EXPECT_THAT(Leftovers(folder), IsEmpty());
}

// A limit on the size of files stands in for a full disk.
TEST(SaveCheckpointTest, NamesTheFileThatDoesNotFitAndChangesNothing) {
  const std::string folder = MakeMemoryFolder() + "/model";
  ASSERT_THAT(SaveCheckpoint(folder, FiveTensors(), {.max_shard_bytes = 2048}),
              IsOk());
  const Files before = Content(folder);
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit_before{};
  getrlimit(RLIMIT_FSIZE, &limit_before);
  const rlimit small{.rlim_cur = 4000, .rlim_max = limit_before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = SaveCheckpoint(folder, FiveTensors(10)).status();
  setrlimit(RLIMIT_FSIZE, &limit_before);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), AllOf(HasSubstr(folder + "/model.safetensors"),
                                      Not(HasSubstr("saving"))));
  EXPECT_EQ(Content(folder), before);
  EXPECT_THAT(Leftovers(folder), IsEmpty());
}

// Any number of writers gives the same files; a disk that is full ends them
// all.
TEST(SaveCheckpointTest, SeveralWritersWriteTheSame) {
  for (const std::string format : {"safetensors", "torch", "torch_legacy"}) {
    const std::string one = MakeMemoryFolder() + "/one";
    const std::string many = MakeMemoryFolder() + "/many";
    SaveCheckpointOptions options = {.format = format, .max_shard_bytes = 1024};
    ASSERT_THAT(SaveCheckpoint(one, FiveTensors(), options), IsOk());
    options.num_writers = 4;
    ASSERT_THAT(SaveCheckpoint(many, FiveTensors(), options), IsOk());
    EXPECT_EQ(Content(many), Content(one));
  }
}

TEST(SaveCheckpointTest, SeveralWritersEndTogetherWhereOneFails) {
  const std::string folder = MakeMemoryFolder() + "/model";
  ASSERT_THAT(SaveCheckpoint(folder, FiveTensors()), IsOk());
  const Files before = Content(folder);
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit_before{};
  getrlimit(RLIMIT_FSIZE, &limit_before);
  const rlimit small{.rlim_cur = 1000, .rlim_max = limit_before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status =
      SaveCheckpoint(folder, FiveTensors(10),
                     {.max_shard_bytes = 1024, .num_writers = 4})
          .status();
  setrlimit(RLIMIT_FSIZE, &limit_before);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted,
                               AllOf(HasSubstr(folder + "/model-0000"),
                                     Not(HasSubstr("saving")))));
  EXPECT_EQ(Content(folder), before);
  EXPECT_THAT(Leftovers(folder), IsEmpty());
}

TEST(SaveCheckpointTest, TellsHowFarItIs) {
  for (const std::string format : {"safetensors", "torch", "torch_legacy"}) {
    std::vector<TensorToWrite> tensors = FiveTensors();
    // Large enough for several reports.
    const std::vector<float> large(5'000'000, 1.0f);
    tensors.push_back(
        {.name = "large", .shape = {5'000'000}, .data = large.data()});
    tensors.push_back({.name = "alias", .shape = {kElements}, .alias_of = 0});
    tensors.push_back({.name = "empty", .shape = {0}});
    std::vector<int64_t> reports;
    const absl::StatusOr<SavedCheckpoint> saved = SaveCheckpoint(
        MakeMemoryFolder(), tensors,
        {.format = format, .progress = [&](int64_t done, int64_t total) {
           EXPECT_EQ(total, 5 * 1024 + 20'000'000);
           reports.push_back(done);
         }});
    ASSERT_THAT(saved, IsOk());
    EXPECT_EQ(saved->bytes, 5 * 1024 + 20'000'000);
    ASSERT_GT(reports.size(), 8u);
    EXPECT_TRUE(std::is_sorted(reports.begin(), reports.end()));
    EXPECT_EQ(reports.back(), saved->bytes);
  }
}

TEST(SaveCheckpointTest, WritesTheMetadata) {
  const std::string base = MakeMemoryFolder();
  using Metadata = std::vector<std::pair<std::string, std::string>>;
  const auto metadata_in = [](const std::string& folder) {
    const auto checkpoint = OpenCheckpoint(folder);
    EXPECT_THAT(checkpoint, IsOk());
    const auto stored = (*checkpoint)->metadata();
    return std::set<std::pair<std::string, std::string>>(stored.begin(),
                                                         stored.end());
  };
  ASSERT_THAT(SaveCheckpoint(base + "/a", FiveTensors()), IsOk());
  EXPECT_THAT(metadata_in(base + "/a"),
              UnorderedElementsAre(std::pair("format", "pt")));
  ASSERT_THAT(SaveCheckpoint(base + "/b", FiveTensors(),
                             {.metadata = Metadata{{"step", "3"}}}),
              IsOk());
  EXPECT_THAT(
      metadata_in(base + "/b"),
      UnorderedElementsAre(std::pair("format", "pt"), std::pair("step", "3")));
  ASSERT_THAT(SaveCheckpoint(base + "/c", FiveTensors(),
                             {.metadata = Metadata{{"format", "np"}}}),
              IsOk());
  EXPECT_THAT(metadata_in(base + "/c"),
              UnorderedElementsAre(std::pair("format", "np")));
}

TEST(SaveCheckpointTest, RefusesNamesBeforeItWrites) {
  const std::string folder = MakeMemoryFolder() + "/new";
  const auto refused = [&](const SaveCheckpointOptions& options,
                           const char* message) {
    EXPECT_THAT(
        SaveCheckpoint(folder, FiveTensors(), options),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
    EXPECT_FALSE(fs::exists(folder));
  };
  refused({.format = "gguf"}, "format 'gguf'");
  refused({.variant = "a/b"}, "variant 'a/b'");
  refused({.variant = std::string("a\0b", 3)}, "variant");
  refused({.other_files = {{"a", ""}, {"a", ""}}}, "'a' is the name of two");
  refused({.other_files = {{"model.safetensors", ""}}}, "name of two");
  refused({.other_files = {{"model.safetensors.index.json", ""}}},
          "name of two");
  refused({.other_files = {{"../config.json", ""}}}, "'../config.json'");
  refused({.other_files = {{"", ""}}}, "''");
  std::vector<TensorToWrite> tensors = FiveTensors();
  tensors[1].alias_of = 1;
  EXPECT_THAT(SaveCheckpoint(folder, tensors),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'t1'")));
  tensors = FiveTensors();
  tensors[1].name = "t0";
  EXPECT_THAT(SaveCheckpoint(folder, tensors),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_FALSE(fs::exists(folder));
}

TEST(SaveCheckpointTest, SavesNoTensorsAtAll) {
  for (const std::string format : {"safetensors", "torch", "torch_legacy"}) {
    const std::string folder = MakeMemoryFolder();
    ASSERT_THAT(SaveCheckpoint(folder, {}, {.format = format}), IsOk());
    EXPECT_THAT(TensorsIn(folder), IsEmpty());
  }
}

TEST(SaveCheckpointFileTest, WritesOneFileAndNothingElse) {
  const std::string folder = MakeMemoryFolder();
  PutFile(folder + "/model.safetensors.index.json", "of another save");
  for (const std::string format : {"safetensors", "torch", "torch_legacy"}) {
    const std::string name =
        format == "safetensors" ? "a.safetensors" : format + ".bin";
    std::vector<TensorToWrite> tensors = FiveTensors();
    tensors[4].alias_of = 0;
    int64_t last = 0;
    const absl::StatusOr<SavedCheckpoint> saved = SaveCheckpointFile(
        folder + "/" + name, tensors,
        {.format = format,
         .progress = [&](int64_t done, int64_t) { last = done; }});
    ASSERT_THAT(saved, IsOk());
    EXPECT_THAT(saved->files, ElementsAre(name));
    EXPECT_EQ(last, 4 * 1024);
    EXPECT_EQ(saved->bytes, 4 * 1024);
    Files expected = FiveTensorsBytes();
    expected["t4"] = expected["t0"];
    if (format == "safetensors") {
      expected.erase("t4");
      EXPECT_THAT(saved->dropped_aliases, ElementsAre("t4"));
    }
    EXPECT_EQ(TensorsIn(folder + "/" + name), expected);
  }
  EXPECT_EQ(Content(folder).size(), 4u);
  EXPECT_THAT(SaveCheckpointFile(folder + "/x", FiveTensors(), {.format = "x"}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace pretrained
