#include "checkpoint/open_checkpoint.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadBytes;
using checkpoint_testing::SafetensorsFileWith;
using checkpoint_testing::ViewedBytes;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Weights(const std::string& tensor = "w") {
  return SafetensorsFileWith({{tensor, "F32", {2}, 8}});
}

// A fresh folder for one test, with empty files of the given names.
std::string FolderWith(const std::string& name,
                       const std::vector<std::string>& files) {
  const std::string folder = MakeTestFolder(name);
  for (const std::string& file : files) {
    WriteTestFile(absl::StrCat(name, "/", file), "");
  }
  return folder;
}

TEST(OpenCheckpointTest, OpensAFolder) {
  const std::string folder = FolderWith("whole folder", {"config.json"});
  WriteTestFile("whole folder/model.safetensors", Weights());
  for (const std::string& path : {folder, folder + "/", folder + "//"}) {
    const auto checkpoint = OpenCheckpoint(path);
    ASSERT_THAT(checkpoint, IsOk());
    EXPECT_EQ((*checkpoint)->format(), "safetensors");
    EXPECT_THAT((*checkpoint)->Find("w"), IsOk());
  }
}

TEST(OpenCheckpointTest, OpensTheVariantAskedFor) {
  const std::string folder = FolderWith("variants", {});
  WriteTestFile("variants/model.safetensors", Weights("full"));
  WriteTestFile("variants/model.fp16.safetensors", Weights("half"));
  const auto full = OpenCheckpoint(folder);
  const auto half = OpenCheckpoint(folder, {.variant = "fp16"});
  ASSERT_THAT(full, IsOk());
  ASSERT_THAT(half, IsOk());
  EXPECT_THAT((*full)->Find("full"), IsOk());
  EXPECT_THAT((*half)->Find("half"), IsOk());
}

TEST(OpenCheckpointTest, OpensAFileByItsNameOrItsContent) {
  for (const char* name : {"adapter.safetensors", "noext", "weights.bin"}) {
    const auto checkpoint = OpenCheckpoint(WriteTestFile(name, Weights()));
    ASSERT_THAT(checkpoint, IsOk()) << name;
    EXPECT_EQ((*checkpoint)->format(), "safetensors");
  }
}

TEST(OpenCheckpointTest, ViewsAlsoWithoutMapping) {
  const std::string path = WriteTestFile("unmapped.safetensors", Weights());
  for (const bool use_mmap : {true, false}) {
    const auto checkpoint = OpenCheckpoint(path, {.use_mmap = use_mmap});
    ASSERT_THAT(checkpoint, IsOk());
    const TensorInfo& w = (*checkpoint)->tensors()[0];
    EXPECT_EQ(ViewedBytes(**checkpoint, w), ReadBytes(**checkpoint, w));
  }
}

TEST(OpenCheckpointTest, SaysWhatToDoAboutAMissingPath) {
  EXPECT_THAT(
      OpenCheckpoint("no/such/folder"),
      StatusIs(absl::StatusCode::kNotFound,
               AllOf(HasSubstr("no/such/folder: "),
                     HasSubstr("no such folder or file; check the path"))));
  EXPECT_THAT(OpenCheckpoint(""), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(OpenCheckpointTest, SaysWhatItLookedForInAnEmptyFolder) {
  const std::string folder = FolderWith("empty", {});
  EXPECT_THAT(OpenCheckpoint(folder),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(folder),
                             HasSubstr("looked for model.safetensors"),
                             HasSubstr("the folder is empty"),
                             HasSubstr("download the weights"))));
}

TEST(OpenCheckpointTest, ListsWhatAFolderWithoutWeightsHas) {
  std::vector<std::string> files;
  for (int i = 10; i < 60; ++i) files.push_back(absl::StrCat("file", i));
  EXPECT_THAT(
      OpenCheckpoint(FolderWith("unrelated", files)),
      StatusIs(absl::StatusCode::kNotFound,
               AllOf(HasSubstr("'file10', 'file11'"), HasSubstr("and 30 more"),
                     Not(HasSubstr("file59")))));
}

TEST(OpenCheckpointTest, SuggestsTheVariantThatIsThere) {
  const std::string half = FolderWith("half", {"model.fp16.safetensors"});
  EXPECT_THAT(OpenCheckpoint(half), StatusIs(absl::StatusCode::kNotFound,
                                             HasSubstr("variant 'fp16'")));
  const std::string full = FolderWith("full", {"model.safetensors"});
  EXPECT_THAT(OpenCheckpoint(full, {.variant = "fp16"}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("looked for model.fp16.safetensors"),
                             HasSubstr("ask for no variant"))));
}

struct ForeignFolder {
  const char* file;
  const char* variant;
  const char* message;
};

constexpr ForeignFolder kForeignFolders[] = {
    {"tf_model.h5", "", "Keras"},
    {"tf_model.h5.index.json", "", "safe_serialization=True"},
    {"flax_model.msgpack", "fp16", "Flax"},
    {"model.ckpt.index", "", "TensorFlow"},
};

