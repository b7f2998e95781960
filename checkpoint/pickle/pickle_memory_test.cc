// What pickles make us allocate. This test replaces operator new, and so is a
// program of its own.

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/allocation_counter.h"
#include "checkpoint/pickle/pickle.h"
#include "checkpoint/pickle/pickle_testutil.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using checkpoint_testing::Global;
using checkpoint_testing::StateDictPickle;
using checkpoint_testing::Str;

int64_t CostOfParsing(absl::string_view bytes) {
  const int64_t before = checkpoint_testing::AllocatedBytes();
  const bool ok = Pickle::Parse(bytes).ok();
  const int64_t cost = checkpoint_testing::AllocatedBytes() - before;
  EXPECT_TRUE(ok || cost < (int64_t{4} << 30));
  return cost;
}

constexpr int64_t kSmall = 20'000;

TEST(PickleMemoryTest, AllocatesNothingForALengthThatIsALie) {
  for (const char* bytes :
       {"X\xff\xff\xff\x3f.", "\x8d\xff\xff\xff\x3f\x01\x01\x01\x01.",
        "T\xff\xff\xff\x7f.", "B\xff\xff\xff\xff.", "\x8b\xff\xff\xff\x3f.",
        "\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
        "\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "Nr\xff\xff\xff\xff.",
        "Np99999999999\n."}) {
    EXPECT_LT(CostOfParsing(bytes), kSmall) << absl::CHexEscape(bytes);
  }
}

TEST(PickleMemoryTest, TakesAFewTimesTheBytesOfAStateDict) {
  const std::string bytes = StateDictPickle(10'000);
  EXPECT_LT(CostOfParsing(bytes), 12 * static_cast<int64_t>(bytes.size()));
  const absl::StatusOr<Pickle> pickle = Pickle::Parse(bytes);
  ASSERT_TRUE(pickle.ok());
  EXPECT_LT(pickle->memory_bytes(), 6 * static_cast<int64_t>(bytes.size()));
}

std::string Repeated(const std::string& part, int times) {
  std::string bytes;
  for (int i = 0; i < times; ++i) bytes += part;
  return bytes;
}

// Everything that is dear for its length, over and over; the bound is on all
// that was ever allocated, of which less is held at a time.
TEST(PickleMemoryTest, BoundsWhatAHostilePickleCosts) {
  constexpr int kTimes = 100'000;
  std::string far_puts;
  for (int64_t i = 1; i < (int64_t{1} << 31); i += i / 1000 + 1) {
    absl::StrAppend(&far_puts, "p", i, "\n");
  }
  const std::string bodies[] = {
      Repeated("N", kTimes),          Repeated("2", kTimes),
      Repeated("]", kTimes),          Repeated("}", kTimes),
      Repeated("\x8f", kTimes),       Repeated("(", kTimes),
      Repeated("]\x94", kTimes),      Repeated("]Na", kTimes),
      Repeated("}NNs", kTimes),       Repeated("\x85", kTimes),
      Repeated("2\x86", kTimes),      Repeated("Q", kTimes),
      Repeated("(N\x91", kTimes),     Repeated("V\xe9\n", kTimes),
      Repeated("V\\u0041\n", kTimes), Repeated("h\1)R", kTimes),
      Repeated("h\1)RNb", kTimes),    Repeated("h\1)RNa", kTimes),
      Repeated("h\1)RNNs", kTimes),   far_puts,
  };
  for (const std::string& body : bodies) {
    const std::string bytes = absl::StrCat(Global("m", "C"), "q\1", body, ".");
    EXPECT_LT(CostOfParsing(bytes),
              kMaxPickleMemoryPerByte * static_cast<int64_t>(bytes.size()))
        << absl::CHexEscape(body.substr(0, 10));
  }
  std::string globals;
  for (int i = 0; i < kTimes; ++i) {
    absl::StrAppend(&globals, "c", i, "\n\n");
  }
  // Tables grow by doubling: about half of it was given back.
  EXPECT_LT(CostOfParsing("(" + globals + "t."),
            2 * kMaxPickleMemoryPerByte * static_cast<int64_t>(globals.size()));
}

}  // namespace
}  // namespace pretrained
