#include "checkpoint/torch/torch_objects.h"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/pickle/pickle.h"
#include "checkpoint/pickle/pickle_testutil.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using absl_testing::IsOk;
using absl_testing::StatusIs;
using checkpoint_testing::Global;
using checkpoint_testing::Int;
using checkpoint_testing::Raw;
using checkpoint_testing::StateDictPickle;
using checkpoint_testing::Storage;
using checkpoint_testing::Str;
using checkpoint_testing::Tensor;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::StartsWith;

// A pickle of a dict with these keys and values.
std::string Dict(
    const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string bytes = "}(";
  for (const auto& [key, value] : entries) {
    absl::StrAppend(&bytes, Str(key), value);
  }
  return bytes + "u";
}

absl::StatusOr<TorchObjects> Read(const std::string& value) {
  const absl::StatusOr<Pickle> pickle = Pickle::ParseOwned(value + ".");
  EXPECT_THAT(pickle.status(), IsOk());
  if (!pickle.ok()) return pickle.status();
  return ReadTorchObjects(*pickle, "m.bin");
}

TorchObjects MustRead(const std::string& value) {
  absl::StatusOr<TorchObjects> objects = Read(value);
  EXPECT_THAT(objects.status(), IsOk());
  return objects.ok() ? *std::move(objects) : TorchObjects();
}

std::vector<std::string> Names(const TorchObjects& objects) {
  std::vector<std::string> names;
  for (const TorchTensor& tensor : objects.tensors) {
    names.push_back(tensor.name);
  }
  return names;
}

// Four floats: [2, 2] of storage 0.
std::string Small() {
  return Tensor(Storage("FloatStorage", "0", 4), 0, "K\2K\2", "K\2K\1");
}

// A call of a function of torch._utils.
std::string Call(absl::string_view function, absl::string_view args) {
  return absl::StrCat(Global("torch._utils", function), "(", args, "tR");
}

TEST(TorchObjectsTest, ReadsAStateDict) {
  const TorchObjects objects = MustRead(Dict(
      {{"a.weight", Small()},
       {"a.bias", Tensor(Storage("HalfStorage", "1", 10), 3, "K\5", "K\1")}}));
  ASSERT_THAT(Names(objects), ElementsAre("a.weight", "a.bias"));
  const TorchTensor& weight = objects.tensors[0];
  EXPECT_EQ(weight.dtype, Dtype::kFloat32);
  EXPECT_THAT(weight.shape, ElementsAre(2, 2));
  EXPECT_THAT(weight.strides, ElementsAre(2, 1));
  EXPECT_EQ(weight.storage_offset, 0);
  const TorchTensor& bias = objects.tensors[1];
  EXPECT_EQ(bias.dtype, Dtype::kFloat16);
  EXPECT_EQ(bias.storage_offset, 3);
  ASSERT_THAT(objects.storages, SizeIs(2));
  EXPECT_EQ(objects.storages[weight.storage].key, "0");
  EXPECT_EQ(objects.storages[weight.storage].nbytes, 16);
  EXPECT_EQ(objects.storages[bias.storage].nbytes, 20);
  EXPECT_THAT(objects.values, IsEmpty());
  EXPECT_THAT(objects.unknown_globals, IsEmpty());
}

TEST(TorchObjectsTest, KnowsTheDtypeOfEveryStorage) {
  const std::pair<const char*, Dtype> kTypes[] = {
      {"DoubleStorage", Dtype::kFloat64},
      {"FloatStorage", Dtype::kFloat32},
      {"HalfStorage", Dtype::kFloat16},
      {"BFloat16Storage", Dtype::kBfloat16},
      {"LongStorage", Dtype::kInt64},
      {"IntStorage", Dtype::kInt32},
      {"ShortStorage", Dtype::kInt16},
      {"CharStorage", Dtype::kInt8},
      {"ByteStorage", Dtype::kUint8},
      {"BoolStorage", Dtype::kBool},
      {"ComplexFloatStorage", Dtype::kComplex64},
      {"ComplexDoubleStorage", Dtype::kComplex128},
      {"UntypedStorage", Dtype::kUint8}};
  for (const auto& [type, dtype] : kTypes) {
    const TorchObjects objects =
        MustRead(Dict({{"a", Tensor(Storage(type, "0", 4), 0, "K\4", "K\1")}}));
    ASSERT_THAT(objects.tensors, SizeIs(1)) << type;
    EXPECT_EQ(objects.tensors[0].dtype, dtype) << type;
    EXPECT_EQ(objects.storages[0].nbytes, 4 * DtypeSize(dtype)) << type;
  }
}

