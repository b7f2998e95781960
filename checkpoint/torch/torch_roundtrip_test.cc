// State dicts at random, through every format and from each into each other.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/safetensors_writer.h"
#include "checkpoint/tensor_source.h"
#include "checkpoint/tensor_to_write.h"
#include "checkpoint/torch/read_testutil.h"
#include "checkpoint/torch/torch_checkpoint.h"
#include "checkpoint/torch/torch_legacy_writer.h"
#include "checkpoint/torch/torch_zip_writer.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadBytes;
using checkpoint_testing::TestLegacyStorage;
using checkpoint_testing::TestView;
using checkpoint_testing::TorchLegacyFile;
using checkpoint_testing::TorchZipFile;
using checkpoint_testing::ViewedBytes;
using checkpoint_testing::WriteTestFile;

enum class Format { kSafetensors, kTorchZip, kTorchLegacy };

// From each format into each other once, in one go.
constexpr Format kTour[] = {Format::kSafetensors, Format::kTorchZip,
                            Format::kTorchLegacy, Format::kSafetensors,
                            Format::kTorchLegacy, Format::kTorchZip,
                            Format::kSafetensors};

// A tensor and the dense bytes that it must have wherever it is read.
struct Expected {
  std::string name;
  Dtype dtype;
  std::vector<int64_t> shape;
  std::string bytes;
  int alias_of = -1;  // The same view as this one.
};

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}

  int64_t Below(int64_t bound) {
    return static_cast<int64_t>(engine_() % static_cast<uint64_t>(bound));
  }
  bool OneIn(int64_t n) { return Below(n) == 0; }

  std::string Bytes(int64_t count) {
    std::string bytes(count, '\0');
    for (char& byte : bytes) byte = static_cast<char>(engine_());
    return bytes;
  }

  // Letters, signs and controls of many scripts.
  std::string Name() {
    static constexpr const char* kPieces[] = {"a",
                                              "Z",
                                              "7",
                                              ".",
                                              "_",
                                              " ",
                                              "\"",
                                              "\\",
                                              "/",
                                              "\n",
                                              "\x01",
                                              "\x7f",
                                              "\xc3\xa9",
                                              "\xd0\x96",
                                              "\xd7\xa9",
                                              "\xd8\xb4",
                                              "\xe0\xa4\x95",
                                              "\xe6\xbc\xa2",
                                              "\xed\x95\x9c",
                                              "\xf0\x9f\xa6\x99",
                                              "\xf0\x9d\x84\x9e",
                                              "weight",
                                              "cpu",
                                              "storage",
                                              "0"};
    std::string name;
    for (int64_t i = 1 + Below(OneIn(20) ? 200 : 12); i > 0; --i) {
      name += kPieces[Below(std::size(kPieces))];
    }
    return name;
  }

  std::vector<int64_t> Shape() {
    std::vector<int64_t> shape(Below(5));
    for (int64_t& extent : shape) extent = OneIn(12) ? 0 : 1 + Below(5);
    if (OneIn(25)) shape = {1 + Below(3000)};
    return shape;
  }

 private:
  std::mt19937_64 engine_;
};

