// Files that PyTorch 2.1.0 and transformers 4.34.0 wrote, held to the tensors
// that torch reads from them. testdata/formats/README.md tells which.

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/torch/torch_checkpoint.h"
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
using ::nlohmann::ordered_json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr absl::string_view kFormats = "testdata/formats/";

// The first 32 hexadecimal digits of the SHA-256.
std::string Digest(absl::string_view bytes) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), 16));
}

// What contents.json of `folder` says of each of its torch files.
std::map<std::string, ordered_json> TorchFilesOf(const std::string& folder) {
  const ordered_json contents =
      ordered_json::parse(ReadTestFile(absl::StrCat(folder, "/contents.json")),
                          nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(contents.is_discarded()) << folder;
  std::map<std::string, ordered_json> files;
  for (const auto& [name, tensors] : contents.items()) {
    if (absl::EndsWith(name, ".bin")) files[name] = tensors;
  }
  return files;
}

// All bytes of `tensor`, by ReadSlice() of the first third of the rows and of
// the rest.
std::string ReadInParts(const Checkpoint& checkpoint,
                        const TensorInfo& tensor) {
  const int64_t rows = tensor.shape[0];
  const int64_t row_bytes = rows == 0 ? 0 : tensor.nbytes() / rows;
  std::string bytes(tensor.nbytes(), '\0');
  const int64_t middle = rows / 3;
  for (const SliceRange range :
       {SliceRange{0, middle}, SliceRange{middle, rows}}) {
    const absl::Span<char> part(bytes.data() + range.start * row_bytes,
                                (range.stop - range.start) * row_bytes);
    EXPECT_THAT(checkpoint.ReadSlice(tensor, {range}, part), IsOk());
  }
  return bytes;
}

// That the tensors of `checkpoint` are those of `want`, in its order, by every
// way of reading.
void ExpectTensors(const Checkpoint& checkpoint, const ordered_json& want) {
  size_t i = 0;
  for (const ordered_json& row : want) {
    if (!row.contains("name")) continue;  // A note.
    const std::string name = row["name"];
    SCOPED_TRACE(name);
    ASSERT_LT(i, checkpoint.tensors().size());
    const TensorInfo& tensor = checkpoint.tensors()[i++];
    EXPECT_EQ(tensor.name, name);
    EXPECT_EQ(DtypeName(tensor.dtype), row["dtype"].get<std::string>());
    EXPECT_EQ(tensor.shape, row["shape"].get<std::vector<int64_t>>());
    const std::string digest = row["digest"];
    EXPECT_EQ(Digest(ReadBytes(checkpoint, tensor)), digest);
    EXPECT_EQ(Digest(ViewedBytes(checkpoint, tensor)), digest);
    if (!tensor.shape.empty()) {
      EXPECT_EQ(Digest(ReadInParts(checkpoint, tensor)), digest);
    }
    const absl::StatusOr<const TensorInfo*> found = checkpoint.Find(name);
    ASSERT_THAT(found, IsOk());
    EXPECT_EQ(*found, &tensor);
  }
  EXPECT_EQ(i, checkpoint.tensors().size());
}

// The folders with one set of torch files each.
std::vector<std::string> Folders() {
  std::vector<std::string> folders;
  for (const char* model :
       {"BertForMaskedLM", "GPT2LMHeadModel", "T5ForConditionalGeneration"}) {
    for (const char* format :
         {"bin", "bin-bf16", "bin-fp16", "bin-legacy", "bin-legacy-fp16",
          "bin-sharded", "variant-fp16", "variant-fp16-sharded"}) {
      folders.push_back(absl::StrCat(kFormats, model, "/", format));
    }
  }
  for (const char* offload : {"bin", "bin-bf16", "bin-sharded"}) {
    folders.push_back(absl::StrCat(kFormats, "offload/", offload));
  }
  return folders;
}

TEST(TorchGoldenTest, ReadsEveryFileAsTorchDoes) {
  int files_read = 0;
  for (const std::string& folder : Folders()) {
    SCOPED_TRACE(folder);
    const std::map<std::string, ordered_json> files = TorchFilesOf(folder);
    ASSERT_FALSE(files.empty());
    std::vector<std::string> paths;
    ordered_json all = ordered_json::array();
    for (const auto& [name, tensors] : files) {
      SCOPED_TRACE(name);
      paths.push_back(absl::StrCat(folder, "/", name));
      const auto checkpoint = TorchCheckpoint::Open({paths.back()});
      ASSERT_THAT(checkpoint, IsOk());
      EXPECT_EQ((*checkpoint)->format(),
                absl::StrContains(folder, "legacy") ? "torch_legacy" : "torch");
      ExpectTensors(**checkpoint, tensors);
      for (const ordered_json& row : tensors) all.push_back(row);
      ++files_read;
    }
    if (paths.size() > 1) {
      const auto checkpoint = TorchCheckpoint::Open(paths);
      ASSERT_THAT(checkpoint, IsOk());
      ExpectTensors(**checkpoint, all);
    }
  }
  EXPECT_GE(files_read, 40);
}

TEST(TorchGoldenTest, ReadsEveryFeatureOfTheContainersAsTorchDoes) {
  const std::string folder = absl::StrCat(kFormats, "containers");
  const std::map<std::string, ordered_json> files = TorchFilesOf(folder);
  EXPECT_EQ(files.size(), 14);
  for (const auto& [name, tensors] : files) {
    SCOPED_TRACE(name);
    for (const bool use_mmap : {false, true}) {
      for (const bool check_crc : {false, true}) {
        TorchCheckpointOptions options;
        options.use_mmap = use_mmap;
        options.check_crc = check_crc;
        const auto checkpoint =
            TorchCheckpoint::Open({absl::StrCat(folder, "/", name)}, options);
        ASSERT_THAT(checkpoint, IsOk());
        ExpectTensors(**checkpoint, tensors);
      }
    }
  }
}

// Dense tensors in stored records cost no copy; that is all of them but for the
// views of views.bin and the re-zipped file.
TEST(TorchGoldenTest, FindsTensorsInPlace) {
  for (const std::string& folder : Folders()) {
    for (const auto& [name, tensors] : TorchFilesOf(folder)) {
      const auto checkpoint =
          TorchCheckpoint::Open({absl::StrCat(folder, "/", name)});
      ASSERT_THAT(checkpoint, IsOk());
      for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
        EXPECT_TRUE(tensor.in_place) << folder << " " << tensor.name;
      }
    }
  }
}