TEST(TorchObjectsTest, ReadsEveryFunctionThatRebuildsATensor) {
  const std::string storage = Storage("FloatStorage", "0", 4);
  const std::string untyped = Storage("UntypedStorage", "0", 16);
  const std::string plain = storage + "K\1K\2\x85K\1\x85";
  const std::string size = Global("torch", "Size") + "K\2\x85\x85R";
  const std::string from_type =
      Global("torch._tensor", "_rebuild_from_type_v2") + "(" +
      Global("torch._utils", "_rebuild_tensor") +
      Global("torch.nn.parameter", "Parameter") + "(" + plain + "t}tR";
  const std::string kCalls[] = {
      Call("_rebuild_tensor", plain),
      Call("_rebuild_tensor_v2", plain + "\x89N"),
      Call("_rebuild_tensor_v2", plain + "\x88N}"),
      Call("_rebuild_tensor_v2", storage + "K\1" + size + "K\1\x85\x89N"),
      Call("_rebuild_tensor_v3",
           untyped + "K\1K\2\x85K\1\x85\x89N" + Global("torch", "float32")),
      Call("_rebuild_tensor_v3", untyped + "K\1K\2\x85K\1\x85\x89N" +
                                     Global("torch", "float32") + "}"),
      Call("_rebuild_parameter", Call("_rebuild_tensor", plain) + "\x88N"),
      Call("_rebuild_parameter_with_state",
           Call("_rebuild_tensor", plain) + "\x88N}"),
      from_type,
      Call("_rebuild_parameter", from_type + "\x88N"),
  };
  for (const std::string& call : kCalls) {
    const TorchObjects objects = MustRead(Dict({{"a", call}}));
    ASSERT_THAT(objects.tensors, SizeIs(1)) << call;
    const TorchTensor& tensor = objects.tensors[0];
    EXPECT_EQ(tensor.dtype, Dtype::kFloat32);
    EXPECT_THAT(tensor.shape, ElementsAre(2));
    EXPECT_THAT(tensor.strides, ElementsAre(1));
    EXPECT_EQ(tensor.storage_offset, 1);
    EXPECT_EQ(objects.storages[0].nbytes, 16);
  }
}

TEST(TorchObjectsTest, ReadsDtypesThatHaveNoStorageOfTheirOwn) {
  for (const auto& [name, dtype] : std::vector<std::pair<const char*, Dtype>>{
           {"uint16", Dtype::kUint16},
           {"uint32", Dtype::kUint32},
           {"uint64", Dtype::kUint64},
           {"float8_e4m3fn", Dtype::kFloat8E4M3FN},
           {"float8_e5m2", Dtype::kFloat8E5M2}}) {
    const std::string call =
        Call("_rebuild_tensor_v3",
             Storage("UntypedStorage", "0", 2 * DtypeSize(dtype)) +
                 Raw("K\0K\2\x85K\1\x85\x89N") + Global("torch", name));
    const TorchObjects objects = MustRead(Dict({{"a", call}}));
    ASSERT_THAT(objects.tensors, SizeIs(1)) << name;
    EXPECT_EQ(objects.tensors[0].dtype, dtype);
  }
}

TEST(TorchObjectsTest, TellsWhichTensorsShareAStorage) {
  const std::string storage = Storage("FloatStorage", "7", 6);
  const TorchObjects objects = MustRead(
      Dict({{"a", Tensor(storage, 0, "K\2K\3", "K\3K\1")},
            {"b", Tensor(Storage("FloatStorage", "8", 6), 0, "K\6", "K\1")},
            {"t", Tensor(storage, 0, "K\3K\2", "K\1K\3")},
            {"bits", Tensor(Storage("IntStorage", "7", 6), 1, "K\5", "K\1")}}));
  ASSERT_THAT(objects.tensors, SizeIs(4));
  EXPECT_THAT(objects.storages, SizeIs(2));
  EXPECT_EQ(objects.tensors[0].storage, objects.tensors[2].storage);
  EXPECT_EQ(objects.tensors[0].storage, objects.tensors[3].storage);
  EXPECT_NE(objects.tensors[0].storage, objects.tensors[1].storage);
  EXPECT_THAT(objects.tensors[2].strides, ElementsAre(1, 3));
}

