// What ReadTorchObjects() refuses, and what it says then.

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/types/span.h"
#include "checkpoint/pickle/pickle_testutil.h"
#include "checkpoint/torch/torch_objects_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using absl_testing::StatusIs;
using checkpoint_testing::Call;
using checkpoint_testing::Dict;
using checkpoint_testing::Global;
using checkpoint_testing::Int;
using checkpoint_testing::Raw;
using checkpoint_testing::ReadObjects;
using checkpoint_testing::SmallTensor;
using checkpoint_testing::Storage;
using checkpoint_testing::Str;
using checkpoint_testing::Tensor;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Bad {
  std::string value;
  absl::StatusCode code;
  const char* message;
};

constexpr absl::StatusCode kLoss = absl::StatusCode::kDataLoss;
constexpr absl::StatusCode kNotRead = absl::StatusCode::kUnimplemented;

void ExpectRefused(absl::Span<const Bad> table) {
  for (const Bad& bad : table) {
    EXPECT_THAT(ReadObjects(bad.value),
                StatusIs(bad.code,
                         AllOf(StartsWith("m.bin: "), HasSubstr(bad.message))));
  }
}

TEST(TorchObjectsErrorsTest, RefusesNumbersThatCannotBe) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const std::string four = Storage("FloatStorage", "0", 4);
  const auto entry = [](const std::string& tensor) {
    return Dict({{"w", tensor}});
  };
  std::string ones;
  for (int i = 0; i < 65; ++i) ones += "K\1";
  const Bad kBad[] = {
      {entry(Tensor(four, 0, "K\2" + Int(-1), "K\1K\1")), kLoss,
       "tensor 'w': its shape is (2, -1), but numbers from 0 on"},
      {entry(Tensor(four, 0, "K\2", Int(-1))), kLoss,
       "tensor 'w': its stride is (-1,), but numbers from 0 on"},
      {entry(Tensor(four, -1, "K\2", "K\1")), kLoss,
       "tensor 'w': its storage offset is -1, but a number from 0 on"},
      {entry(Tensor(four, 0, "K\3K\2", "K\2K\1")), kLoss,
       "tensor 'w': shape [3,2] with strides [2,1] from 0 on needs 6 float32 "
       "elements, but storage '0' has 4"},
      {entry(Tensor(four, 0, "K\2K\2", "K\3K\1")), kLoss, "needs 5 float32"},
      {entry(Tensor(four, 3, "K\2", "K\1")), kLoss, "from 3 on needs 5"},
      {entry(Tensor(four, 5, "", "")), kLoss, "from 5 on needs 6"},
      {entry(Tensor(four, kMax, "", "")), kLoss, "counts more than 2^63"},
      {entry(Tensor(four, kMax, "K\2", "K\1")), kLoss, "counts more than 2^63"},
      {entry(Tensor(four, 0, Int(kMax) + Int(kMax), Raw("K\0K\0"))), kLoss,
       "counts more than 2^63"},
      {entry(Tensor(four, 0, Int(kMax), Raw("K\0"))), kLoss,
       "counts more than 2^63"},
      {entry(Tensor(four, 0, "K\3K\3", Int(kMax) + Int(kMax))), kLoss,
       "counts more than 2^63"},
      {entry(Tensor(four, 0, "K\2", "K\1K\1")), kLoss,
       "has shape [2], but 2 strides"},
      {entry(Tensor(four, 0, "K\2", "")), kLoss, "has shape [2], but 0"},
      {entry(Tensor(four, 0, ones, "")), kLoss,
       "has 65 dimensions, but torch has 64"},
      {entry(Tensor(Storage("FloatStorage", "0", kMax), 0, "K\2", "K\1")),
       kLoss, "its storage '0' has 9223372036854775807 elements"},
      {entry(Tensor(Storage("FloatStorage", "0", -4), 0, "K\2", "K\1")), kLoss,
       "its storage '0' has -4 elements"},
      {entry(Tensor(four, 0, "\x88", "K\1")), kLoss, "its shape is (True,)"},
  };
  ExpectRefused(kBad);
}

