#include "checkpoint/torch/torch_objects.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/pickle/pickle.h"
#include "checkpoint/pickle/pickle_testutil.h"
#include "checkpoint/torch/torch_objects_testutil.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using absl_testing::IsOk;
using absl_testing::StatusIs;
using checkpoint_testing::Call;
using checkpoint_testing::Dict;
using checkpoint_testing::Global;
using checkpoint_testing::Int;
using checkpoint_testing::Raw;
using checkpoint_testing::ReadObjects;
using checkpoint_testing::SmallTensor;
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

TorchObjects MustRead(const std::string& value) {
  absl::StatusOr<TorchObjects> objects = ReadObjects(value);
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

TEST(TorchObjectsTest, ReadsAStateDict) {
  const TorchObjects objects = MustRead(Dict(
      {{"a.weight", SmallTensor()},
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
  EXPECT_THAT(
      ReadObjects(Dict({{"a", Tensor(storage(4, 3), 2, "K\2", "K\1")}})),
      StatusIs(absl::StatusCode::kDataLoss,
               HasSubstr("tensor 'a': shape [2] with strides [1] from "
                         "2 on needs 4 elements, but its view of "
                         "storage '94' has 3")));
  EXPECT_THAT(
      ReadObjects(Dict({{"a", Tensor(storage(8, 3), 0, "K\2", "K\1")}})),
      StatusIs(absl::StatusCode::kDataLoss,
               HasSubstr("views 3 elements from 8 on of storage '94', "
                         "which has 10")));
  EXPECT_THAT(
      ReadObjects(Dict({{"a", Tensor(storage(-1, 3), 0, "K\2", "K\1")}})),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("'a'")));
}

TEST(TorchObjectsTest, FlattensByPath) {
  const TorchObjects objects = MustRead(
      Dict({{"model", Dict({{"a", SmallTensor()}, {"b", SmallTensor()}})},
            {"epoch", "K\3"},
            {"list",
             "](" + SmallTensor() + "K\5" + Dict({{"x", SmallTensor()}}) + "e"},
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
             Dict({{"state", "}K\7" + Dict({{"exp_avg", SmallTensor()}}) + "s"},
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
  const std::string pair = "(l(l" + Str("a") + "a" + SmallTensor() + "aa";
  const std::string kDicts[] = {
      Global("collections", "OrderedDict") + ")R" + Str("a") + SmallTensor() +
          "s",
      Global("collections", "OrderedDict") + ")R" + Str("a") + SmallTensor() +
          "s" + Dict({{"_metadata", "}"}}) + "b",
      Global("collections", "OrderedDict") + pair + "\x85R",
      Global("collections", "defaultdict") + Global("builtins", "list") +
          "\x85R" + Str("a") + SmallTensor() + "s",
      Global("collections", "Counter") + Dict({{"a", SmallTensor()}}) + "\x85R",
  };
  for (const std::string& dict : kDicts) {
    EXPECT_THAT(Names(MustRead(dict)), ElementsAre("a"));
    EXPECT_THAT(Names(MustRead(Dict({{"m", dict}}))), ElementsAre("m.a"));
  }
}

TEST(TorchObjectsTest, LooksIntoNoObjectItDoesNotKnow) {
  const std::string object =
      Global("m", "C") + ")\x81" + Dict({{"hidden", SmallTensor()}}) + "b";
  const TorchObjects objects = MustRead(
      Dict({{"state_dict", Dict({{"a", SmallTensor()}})},
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

TEST(TorchObjectsTest, CutsLongValuesAndManyOfThem) {
  std::vector<std::pair<std::string, std::string>> entries;
  entries.emplace_back("w", SmallTensor());
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
