#include "modeling/tensor_file.h"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/safetensors_testutil.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/tensor_bridge.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::WriteTestFile;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Fields = std::vector<std::pair<std::string, at::Tensor>>;

TEST(TensorFileTest, EveryDtypeSurvivesTheRoundTrip) {
  Fields fields;
  for (const Dtype dtype : kAllDtypes) {
    if (!SafetensorsName(dtype).has_value()) continue;
    const at::Tensor bytes =
        at::arange(6 * DtypeSize(dtype), at::dtype(at::kByte));
    fields.emplace_back(std::string(DtypeName(dtype)),
                        dtype == Dtype::kBool
                            ? bytes.remainder(2).to(at::kBool).reshape({2, 3})
                            : bytes.view(ToScalarType(dtype)).reshape({2, 3}));
  }
  const std::string path = MakeTestFolder("round") + "/trip.safetensors";
  ASSERT_THAT(WriteTensorFile(path, fields), IsOk());
  absl::StatusOr<NamedTensors> read = ReadTensorFile(path);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->size(), fields.size());
  for (const auto& [name, want] : fields) {
    ASSERT_TRUE(read->contains(name)) << name;
    const at::Tensor& got = read->at(name);
    EXPECT_EQ(got.scalar_type(), want.scalar_type()) << name;
    EXPECT_EQ(got.sizes(), want.sizes()) << name;
    EXPECT_TRUE(at::equal(got.view(at::kByte), want.view(at::kByte))) << name;
    EXPECT_TRUE(IsMappedFrom(got, path)) << name;
  }
}

TEST(TensorFileTest, WritesViewsScalarsAndWhatNeedsAGradient) {
  const at::Tensor base = at::arange(12).to(at::kFloat).reshape({3, 4});
  const Fields fields = {
      {"transposed", base.t()},
      {"column", base.select(1, 2)},
      {"expanded", base.select(0, 0).expand({2, 4})},
      {"scalar", at::scalar_tensor(2.5)},
      {"empty", at::empty({0, 3})},
      {"trained", at::ones({2}).set_requires_grad(true) * 3}};
  const std::string path = MakeTestFolder("views") + "/v.safetensors";
  ASSERT_THAT(WriteTensorFile(path, fields), IsOk());
  absl::StatusOr<NamedTensors> read = ReadTensorFile(path);
  ASSERT_THAT(read, IsOk());
  for (const auto& [name, want] : fields) {
    EXPECT_TRUE(at::equal(read->at(name), want)) << name;
  }
}

TEST(TensorFileTest, AFileThatIsBeingReadCanBeReplaced) {
  const std::string path = MakeTestFolder("replaced") + "/r.safetensors";
  ASSERT_THAT(WriteTensorFile(path, {{"a", at::ones({1000})}}), IsOk());
  absl::StatusOr<NamedTensors> read = ReadTensorFile(path);
  ASSERT_THAT(read, IsOk());
  ASSERT_THAT(WriteTensorFile(path, {{"a", read->at("a") * 2}}), IsOk());
  EXPECT_TRUE(at::equal(read->at("a"), at::ones({1000})));
  EXPECT_TRUE(at::equal(ReadTensorFile(path)->at("a"), at::full({1000}, 2.0)));
}

TEST(TensorFileTest, SaysWhatCannotBeWrittenAndLeavesTheFile) {
  const std::string folder = MakeTestFolder("kept");
  const std::string path = folder + "/k.safetensors";
  ASSERT_THAT(WriteTensorFile(path, {{"a", at::ones({2})}}), IsOk());
  const std::string before = ReadTestFile(path);
  EXPECT_THAT(
      WriteTensorFile(path, {{"a", at::ones({1})}, {"a", at::ones({1})}}),
      StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(WriteTensorFile(path, {{"a", at::empty({1}, at::kComplexHalf)}}),
              StatusIs(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(WriteTensorFile(path, {{"a", at::Tensor()}}),
              ::testing::Not(IsOk()));
  EXPECT_EQ(ReadTestFile(path), before);
  EXPECT_THAT(WriteTensorFile(folder + "/absent/x.safetensors", {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
}

TEST(TensorFileTest, SaysWhatCannotBeRead) {
  EXPECT_THAT(
      ReadTensorFile("absent.safetensors"),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent.safetensors")));
  EXPECT_THAT(
      ReadTensorFile(WriteTestFile("short.safetensors", "123")),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("short.safetensors")));
}

}  // namespace
}  // namespace pretrained