TEST(TorchObjectsErrorsTest, RefusesArgumentsOfTheWrongKind) {
  const std::string four = Storage("FloatStorage", "0", 4);
  const std::string args = Raw("K\0K\2\x85K\1\x85");
  const auto entry = [](const std::string& function, const std::string& args) {
    return Dict({{"w", Call(function, args)}});
  };
  const Bad kBad[] = {
      {entry("_rebuild_tensor", ""), kLoss, "_rebuild_tensor has 0 arguments"},
      {entry("_rebuild_tensor_v2", four + args), kLoss, "has 4 arguments"},
      {entry("_rebuild_tensor_v2", four + args + "\x89N}N"), kLoss, "has 8"},
      {entry("_rebuild_tensor", "N" + args), kLoss,
       "found None, but a storage is expected"},
      {entry("_rebuild_tensor", "K\1Q" + args), kLoss, "a storage is expected"},
      {entry("_rebuild_tensor", "(" + Str("module") + "NNNNtQ" + args), kLoss,
       "a storage is expected"},
      {entry("_rebuild_tensor", four + Raw("NK\2\x85K\1\x85")), kLoss,
       "its storage offset is None"},
      {entry("_rebuild_tensor", four + Raw("K\0NK\1\x85")), kLoss,
       "its shape is None, but a tuple"},
      {entry("_rebuild_tensor", four + Raw("K\0K\2\x85N")), kLoss,
       "its stride is None, but a tuple"},
      {entry("_rebuild_parameter", "N\x88N"), kLoss,
       "found None in a parameter, but a tensor"},
      {entry("_rebuild_parameter", ""), kLoss, "a parameter without a tensor"},
      {entry("_rebuild_tensor_v3", four + args + "\x89NN"), kLoss,
       "its dtype is None"},
      {entry("_rebuild_tensor_v3",
             four + args + "\x89N" + Global("torch", "qint8")),
       kNotRead, "torch.qint8"},
      {entry("_rebuild_tensor", Storage("FlautStorage", "0", 4) + args),
       kNotRead, "has a storage of type torch.FlautStorage"},
      {entry("_rebuild_tensor", Storage("QInt8Storage", "0", 4) + args),
       kNotRead, "is quantised ('QInt8Storage')"},
      {entry("_rebuild_tensor_v2",
             four + args + "\x89N" + Dict({{"conj", "\x88"}})),
       kNotRead, "is a lazy view ('conj')"},
  };
  ExpectRefused(kBad);
}

TEST(TorchObjectsErrorsTest, NamesTheTensorOfAKindThatIsNotRead) {
  for (const char* function :
       {"_rebuild_sparse_tensor", "_rebuild_qtensor", "_rebuild_nested_tensor",
        "_rebuild_meta_tensor_no_storage", "_rebuild_wrapper_subclass",
        "_rebuild_device_tensor_from_numpy", "_rebuild_xla_tensor",
        "_rebuild_sparse_csr_tensor"}) {
    EXPECT_THAT(ReadObjects(Dict({{"m", Dict({{"w", Call(function, "N")}})}})),
                StatusIs(kNotRead, AllOf(HasSubstr("m.bin: tensor 'm.w': is a"),
                                         HasSubstr("which is not read here"))))
        << function;
  }
}