// Only a later mention says that the storage is long enough.
TEST(TorchObjectsTest, TakesTheLargestSizeOfAStorage) {
  const TorchObjects objects = MustRead(
      Dict({{"a", Tensor(Storage("FloatStorage", "0", 2), 0, "K\4", "K\1")},
            {"b", Tensor(Storage("FloatStorage", "0", 4), 0, "K\4", "K\1")},
            {"c", Tensor(Storage("FloatStorage", "0", 1), 0, "K\1", "K\1")}}));
  ASSERT_THAT(objects.storages, SizeIs(1));
  EXPECT_EQ(objects.storages[0].nbytes, 16);
}

TEST(TorchObjectsTest, FoldsTheViewOfALegacyStorageIn) {
  const auto storage = [](int64_t offset, int64_t size) {
    return absl::StrCat("(", Str("storage"), Global("torch", "FloatStorage"),
                        Str("94"), Str("cpu"), Int(10), "(", Str("95"),
                        Int(offset), Int(size), "ttQ");
  };
  const TorchObjects objects =
      MustRead(Dict({{"a", Tensor(storage(4, 3), 1, "K\2", "K\1")}}));
  ASSERT_THAT(objects.tensors, SizeIs(1));
  EXPECT_EQ(objects.tensors[0].storage_offset, 5);
  EXPECT_EQ(objects.storages[0].key, "94");
  EXPECT_EQ(objects.storages[0].nbytes, 40);
  EXPECT_THAT(Read(Dict({{"a", Tensor(storage(4, 3), 2, "K\2", "K\1")}})),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("tensor 'a': shape [2] with strides [1] from "
                                 "2 on needs 4 elements, but its view of "
                                 "storage '94' has 3")));
  EXPECT_THAT(Read(Dict({{"a", Tensor(storage(8, 3), 0, "K\2", "K\1")}})),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("views 3 elements from 8 on of storage '94', "
                                 "which has 10")));
  EXPECT_THAT(Read(Dict({{"a", Tensor(storage(-1, 3), 0, "K\2", "K\1")}})),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("'a'")));
}

TEST(TorchObjectsTest, FlattensByPath) {
  const TorchObjects objects = MustRead(
      Dict({{"model", Dict({{"a", Small()}, {"b", Small()}})},
            {"epoch", "K\3"},
            {"list", "](" + Small() + "K\5" + Dict({{"x", Small()}}) + "e"},
            {"none", "N"},
            {"empty", "}"},
            {"keys", "}(K\7K\1\x88K\2K\1K\2\x86K\3u"}}));
  EXPECT_THAT(Names(objects),
              ElementsAre("model.a", "model.b", "list.0", "list.2.x"));
  EXPECT_THAT(
      objects.values,
      ElementsAre(Pair("epoch", "3"), Pair("list.1", "5"), Pair("none", "None"),
                  Pair("empty", "{}"), Pair("keys.7", "1"),
                  Pair("keys.True", "2"), Pair("keys.(1, 2)", "3")));
}

TEST(TorchObjectsTest, KeepsListsWithoutTensorsWhole) {
  const TorchObjects objects = MustRead(
      Dict({{"optimizer",
             Dict({{"state", "}K\7" + Dict({{"exp_avg", Small()}}) + "s"},
                   {"param_groups", "](" +
                                        Dict({{"lr", Raw("G?\xe0\0\0\0\0\0\0")},
                                              {"betas", "K\1K\2\x86"}}) +
                                        "e"}})},
            {"size", Global("torch", "Size") + "K\2\x85\x85R"}}));
  EXPECT_THAT(Names(objects), ElementsAre("optimizer.state.7.exp_avg"));
  EXPECT_THAT(objects.values,
              ElementsAre(Pair("optimizer.param_groups",
                               "[{'lr': 0.5, 'betas': (1, 2)}]"),
                          Pair("size", "torch.Size([2])")));
}

TEST(TorchObjectsTest, SeesEveryKindOfDict) {
  const std::string pair = "(l(l" + Str("a") + "a" + Small() + "aa";
  const std::string kDicts[] = {
      Global("collections", "OrderedDict") + ")R" + Str("a") + Small() + "s",
      Global("collections", "OrderedDict") + ")R" + Str("a") + Small() + "s" +
          Dict({{"_metadata", "}"}}) + "b",
      Global("collections", "OrderedDict") + pair + "\x85R",
      Global("collections", "defaultdict") + Global("builtins", "list") +
          "\x85R" + Str("a") + Small() + "s",
      Global("collections", "Counter") + Dict({{"a", Small()}}) + "\x85R",
  };
  for (const std::string& dict : kDicts) {
    EXPECT_THAT(Names(MustRead(dict)), ElementsAre("a"));
    EXPECT_THAT(Names(MustRead(Dict({{"m", dict}}))), ElementsAre("m.a"));
  }
}