TEST(TorchGoldenTest, KnowsWhichTensorsShareStorage) {
  for (const char* name : {"views.bin", "views-legacy.bin"}) {
    SCOPED_TRACE(name);
    const auto checkpoint =
        TorchCheckpoint::Open({absl::StrCat(kFormats, "containers/", name)});
    ASSERT_THAT(checkpoint, IsOk());
    EXPECT_EQ((*checkpoint)->storages().size(), 1);
    for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
      EXPECT_EQ(tensor.storage, 0) << tensor.name;
    }
    const TensorInfo& transposed = **(*checkpoint)->Find("transposed");
    EXPECT_EQ(transposed.strides, (std::vector<int64_t>{1, 10}));
    EXPECT_FALSE(transposed.in_place);
    const TensorInfo& whole = **(*checkpoint)->Find("whole");
    EXPECT_TRUE(whole.in_place);
    const TensorInfo& alias = **(*checkpoint)->Find("alias");
    EXPECT_EQ(alias.begin, whole.begin);
    EXPECT_EQ(alias.end, whole.end);
    const TensorInfo& expanded = **(*checkpoint)->Find("expanded");
    EXPECT_EQ(expanded.end - expanded.begin, 4);
  }
}

// BERT ties its decoder to the embeddings; pytorch_model.bin has both.
TEST(TorchGoldenTest, FindsTiedWeights) {
  const auto checkpoint = TorchCheckpoint::Open(
      {absl::StrCat(kFormats, "BertForMaskedLM/bin/pytorch_model.bin")});
  ASSERT_THAT(checkpoint, IsOk());
  const auto embedding =
      (*checkpoint)->Find("bert.embeddings.word_embeddings.weight");
  const auto decoder = (*checkpoint)->Find("cls.predictions.decoder.weight");
  ASSERT_THAT(embedding, IsOk());
  ASSERT_THAT(decoder, IsOk());
  EXPECT_EQ((*embedding)->storage, (*decoder)->storage);
  EXPECT_EQ((*embedding)->begin, (*decoder)->begin);
}

TEST(TorchGoldenTest, ListsWhatIsNoTensor) {
  const auto checkpoint = TorchCheckpoint::Open(
      {absl::StrCat(kFormats, "containers/plain-objects.bin")});
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_THAT(
      (*checkpoint)->metadata(),
      ElementsAre(Pair("epoch", "3"), Pair("name", "'caf\xc3\xa9'"),
                  Pair("flag", "True"), Pair("none", "None"),
                  Pair("big", "1180591620717411303424"), Pair("negative", "-5"),
                  Pair("list", "[1, 2.5]"), Pair("tuple", "(1, 'a')"),
                  Pair("set", "{1}"), Pair("bytes", "b'\\x00\\xff'")));
  EXPECT_THAT((*checkpoint)->unknown_globals(), IsEmpty());
}

}  // namespace
}  // namespace pretrained