TEST(TorchObjectsErrorsTest, RefusesEntriesThatOnlyForeignCodeCanMake) {
  const std::string call = Global("m", "f") + ")R";
  const std::string subclass =
      Global("torch._tensor", "_rebuild_from_type_v2") + "(" +
      Global("torch._utils", "_rebuild_tensor") + Global("m", "MyTensor") +
      "(" + Storage("FloatStorage", "0", 4) + Raw("K\0K\2\x85K\1\x85t}tR");
  const Bad kBad[] = {
      {Dict({{"a", SmallTensor()}, {"b", call}}), kNotRead,
       "entry 'b' of the state dict is m.f()"},
      {Dict({{"b", call}, {"a", SmallTensor()}}), kNotRead, "entry 'b'"},
      {Dict({{"b", call}}), kNotRead, "entry 'b'"},
      {Dict({{"b", Global("m", "C")}}), kNotRead, "entry 'b'"},
      {Dict({{"m", Dict({{"a", SmallTensor()}, {"b", call}})}}), kNotRead,
       "'m.b'"},
      {Dict({{"a", SmallTensor()}, {"b", call + ")R"}}), kNotRead, "entry 'b'"},
      {Dict({{"a", subclass}}), kNotRead,
       "tensor 'a': is of class 'm.MyTensor', which is not known here"},
      {Dict({{"a", Global("torch._utils", "_rebuild_new_kind") + ")R"}}),
       kNotRead, "entry 'a' of the state dict is torch._utils._rebuild_new"},
  };
  ExpectRefused(kBad);
}

TEST(TorchObjectsErrorsTest, RefusesWhatIsNoStateDict) {
  const Bad kBad[] = {
      {"](K\1K\2e", kLoss, "found a list, but a state dict is expected"},
      {"N", kLoss, "found a None, but a state dict"},
      {SmallTensor(), kLoss, "found a single tensor, but a state dict"},
      {Global("m", "Net") + ")\x81}b", kLoss,
       "found a whole pickled object (m.Net), not a state dict; save its "
       "state_dict()"},
      {"(" + Str("module") + Global("m", "Net") + Str("net.py") +
           Str("class Net: ..") + "tQ)\x81}b",
       kLoss, "found a whole pickled object (<persistent ('module', m.Net"},
  };
  ExpectRefused(kBad);
}

TEST(TorchObjectsErrorsTest, RefusesTwoEntriesOfOneName) {
  const Bad kBad[] = {
      {Dict({{"a", SmallTensor()}, {"a", SmallTensor()}}), kLoss,
       "two entries of the state dict are called 'a'"},
      {Dict({{"a.b", SmallTensor()}, {"a", Dict({{"b", SmallTensor()}})}}),
       kLoss, "two entries of the state dict are called 'a.b'"},
      {Dict({{"a", SmallTensor()}, {"a", "K\1"}}), kLoss, "called 'a'"},
      {"}(" + Str("1") + SmallTensor() + "K\1" + SmallTensor() + "u", kLoss,
       "called '1'"},
  };
  ExpectRefused(kBad);
}

TEST(TorchObjectsErrorsTest, BoundsWhatItWalks) {
  constexpr absl::StatusCode kTooMuch = absl::StatusCode::kResourceExhausted;
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "}" + Str("k");
  deep += "N" + std::string(100, 's');
  std::string laughs = "}";
  for (int i = 0; i < 40; ++i) laughs += "q\1}(K\1h\1K\2h\1K\3h\1u";
  const Bad kBad[] = {
      {deep, kTooMuch, "more than 64 dicts and lists inside each other"},
      {Raw("}q\0") + Str("a") + Raw("h\0s"), kTooMuch, "inside each other"},
      {laughs, kTooMuch, "more entries than the pickle can spell out"},
      {Dict({{std::string(5000, 'n'), SmallTensor()}}), kTooMuch,
       "a name of more than 4096 bytes"},
  };
  ExpectRefused(kBad);
  // Not deep, but wide: 10^8 paths.
  std::string wide = "}K\1K\1s";
  for (int i = 0; i < 8; ++i) {
    wide += "q\1}(";
    for (char key = 0; key < 10; ++key) {
      wide += std::string("K") + key + "h\1";
    }
    wide += "u";
  }
  EXPECT_THAT(ReadObjects(wide), StatusIs(kTooMuch, HasSubstr("more entries")));
}

}  // namespace
}  // namespace pretrained