TEST(OpenCheckpointTest, SaysHowToConvertWhatItDoesNotRead) {
  for (const ForeignFolder& foreign : kForeignFolders) {
    const std::string folder =
        FolderWith(absl::StrCat("foreign-", foreign.file), {foreign.file});
    EXPECT_THAT(
        OpenCheckpoint(folder, {.variant = foreign.variant}),
        StatusIs(absl::StatusCode::kUnimplemented,
                 AllOf(HasSubstr(folder), HasSubstr(foreign.file),
                       HasSubstr(foreign.message), HasSubstr("this version"))));
  }
}

TEST(OpenCheckpointTest, PrefersWhatItReads) {
  const std::string folder =
      FolderWith("both", {"model.safetensors.index.json", "pytorch_model.bin"});
  WriteTestFile("both/model.safetensors", Weights());
  EXPECT_THAT(OpenCheckpoint(folder), IsOk());
}

TEST(OpenCheckpointTest, SaysWhatAFileOfAnotherFormatIs) {
  EXPECT_THAT(
      OpenCheckpoint(WriteTestFile("model.hdf", "\x89HDF\r\n\x1a\nrest")),
      StatusIs(absl::StatusCode::kUnimplemented,
               AllOf(HasSubstr("model.hdf"), HasSubstr("a Keras HDF5 file"),
                     HasSubstr("safe_serialization=True"))));
  EXPECT_THAT(
      OpenCheckpoint(WriteTestFile("flax_model.msgpack", "\x81")),
      StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("a Flax msgpack")));
  EXPECT_THAT(
      OpenCheckpoint(WriteTestFile("notes.txt", "hello")),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("notes.txt")));
  EXPECT_THAT(OpenCheckpoint(WriteTestFile("empty.safetensors", "")),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("cut short")));
}

TEST(OpenCheckpointTest, LooksIntoTheSubfolder) {
  const std::string folder = FolderWith("nested models", {});
  MakeTestFolder("nested models/unet");
  MakeTestFolder("nested models/unet/inner");
  WriteTestFile("nested models/unet/inner/model.safetensors", Weights());
  EXPECT_THAT(OpenCheckpoint(folder, {.subfolder = "unet/inner"}), IsOk());
  EXPECT_THAT(OpenCheckpoint(folder, {.subfolder = "absent"}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(folder),
                             HasSubstr("has no subfolder 'absent'"))));
  EXPECT_THAT(OpenCheckpoint(folder),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("the folder has 'unet/'")));
  EXPECT_THAT(OpenCheckpoint(folder, {.subfolder = std::string("a\0b", 3)}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("NUL")));
}

// A folder that has a file's name is no file, as with os.path.isfile().
TEST(OpenCheckpointTest, PassesOverFoldersNamedAsFiles) {
  const std::string folder = FolderWith("folder as file", {});
  MakeTestFolder("folder as file/model.safetensors");
  EXPECT_THAT(OpenCheckpoint(folder),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("the folder has 'model.safetensors/'")));
}

// What save_journal.h does with it is tested there; here, that it is asked.
TEST(OpenCheckpointTest, FinishesAnInterruptedSaveFirst) {
  const std::string folder = FolderWith("interrupted", {"x.index.json"});
  WriteTestFile("interrupted/model.safetensors", Weights());
  WriteTestFile("interrupted/.pretrained-save.journal", "of no save");
  for (const char* name : {"", "/model.safetensors", "/x.index.json"}) {
    EXPECT_THAT(OpenCheckpoint(folder + name),
                StatusIs(absl::StatusCode::kDataLoss,
                         HasSubstr(".pretrained-save.journal")))
        << name;
  }
}

TEST(OpenCheckpointTest, ReportsABrokenLinkInAFolder) {
  const std::string folder = FolderWith("links", {});
  const std::string link = folder + "/model.safetensors";
  unlink(link.c_str());
  ASSERT_EQ(symlink("../blobs/absent", link.c_str()), 0);
  EXPECT_THAT(OpenCheckpoint(folder),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(link), HasSubstr("symbolic link"))));
}

TEST(OpenCheckpointTest, RefusesAVariantThatLeavesTheFolder) {
  const std::string folder = FolderWith("escape", {});
  EXPECT_THAT(
      OpenCheckpoint(folder, {.variant = "x/../../y"}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'x/../../y'")));
}

TEST(OpenCheckpointTest, SaysWhatToDoAboutAnUnreadableFolderOrFile) {
  const std::string folder = FolderWith("unreadable", {});
  const std::string file = WriteTestFile("unreadable.safetensors", Weights());
  ASSERT_EQ(chmod(folder.c_str(), 0), 0);
  ASSERT_EQ(chmod(file.c_str(), 0), 0);
  // Root may read everything; then try as nobody.
  constexpr uid_t kNobody = 65534;
  const bool is_root = geteuid() == 0;
  if (is_root && seteuid(kNobody) != 0) GTEST_SKIP() << "cannot drop rights";
  const absl::Status of_folder = OpenCheckpoint(folder).status();
  const absl::Status of_file = OpenCheckpoint(file).status();
  if (is_root) {
    ASSERT_EQ(seteuid(0), 0);
  }
  ASSERT_EQ(chmod(folder.c_str(), 0755), 0);
  EXPECT_THAT(of_folder,
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr(folder), HasSubstr("permissions"))));
  EXPECT_THAT(of_file, StatusIs(absl::StatusCode::kPermissionDenied,
                                AllOf(HasSubstr(file), HasSubstr("chmod"))));
}

}  // namespace
}  // namespace pretrained