TEST(TorchObjectsTest, LooksIntoNoObjectItDoesNotKnow) {
  const std::string object =
      Global("m", "C") + ")\x81" + Dict({{"hidden", Small()}}) + "b";
  const TorchObjects objects = MustRead(
      Dict({{"state_dict", Dict({{"a", Small()}})},
            {"args", Global("argparse", "Namespace") + ")\x81" +
                         Dict({{"lr", "K\1"}}) + "b"},
            {"thing", object},
            {"path", Global("pathlib", "PosixPath") + Str("x") + "\x85R"}}));
  EXPECT_THAT(Names(objects), ElementsAre("state_dict.a"));
  EXPECT_THAT(objects.unknown_globals, ElementsAre("m.C", "pathlib.PosixPath"));
  ASSERT_THAT(objects.values, SizeIs(3));
  EXPECT_EQ(objects.values[0].second, "Namespace(lr=1)");
  EXPECT_THAT(objects.values[1].second, StartsWith("m.C(state={'hidden': "));
  EXPECT_EQ(objects.values[2].second, "pathlib.PosixPath('x')");
}

TEST(TorchObjectsTest, TakesTensorsWithoutElementsWhateverTheirStrides) {
  const TorchObjects objects = MustRead(
      Dict({{"a", Tensor(Storage("FloatStorage", "0", 0), 5,
                         absl::StrCat(Int(0), Int(1) + Int(1LL << 62)),
                         absl::StrCat(Int(1LL << 62), Int(9), Int(9)))}}));
  ASSERT_THAT(objects.tensors, SizeIs(1));
  EXPECT_THAT(objects.tensors[0].shape, ElementsAre(0, 1, 1LL << 62));
  EXPECT_THAT(objects.tensors[0].strides, ElementsAre(1, 1, 1));
  EXPECT_EQ(objects.tensors[0].storage_offset, 0);
}

TEST(TorchObjectsTest, TakesScalarsAndExpandedTensors) {
  const TorchObjects objects =
      MustRead(Dict({{"s", Tensor(Storage("FloatStorage", "0", 1), 0, "", "")},
                     {"e", Tensor(Storage("FloatStorage", "1", 1), 0,
                                  Int(1000) + Int(1000), Raw("K\0K\0"))},
                     {"one", Tensor(Storage("FloatStorage", "2", 1), 0, "K\1",
                                    Int(1LL << 62))}}));
  ASSERT_THAT(objects.tensors, SizeIs(3));
  EXPECT_THAT(objects.tensors[0].shape, IsEmpty());
  EXPECT_THAT(objects.tensors[1].shape, ElementsAre(1000, 1000));
}

struct Bad {
  std::string value;
  absl::StatusCode code;
  const char* message;
};

constexpr absl::StatusCode kLoss = absl::StatusCode::kDataLoss;
constexpr absl::StatusCode kNotRead = absl::StatusCode::kUnimplemented;

void ExpectRefused(absl::Span<const Bad> table) {
  for (const Bad& bad : table) {
    EXPECT_THAT(Read(bad.value),
                StatusIs(bad.code,
                         AllOf(StartsWith("m.bin: "), HasSubstr(bad.message))));
  }
}

