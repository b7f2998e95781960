#include "checkpoint/loading/engine_choice.h"

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "checkpoint/loading/file_system_kind.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

constexpr int64_t kGigabyte = 1000000000;

FileFacts Facts(FileSystemKind kind, std::optional<double> cached) {
  return {.file_system = kind,
          .cached_fraction = cached,
          .mapped_bytes = kGigabyte,
          .available_bytes = 10 * kGigabyte};
}

TEST(EngineChoiceTest, WhatIsWarmIsMapped) {
  for (const FileSystemKind kind :
       {FileSystemKind::kLocal, FileSystemKind::kNetwork,
        FileSystemKind::kFuse}) {
    for (const Sharing sharing : {Sharing::kAuto, Sharing::kShared}) {
      EXPECT_EQ(ChooseEngine(Facts(kind, 1.0), sharing).as_stored,
                ReadEngine::kMapped);
    }
    EXPECT_EQ(ChooseEngine(Facts(kind, 1.0), Sharing::kPrivate).as_stored,
              ReadEngine::kBuffered);
  }
}

TEST(EngineChoiceTest, WhatIsColdIsReadAsItsStorageWants) {
  const auto cold = [](FileSystemKind kind, Sharing sharing) {
    return ChooseEngine(Facts(kind, 0.0), sharing);
  };
  EXPECT_EQ(cold(FileSystemKind::kLocal, Sharing::kAuto).as_stored,
            ReadEngine::kDirect);
  EXPECT_EQ(cold(FileSystemKind::kLocal, Sharing::kAuto).converted,
            ReadEngine::kDirect);
  EXPECT_EQ(cold(FileSystemKind::kNetwork, Sharing::kAuto).as_stored,
            ReadEngine::kStreaming);
  EXPECT_EQ(cold(FileSystemKind::kFuse, Sharing::kPrivate).converted,
            ReadEngine::kStreaming);
  EXPECT_EQ(cold(FileSystemKind::kLocal, Sharing::kShared).as_stored,
            ReadEngine::kWarmed);
}

// tmpfs is memory already.
TEST(EngineChoiceTest, MemoryIsMappedWhateverItTells) {
  for (const std::optional<double> cached : {std::optional<double>(), {0.0}}) {
    const FileFacts facts = Facts(FileSystemKind::kMemory, cached);
    EXPECT_EQ(ChooseEngine(facts, Sharing::kAuto).as_stored,
              ReadEngine::kMapped);
    EXPECT_EQ(ChooseEngine(facts, Sharing::kPrivate).as_stored,
              ReadEngine::kBuffered);
  }
}

TEST(EngineChoiceTest, WithoutRoomWhatIsColdIsMappedAllTheSame) {
  FileFacts facts = Facts(FileSystemKind::kLocal, 0.0);
  facts.available_bytes = kGigabyte;
  EXPECT_EQ(ChooseEngine(facts, Sharing::kAuto).as_stored, ReadEngine::kDirect);
  facts.converted_bytes = 1;
  EXPECT_EQ(ChooseEngine(facts, Sharing::kAuto).as_stored, ReadEngine::kWarmed);
  EXPECT_EQ(ChooseEngine(facts, Sharing::kPrivate).as_stored,
            ReadEngine::kDirect);
}

TEST(EngineChoiceTest, AFileSystemThatDoesNotTellCountsAsWarm) {
  const FileFacts facts = Facts(FileSystemKind::kLocal, std::nullopt);
  EXPECT_EQ(ChooseEngine(facts, Sharing::kAuto).as_stored, ReadEngine::kMapped);
  EXPECT_EQ(ChooseEngine(facts, Sharing::kAuto).converted,
            ReadEngine::kBuffered);
}

TEST(EngineChoiceTest, WhatIsSmallCountsAsWarm) {
  FileFacts facts = Facts(FileSystemKind::kLocal, 0.0);
  facts.mapped_bytes = kSmallBytes - 1;
  facts.converted_bytes = 1;
  EXPECT_EQ(ChooseEngine(facts, Sharing::kAuto).as_stored, ReadEngine::kMapped);
  EXPECT_EQ(ChooseEngine(facts, Sharing::kAuto).converted,
            ReadEngine::kBuffered);
  facts.converted_bytes = 2;
  EXPECT_EQ(ChooseEngine(facts, Sharing::kAuto).as_stored, ReadEngine::kDirect);
}

TEST(EngineChoiceTest, HalfWarmIsReadThroughTheCache) {
  const FileFacts facts = Facts(FileSystemKind::kLocal, 0.6);
  EXPECT_EQ(ChooseEngine(facts, Sharing::kAuto).as_stored,
            ReadEngine::kBuffered);
}

TEST(EngineChoiceTest, ThreadsAreFewFromMemoryAndMoreFromStorage) {
  EXPECT_EQ(ThreadsFor(ReadEngine::kBuffered, 2), 2);
  EXPECT_EQ(ThreadsFor(ReadEngine::kBuffered, 64), 8);
  EXPECT_EQ(ThreadsFor(ReadEngine::kDirect, 2), 4);
  EXPECT_EQ(ThreadsFor(ReadEngine::kStreaming, 0), 16);
}

TEST(EngineChoiceTest, ThreadsGrowWithTheLatency) {
  const auto threads = [](absl::Duration latency) {
    return ThreadsFor(ReadEngine::kStreaming, 2, latency);
  };
  EXPECT_EQ(threads(absl::Microseconds(200)), 16);
  EXPECT_EQ(threads(absl::Milliseconds(2)), 40);
  EXPECT_EQ(threads(absl::Milliseconds(20)), 64);
  EXPECT_EQ(threads(absl::InfiniteDuration()), 64);
  EXPECT_EQ(ThreadsFor(ReadEngine::kDirect, 2, absl::Milliseconds(20)), 4);
}

TEST(EngineChoiceTest, WhatAnswersLateCountsAsANetwork) {
  FileFacts facts = Facts(FileSystemKind::kLocal, 0.0);
  facts.latency = kNetworkLatency - absl::Microseconds(1);
  EXPECT_EQ(ChooseEngine(facts, Sharing::kAuto).as_stored, ReadEngine::kDirect);
  facts.latency = kNetworkLatency;
  EXPECT_EQ(ChooseEngine(facts, Sharing::kAuto).as_stored,
            ReadEngine::kStreaming);
  EXPECT_EQ(ChooseEngine(facts, Sharing::kAuto).converted,
            ReadEngine::kStreaming);
  EXPECT_EQ(ChooseEngine(facts, Sharing::kShared).as_stored,
            ReadEngine::kWarmed);
}

TEST(EngineChoiceTest, EachEngineHasAName) {
  EXPECT_EQ(ReadEngineName(ReadEngine::kMapped), "mapped");
  EXPECT_EQ(ReadEngineName(ReadEngine::kWarmed), "warmed");
  EXPECT_EQ(ReadEngineName(ReadEngine::kBuffered), "buffered");
  EXPECT_EQ(ReadEngineName(ReadEngine::kDirect), "direct");
  EXPECT_EQ(ReadEngineName(ReadEngine::kStreaming), "streaming");
}

}  // namespace
}  // namespace pretrained