int64_t NumElements(absl::Span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

std::string NewName(Random& random, std::set<std::string>& names) {
  for (;;) {
    std::string name = random.Name();
    if (names.insert(name).second) return name;
  }
}

// Dense tensors of every dtype, some of which are the same as earlier ones.
std::vector<Expected> DenseStateDict(Random& random) {
  std::vector<Expected> tensors;
  std::set<std::string> names;
  for (int64_t i = random.Below(random.OneIn(10) ? 1200 : 12); i > 0; --i) {
    Expected tensor;
    if (!tensors.empty() && random.OneIn(5)) {
      const auto other = static_cast<int>(random.Below(tensors.size()));
      tensor = tensors[other];
      if (tensor.alias_of < 0 && !tensor.bytes.empty()) tensor.alias_of = other;
    } else {
      do {
        tensor.dtype = kAllDtypes[random.Below(kAllDtypes.size())];
      } while (tensor.dtype == Dtype::kComplex128);  // Not of safetensors.
      tensor.shape = random.Shape();
      tensor.bytes =
          random.Bytes(NumElements(tensor.shape) * DtypeSize(tensor.dtype));
    }
    tensor.name = NewName(random, names);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

absl::Status Write(Format format, const std::string& path,
                   std::vector<TensorToWrite> tensors) {
  switch (format) {
    case Format::kTorchZip:
      return WriteTorchZip(path, tensors);
    case Format::kTorchLegacy:
      return WriteTorchLegacy(path, tensors);
    case Format::kSafetensors:
      for (TensorToWrite& tensor : tensors) tensor.alias_of = -1;
      return WriteSafetensors(path, tensors, {{"format", "pt"}});
  }
  return absl::InternalError("no such format");
}

absl::StatusOr<std::unique_ptr<Checkpoint>> Open(Format format,
                                                 const std::string& path) {
  if (format == Format::kSafetensors)
    return SafetensorsCheckpoint::Open({path});
  return TorchCheckpoint::Open({path}, {.check_crc = true});
}

// All of `source` as it would be converted.
std::vector<TensorToWrite> TensorsOf(const Checkpoint& source) {
  const std::vector<int> aliases = FindAliases(source.tensors());
  std::vector<TensorToWrite> tensors;
  for (size_t i = 0; i < aliases.size(); ++i) {
    const TensorInfo& tensor = source.tensors()[i];
    tensors.push_back(TensorFromCheckpoint(source, tensor, tensor.dtype));
    tensors.back().alias_of = aliases[i];
  }
  return tensors;
}

void ExpectHolds(const Checkpoint& checkpoint,
                 const std::vector<Expected>& expected) {
  ASSERT_EQ(checkpoint.tensors().size(), expected.size());
  for (const Expected& want : expected) {
    SCOPED_TRACE(want.name);
    const absl::StatusOr<const TensorInfo*> got = checkpoint.Find(want.name);
    ASSERT_THAT(got, IsOk());
    ASSERT_EQ((*got)->dtype, want.dtype);
    ASSERT_EQ((*got)->shape, want.shape);
    ASSERT_TRUE(ReadBytes(checkpoint, **got) == want.bytes);
    ASSERT_TRUE(ViewedBytes(checkpoint, **got) == want.bytes);
  }
}

// Torch files keep the order of the state dict and know who is whose alias.
void ExpectOrderAndAliases(const Checkpoint& checkpoint,
                           const std::vector<Expected>& expected) {
  std::vector<int> aliases;
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(checkpoint.tensors()[i].name, expected[i].name);
    aliases.push_back(expected[i].alias_of);
  }
  EXPECT_EQ(FindAliases(checkpoint.tensors()), aliases);
}

// Takes `source`, which holds `expected`, through every format.
void Tour(const std::string& folder, std::unique_ptr<Checkpoint> source,
          const std::vector<Expected>& expected) {
  for (size_t leg = 0; leg < std::size(kTour); ++leg) {
    SCOPED_TRACE(leg);
    // Two names in turn, so that a file is written while the other is read.
    const std::string path = absl::StrCat(folder, "/", leg % 2);
    ASSERT_THAT(Write(kTour[leg], path, TensorsOf(*source)), IsOk());
    absl::StatusOr<std::unique_ptr<Checkpoint>> read = Open(kTour[leg], path);
    ASSERT_THAT(read, IsOk());
    ExpectHolds(**read, expected);
    if (::testing::Test::HasFatalFailure()) return;
    source = *std::move(read);
  }
}

TEST(TorchRoundtripTest, DenseStateDictsKeepTheirBytesThroughEveryFormat) {
  const std::string folder = MakeTestFolder("torch roundtrip dense");
  for (uint32_t seed = 0; seed < 250; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const std::vector<Expected> expected = DenseStateDict(random);
    std::vector<TensorToWrite> tensors;
    for (const Expected& tensor : expected) {
      tensors.push_back({.name = tensor.name,
                         .dtype = tensor.dtype,
                         .shape = tensor.shape,
                         .data = tensor.bytes.data(),
                         .alias_of = tensor.alias_of});
    }
    const Format format =
        seed % 2 == 0 ? Format::kTorchZip : Format::kTorchLegacy;
    const std::string path = folder + "/start";
    ASSERT_THAT(Write(format, path, tensors), IsOk());
    absl::StatusOr<std::unique_ptr<Checkpoint>> start = Open(format, path);
    ASSERT_THAT(start, IsOk());
    ExpectHolds(**start, expected);
    ExpectOrderAndAliases(**start, expected);
    Tour(folder, *std::move(start), expected);
    if (HasFatalFailure()) return;
  }
}

// What torch.save() was given: storages, and views that need not be dense.
struct Views {
  std::vector<TestView> views;
  std::vector<TestLegacyStorage> storages;
  std::vector<Expected> expected;

  // A zip archive of stored or deflated records, or a legacy file.
  std::string File(int64_t container) const {
    if (container == 0) return TorchLegacyFile(views, storages);
    std::vector<std::pair<std::string, std::string>> records;
    for (const TestLegacyStorage& storage : storages) {
      records.emplace_back(storage.key, storage.bytes);
    }
    return TorchZipFile(views, records, {.deflate = container == 1});
  }
};

constexpr std::pair<const char*, Dtype> kStorageClasses[] = {
    {"BoolStorage", Dtype::kBool},
    {"ByteStorage", Dtype::kUint8},
    {"CharStorage", Dtype::kInt8},
    {"ShortStorage", Dtype::kInt16},
    {"IntStorage", Dtype::kInt32},
    {"LongStorage", Dtype::kInt64},
    {"HalfStorage", Dtype::kFloat16},
    {"BFloat16Storage", Dtype::kBfloat16},
    {"FloatStorage", Dtype::kFloat32},
    {"DoubleStorage", Dtype::kFloat64},
    {"ComplexFloatStorage", Dtype::kComplex64},
};

// The elements of a view one by one, last dimension fastest.
std::string Gather(const TestView& view, int64_t size,
                   const std::string& storage) {
  std::string bytes;
  const int64_t count = NumElements(view.shape);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i;
    int64_t at = view.offset;
    for (size_t d = view.shape.size(); d-- > 0;) {
      at += rest % view.shape[d] * view.strides[d];
      rest /= view.shape[d];
    }
    bytes += storage.substr(at * size, size);
  }
  return bytes;
}

// Dense, transposed, offset, stepped or expanded: any strides that stay within
// `count` elements.
void RandomView(Random& random, int64_t count, TestView& view) {
  view.shape = random.Shape();
  view.strides.assign(view.shape.size(), 0);
  int64_t last = 0;
  for (size_t d = 0; d < view.shape.size(); ++d) {
    const int64_t steps = std::max<int64_t>(view.shape[d] - 1, 0);
    const int64_t room = steps == 0 ? 4 : (count - 1 - last) / steps;
    view.strides[d] =
        random.OneIn(4) ? 0 : random.Below(std::min(room, int64_t{60}) + 1);
    last += view.strides[d] * steps;
  }
  view.offset = random.Below(count - last);
}

Views StridedStateDict(Random& random) {
  Views made;
  std::set<std::string> names;
  std::vector<int64_t> classes;
  const int64_t storages = 1 + random.Below(4);
  for (int64_t i = 0; i < storages; ++i) {
    classes.push_back(random.Below(std::size(kStorageClasses)));
    const int64_t count = 1 + random.Below(4000);
    made.storages.push_back(
        {.key = absl::StrCat(1000 + i),
         .count = count,
         .bytes = random.Bytes(
             count * DtypeSize(kStorageClasses[classes.back()].second))});
  }
  for (int64_t i = 0; i < 2 * storages; ++i) {
    // Each storage at least once.
    const int64_t which = i < storages ? i : random.Below(storages);
    const auto& [storage_class, dtype] = kStorageClasses[classes[which]];
    const TestLegacyStorage& storage = made.storages[which];
    TestView view = {.name = NewName(random, names),
                     .storage_class = storage_class,
                     .key = storage.key,
                     .storage_count = storage.count};
    RandomView(random, storage.count, view);
    made.expected.push_back({view.name, dtype, view.shape,
                             Gather(view, DtypeSize(dtype), storage.bytes)});
    made.views.push_back(std::move(view));
  }
  return made;
}

TEST(TorchRoundtripTest, ViewsKeepTheirElementsThroughEveryFormat) {
  const std::string folder = MakeTestFolder("torch roundtrip views");
  for (uint32_t seed = 1000; seed < 1250; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Views made = StridedStateDict(random);
    const std::string path =
        WriteTestFile("torch roundtrip views/start", made.File(seed % 3));
    absl::StatusOr<std::unique_ptr<Checkpoint>> start =
        TorchCheckpoint::Open({path});
    ASSERT_THAT(start, IsOk());
    ExpectHolds(**start, made.expected);
    Tour(folder, *std::move(start), made.expected);
    if (HasFatalFailure()) return;
  }
}

// A view is written dense, and one that is there twice is stored once.
TEST(TorchRoundtripTest, TheSameViewOfAStorageStaysTied) {
  const std::string folder = MakeTestFolder("torch roundtrip tied");
  std::string storage(12, '\0');
  for (int i = 0; i < 12; ++i) storage[i] = static_cast<char>(i);
  const TestView transposed = {.name = "a",
                               .storage_class = "ByteStorage",
                               .key = "0",
                               .storage_count = 12,
                               .offset = 0,
                               .shape = {4, 3},
                               .strides = {1, 4}};
  TestView tied = transposed;
  tied.name = "b";
  TestView other = transposed;
  other.name = "c";
  other.offset = 0;
  other.strides = {3, 1};
  const std::string path =
      WriteTestFile("torch roundtrip tied/start",
                    TorchZipFile({transposed, tied, other}, {{"0", storage}}));
  const absl::StatusOr<std::unique_ptr<TorchCheckpoint>> start =
      TorchCheckpoint::Open({path});
  ASSERT_THAT(start, IsOk());
  EXPECT_THAT(FindAliases((*start)->tensors()),
              ::testing::ElementsAre(-1, 0, -1));
  for (const Format format : {Format::kTorchZip, Format::kTorchLegacy}) {
    const std::string out = folder + "/out";
    ASSERT_THAT(Write(format, out, TensorsOf(**start)), IsOk());
    const absl::StatusOr<std::unique_ptr<TorchCheckpoint>> read =
        TorchCheckpoint::Open({out});
    ASSERT_THAT(read, IsOk());
    EXPECT_THAT(FindAliases((*read)->tensors()),
                ::testing::ElementsAre(-1, 0, -1));
    EXPECT_EQ((*read)->storages().size(), 2u);
    EXPECT_EQ(ReadBytes(**read, (*read)->tensors()[1]),
              std::string("\0\4\10\1\5\11\2\6\12\3\7\13", 12));
    EXPECT_EQ(ReadBytes(**read, (*read)->tensors()[2]), storage);
  }
}

}  // namespace
}  // namespace pretrained