TEST(TorchObjectsTest, RefusesNumbersThatCannotBe) {
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

TEST(TorchObjectsTest, RefusesArgumentsOfTheWrongKind) {
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

TEST(TorchObjectsTest, NamesTheTensorOfAKindThatIsNotRead) {
  for (const char* function :
       {"_rebuild_sparse_tensor", "_rebuild_qtensor", "_rebuild_nested_tensor",
        "_rebuild_meta_tensor_no_storage", "_rebuild_wrapper_subclass",
        "_rebuild_device_tensor_from_numpy", "_rebuild_xla_tensor",
        "_rebuild_sparse_csr_tensor"}) {
    EXPECT_THAT(Read(Dict({{"m", Dict({{"w", Call(function, "N")}})}})),
                StatusIs(kNotRead, AllOf(HasSubstr("m.bin: tensor 'm.w': is a"),
                                         HasSubstr("which is not read here"))))
        << function;
  }
}

TEST(TorchObjectsTest, RefusesEntriesThatOnlyForeignCodeCanMake) {
  const std::string call = Global("m", "f") + ")R";
  const std::string subclass =
      Global("torch._tensor", "_rebuild_from_type_v2") + "(" +
      Global("torch._utils", "_rebuild_tensor") + Global("m", "MyTensor") +
      "(" + Storage("FloatStorage", "0", 4) + Raw("K\0K\2\x85K\1\x85t}tR");
  const Bad kBad[] = {
      {Dict({{"a", Small()}, {"b", call}}), kNotRead,
       "entry 'b' of the state dict is m.f()"},
      {Dict({{"b", call}, {"a", Small()}}), kNotRead, "entry 'b'"},
      {Dict({{"b", call}}), kNotRead, "entry 'b'"},
      {Dict({{"b", Global("m", "C")}}), kNotRead, "entry 'b'"},
      {Dict({{"m", Dict({{"a", Small()}, {"b", call}})}}), kNotRead, "'m.b'"},
      {Dict({{"a", Small()}, {"b", call + ")R"}}), kNotRead, "entry 'b'"},
      {Dict({{"a", subclass}}), kNotRead,
       "tensor 'a': is of class 'm.MyTensor', which is not known here"},
      {Dict({{"a", Global("torch._utils", "_rebuild_new_kind") + ")R"}}),
       kNotRead, "entry 'a' of the state dict is torch._utils._rebuild_new"},
  };
  ExpectRefused(kBad);
}

TEST(TorchObjectsTest, RefusesWhatIsNoStateDict) {
  const Bad kBad[] = {
      {"](K\1K\2e", kLoss, "found a list, but a state dict is expected"},
      {"N", kLoss, "found a None, but a state dict"},
      {Small(), kLoss, "found a single tensor, but a state dict"},
      {Global("m", "Net") + ")\x81}b", kLoss,
       "found a whole pickled object (m.Net), not a state dict; save its "
       "state_dict()"},
      {"(" + Str("module") + Global("m", "Net") + Str("net.py") +
           Str("class Net: ..") + "tQ)\x81}b",
       kLoss, "found a whole pickled object (<persistent ('module', m.Net"},
  };
  ExpectRefused(kBad);
}

TEST(TorchObjectsTest, RefusesTwoEntriesOfOneName) {
  const Bad kBad[] = {
      {Dict({{"a", Small()}, {"a", Small()}}), kLoss,
       "two entries of the state dict are called 'a'"},
      {Dict({{"a.b", Small()}, {"a", Dict({{"b", Small()}})}}), kLoss,
       "two entries of the state dict are called 'a.b'"},
      {Dict({{"a", Small()}, {"a", "K\1"}}), kLoss, "called 'a'"},
      {"}(" + Str("1") + Small() + "K\1" + Small() + "u", kLoss, "called '1'"},
  };
  ExpectRefused(kBad);
}

TEST(TorchObjectsTest, BoundsWhatItWalks) {
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
      {Dict({{std::string(5000, 'n'), Small()}}), kTooMuch,
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
  EXPECT_THAT(Read(wide), StatusIs(kTooMuch, HasSubstr("more entries")));
}

TEST(TorchObjectsTest, CutsLongValuesAndManyOfThem) {
  std::vector<std::pair<std::string, std::string>> entries;
  entries.emplace_back("w", Small());
  for (int i = 0; i < 2000; ++i) {
    entries.emplace_back(absl::StrCat("v", i), Str(std::string(2000, 'x')));
  }
  const TorchObjects objects = MustRead(Dict(entries));
  ASSERT_THAT(objects.values, SizeIs(2000));
  int64_t bytes = 0;
  for (const auto& [path, text] : objects.values) {
    EXPECT_LE(text.size(), kMaxTorchValueBytes + 3);
    bytes += static_cast<int64_t>(text.size());
  }
  EXPECT_LE(bytes, kMaxTorchValuesBytes + 3 * 2000);
}

TEST(TorchObjectsTest, ReadsManyTensors) {
  const absl::StatusOr<Pickle> pickle =
      Pickle::ParseOwned(StateDictPickle(20'000));
  ASSERT_THAT(pickle.status(), IsOk());
  const absl::StatusOr<TorchObjects> objects =
      ReadTorchObjects(*pickle, "m.bin");
  ASSERT_THAT(objects.status(), IsOk());
  EXPECT_THAT(objects->tensors, SizeIs(20'000));
  EXPECT_EQ(objects->tensors[19'999].name, "encoder.layer.19999.output.weight");
}

}  // namespace
}  // namespace pretrained
