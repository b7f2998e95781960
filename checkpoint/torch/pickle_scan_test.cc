#include "checkpoint/torch/pickle_scan.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::pretrained::checkpoint_testing::ReadTestFile;
using ::pretrained::checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kFormats[] = "testdata/formats/BertForMaskedLM/";

std::vector<std::string> Names(const ScannedFile& file) {
  std::vector<std::string> names;
  for (const ScannedGlobal& global : file.globals) {
    names.push_back(absl::StrCat(global.module, ".", global.name));
  }
  return names;
}

// What pickletools lists for these files.
TEST(PickleScanTest, ListsWhatTorchFilesImport) {
  const std::pair<const char*, const char*> files[] = {
      {"bin/pytorch_model.bin", "torch"},
      {"bin-legacy/pytorch_model.bin", "torch_legacy"}};
  for (const auto& [name, format] : files) {
    auto scanned = ScanPickles(absl::StrCat(kFormats, name));
    ASSERT_THAT(scanned, IsOk());
    EXPECT_EQ(scanned->format, format);
    EXPECT_THAT(Names(*scanned),
                ElementsAre("torch._utils._rebuild_tensor_v2",
                            "torch.FloatStorage", "collections.OrderedDict"));
    for (const ScannedGlobal& global : scanned->globals) {
      EXPECT_EQ(global.global_class, PickleGlobalClass::kKnown);
    }
  }
}

TEST(PickleScanTest, AFileWithoutPicklesHasNone) {
  auto scanned =
      ScanPickles(absl::StrCat(kFormats, "safetensors/model.safetensors"));
  ASSERT_THAT(scanned, IsOk());
  EXPECT_EQ(scanned->format, "");
  EXPECT_THAT(scanned->globals, IsEmpty());
  scanned = ScanPickles(WriteTestFile("empty.txt", ""));
  ASSERT_THAT(scanned, IsOk());
  EXPECT_EQ(scanned->format, "");
}

TEST(PickleScanTest, ListsDangerousGlobalsOfBarePicklesOneAfterTheOther) {
  const std::string path = WriteTestFile(
      "bare.pkl", absl::StrCat(absl::string_view("\x80\x02}.", 4),
                               "cos\nsystem\n(Vtrue\ntR.", "cnosuch\nThing\n.",
                               "cos\nsystem\n."));
  auto scanned = ScanPickles(path);
  ASSERT_THAT(scanned, IsOk());
  EXPECT_EQ(scanned->format, "pickle");
  ASSERT_THAT(Names(*scanned), ElementsAre("os.system", "nosuch.Thing"));
  EXPECT_EQ(scanned->globals[0].global_class, PickleGlobalClass::kDangerous);
  EXPECT_EQ(scanned->globals[1].global_class, PickleGlobalClass::kUnknown);
}

TEST(PickleScanTest, ReadsOnUntilAPickleIsWhole) {
  const std::string text(5 << 20, 'x');
  const std::string path =
      WriteTestFile("long.pkl", absl::StrCat("(V", text, "\ncos\nsystem\nt."));
  auto scanned = ScanPickles(path);
  ASSERT_THAT(scanned, IsOk());
  EXPECT_THAT(Names(*scanned), ElementsAre("os.system"));
}

TEST(PickleScanTest, ABrokenPickleTellsWhatItNamedBefore) {
  const std::string path =
      WriteTestFile("broken.pkl", "cos\nsystem\n(Vtrue\ntR");
  EXPECT_THAT(ScanPickles(path),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr(path), HasSubstr("'os.system'"))));
  const std::string legacy =
      ReadTestFile(absl::StrCat(kFormats, "bin-legacy/pytorch_model.bin"));
  EXPECT_THAT(ScanPickles(WriteTestFile("cut.bin", legacy.substr(0, 500))),
              StatusIs(absl::StatusCode::kDataLoss));
  const std::string zip =
      ReadTestFile(absl::StrCat(kFormats, "bin/pytorch_model.bin"));
  EXPECT_THAT(
      ScanPickles(WriteTestFile("half.bin", zip.substr(0, zip.size() / 2))),
      StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace pretrained
