// Kills saves at random moments and at every system call of the switch, has
// every system call fail, and looks at what is left.

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint_index.h"
#include "checkpoint/safetensors_reader.h"
#include "checkpoint/save/save_checkpoint.h"
#include "checkpoint/save/save_journal.h"
#include "checkpoint/save/save_record.h"
#include "checkpoint/save/save_testutil.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

namespace fs = std::filesystem;
using ::absl_testing::IsOk;
using checkpoint_testing::Content;
using checkpoint_testing::Fault;
using checkpoint_testing::FaultyCalls;
using checkpoint_testing::Leftovers;
using checkpoint_testing::MakeMemoryFolder;
using checkpoint_testing::PutFile;
using ::testing::AnyOf;
using ::testing::IsEmpty;
using Kind = Fault::Kind;

constexpr int kTensors = 6;
constexpr int64_t kElements = 4096;

// Generation after generation is saved into one folder. Tensor i of generation
// g is full of 100 g + i; and each takes another number of files than the one
// before: two generations of three have shards, of the same names in part.
int64_t MaxShardBytes(int generation) {
  switch (generation % 3) {
    case 0:
      return kElements * 4 * 2;  // 3 shards.
    case 1:
      return kElements * 4 * 3;  // 2 shards.
    default:
      return kDefaultMaxShardBytes;
  }
}

float ValueOf(int generation, int tensor) { return generation * 100 + tensor; }

absl::Status Save(const std::string& folder, int generation) {
  std::vector<std::vector<float>> values;
  std::vector<TensorToWrite> tensors;
  for (int i = 0; i < kTensors; ++i) {
    values.emplace_back(kElements, ValueOf(generation, i));
    tensors.push_back({.name = absl::StrCat("layer.", i, ".weight"),
                       .dtype = Dtype::kFloat32,
                       .shape = {kElements},
                       .data = values.back().data()});
  }
  return SaveCheckpoint(
             folder, tensors,
             {.max_shard_bytes = MaxShardBytes(generation),
              .other_files = {{"config.json", absl::StrCat(generation)}}})
      .status();
}

// Files that are none of the save's business.
void PutOthers(const std::string& folder) {
  fs::create_directories(folder + "/runs/one");
  PutFile(folder + "/runs/one/events", "some events");
  PutFile(folder + "/vocab \xff.txt", "a b c");
  PutFile(folder + "/pytorch_model.bin", "of another format");
  PutFile(folder + "/model.fp16.safetensors", "of another variant");
  fs::create_symlink("runs/one/events", folder + "/latest");
}

void ExpectOthers(std::map<std::string, std::string>& content) {
  const std::map<std::string, std::string> expected = {
      {"runs", "/"},
      {"runs/one", "/"},
      {"runs/one/events", "some events"},
      {"vocab \xff.txt", "a b c"},
      {"pytorch_model.bin", "of another format"},
      {"model.fp16.safetensors", "of another variant"},
      {"latest", "->runs/one/events"}};
  for (const auto& [path, text] : expected) {
    ASSERT_EQ(content[path], text) << path;
    content.erase(path);
  }
}

// The generation of the checkpoint in `folder`, which must be whole and hold
// nothing else; -1, after a failure, where it is not.
int GenerationIn(const std::string& folder) {
  std::map<std::string, std::string> content = Content(folder);
  ExpectOthers(content);
  int generation = -1;
  EXPECT_TRUE(absl::SimpleAtoi(content["config.json"], &generation));
  content.erase("config.json");

  std::map<std::string, std::string> file_of;  // By tensor.
  const std::string index_name = "model.safetensors.index.json";
  if (content.contains(index_name)) {
    const auto index = CheckpointIndex::Read(folder + "/" + index_name);
    EXPECT_THAT(index, IsOk());
    if (!index.ok()) return -1;
    for (const WeightMapEntry& entry : index->weight_map()) {
      file_of[entry.tensor] = index->shards()[entry.shard];
    }
    content.erase(index_name);
  } else {
    for (int i = 0; i < kTensors; ++i) {
      file_of[absl::StrCat("layer.", i, ".weight")] = "model.safetensors";
    }
  }
  EXPECT_EQ(file_of.size(), static_cast<size_t>(kTensors));
  std::set<std::string> files;
  for (const auto& [tensor, file] : file_of) {
    files.insert(file);
    const auto reader = SafetensorsReader::Open(folder + "/" + file);
    EXPECT_THAT(reader, IsOk());
    if (!reader.ok()) return -1;
    const auto entry = reader->Find(tensor);
    EXPECT_THAT(entry, IsOk());
    if (!entry.ok()) return -1;
    const std::vector<float> expected(kElements,
                                      ValueOf(generation, tensor[6] - '0'));
    const std::string bytes =
        content[file].substr((*entry)->begin, (*entry)->end - (*entry)->begin);
    const bool equal =
        bytes ==
        absl::string_view(reinterpret_cast<const char*>(expected.data()),
                          expected.size() * sizeof(float));
    EXPECT_TRUE(equal) << file << " is not of generation " << generation;
    if (!equal) return -1;
  }
  for (const std::string& file : files) content.erase(file);
  for (const auto& [path, text] : content) {
    ADD_FAILURE() << path << " is left of another save";
    return -1;
  }
  return generation;
}

// Runs `work` in a process of its own, and returns how that ended.
template <typename Work>
int InChild(const Work& work) {
  const pid_t child = fork();
  if (child == 0) {
    work();
    _exit(0);
  }
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

bool WasKilled(int status) {
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

// What a save meets in a folder of each kind.
constexpr Fault kSwaps = {};
constexpr Fault kRefusals[] = {
    {.refused = "exchange", .refusal = EXDEV},
    {.refused = "exchange", .refusal = EINVAL},
    {.refused = "exchange", .refusal = EBUSY},
};

Fault With(Fault way, Kind kind, int at, int error = 0) {
  way.kind = kind;
  way.at = at;
  way.error = error;
  return way;
}

// A folder in which generation 0 is saved.
std::string FolderWithCheckpoint() {
  const std::string folder = MakeMemoryFolder() + "/my model";
  fs::create_directory(folder);
  PutOthers(folder);
  EXPECT_THAT(Save(folder, 0), IsOk());
  EXPECT_EQ(GenerationIn(folder), 0);
  return folder;
}

// What everything that opens a checkpoint sees after a save of `next` over
// `next - 1` came to grief. Returns the generation.
int FindAfter(const std::string& folder, int next) {
  EXPECT_THAT(FinishInterruptedSave(folder), IsOk());
  fs::path journal(folder);
  journal /= std::string(checkpoint_internal::kJournalName);
  EXPECT_FALSE(fs::exists(journal));
  // A staging folder inside is nothing that a reader minds.
  for (const std::string& leftover : Leftovers(folder)) {
    if (absl::StartsWith(leftover, folder)) {
      fs::rename(leftover,
                 fs::path(leftover).parent_path().parent_path() / "moved away");
      const int found = GenerationIn(folder);
      fs::rename(fs::path(leftover).parent_path().parent_path() / "moved away",
                 leftover);
      return found;
    }
  }
  return GenerationIn(folder);
}

// Saves over `folder` once for each call of a save, killed before and after it.
void KillAtEveryCall(const Fault& way) {
  const std::string folder = FolderWithCheckpoint();
  int generation = 0, old = 0, now = 0;
  // As long as any of the three transitions has that many calls.
  int without_kill = 0;
  for (int at = 0; without_kill < 6; ++at) {
    for (const Kind kind : {Kind::kKillBefore, Kind::kKillAfter}) {
      SCOPED_TRACE(absl::StrCat(
          "call ", at, kind == Kind::kKillAfter ? ", after" : ", before"));
      const int next = generation + 1;
      const int status = InChild([&] {
        const FaultyCalls calls(With(way, kind, at));
        if (!Save(folder, next).ok()) _exit(1);
      });
      if (WasKilled(status)) {
        without_kill = 0;
      } else {
        ASSERT_EQ(status, 0);
        ++without_kill;
      }
      const int found = FindAfter(folder, next);
      ASSERT_THAT(found, AnyOf(generation, next));
      ++(found == next ? now : old);
      {
        const FaultyCalls calls(way);
        ASSERT_THAT(Save(folder, next + 1), IsOk());
      }
      ASSERT_EQ(GenerationIn(folder), next + 1);
      ASSERT_THAT(Leftovers(folder), IsEmpty());
      generation = next + 1;
    }
  }
  // Both outcomes were seen: the switch lay between.
  EXPECT_GT(old, 20);
  EXPECT_GT(now, 20);
}

TEST(SaveCrashTest, KilledAtAnyCallWhileSwappingLeavesOldOrNew) {
  KillAtEveryCall(kSwaps);
}

TEST(SaveCrashTest, KilledAtAnyCallWithAJournalLeavesOldOrNew) {
  for (const Fault& way : kRefusals) KillAtEveryCall(way);
}

// In a folder whose parent may not be written.
TEST(SaveCrashTest, KilledAtAnyCallInsideTheFolderLeavesOldOrNew) {
  const std::string folder = FolderWithCheckpoint();
  const std::string before = fs::current_path();
  fs::current_path(folder);  // One of the things that keep it inside.
  int generation = 0;
  for (int at = 0, killed = 1; killed > 0; ++at) {
    killed = 0;
    for (int kind = 0; kind < 2; ++kind) {
      SCOPED_TRACE(absl::StrCat("call ", at));
      const int status = InChild([&] {
        const FaultyCalls calls(
            {.kind = kind == 0 ? Kind::kKillBefore : Kind::kKillAfter,
             .at = at});
        if (!Save(".", generation + 1).ok()) _exit(1);
      });
      killed += WasKilled(status);
      ASSERT_THAT(FindAfter(folder, generation + 1),
                  AnyOf(generation, generation + 1));
      ASSERT_THAT(Save(".", generation + 2), IsOk());
      ASSERT_EQ(GenerationIn(folder), generation + 2);
      ASSERT_THAT(Leftovers(folder), IsEmpty());
      generation += 2;
    }
  }
  EXPECT_TRUE(fs::exists("config.json")) << "the current folder was replaced";
  fs::current_path(before);
}

TEST(SaveCrashTest, KilledAtRandomMomentsLeavesOldOrNew) {
  const std::string folder = FolderWithCheckpoint();
  int generation = 0;
  // How long a save takes, as this machine is now.
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  for (int i = 0; i < 6; ++i) {
    InChild([&] { (void)Save(folder, generation + 1); });
    ASSERT_EQ(GenerationIn(folder), ++generation);
  }
  auto span = (Clock::now() - start) / 6;
  std::mt19937 random(20230);
  int old = 0;
  for (int killed = 0; killed < 300;) {
    const Fault way = killed % 2 == 0 ? kSwaps : kRefusals[killed / 2 % 3];
    const int next = generation + 1;
    SCOPED_TRACE(absl::StrCat("after ", killed, " kills"));
    const pid_t child = fork();
    if (child == 0) {
      const FaultyCalls calls(way);
      (void)Save(folder, next);
      _exit(0);
    }
    const auto until = Clock::now() + span * (random() % 1000) / 1000;
    while (Clock::now() < until) usleep(20);
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    // Keeps to how fast the machine is just now.
    span = WasKilled(status) ? span * 11 / 10 : span * 4 / 5;
    killed += WasKilled(status);
    const int found = FindAfter(folder, next);
    ASSERT_THAT(found, AnyOf(generation, next));
    old += found == generation;
    ASSERT_THAT(Save(folder, next + 1), IsOk());
    ASSERT_EQ(GenerationIn(folder), next + 1);
    ASSERT_THAT(Leftovers(folder), IsEmpty());
    generation = next + 1;
  }
  EXPECT_GT(old, 0);
}

// A reader that is killed while it finishes a save, and the one after it.
TEST(SaveCrashTest, KilledWhileFinishingASaveLeavesItToBeFinished) {
  const std::string folder = FolderWithCheckpoint();
  const std::string journal =
      absl::StrCat(folder, "/", checkpoint_internal::kJournalName);
  int generation = 0;
  bool killed = true;
  for (int at = 0; killed; ++at) {
    SCOPED_TRACE(absl::StrCat("call ", at));
    for (const Kind kind : {Kind::kKillBefore, Kind::kKillAfter}) {
      const int next = generation + 1;
      // Killed with the journal in place, whichever call that is.
      for (int save_at = 0; !fs::exists(journal); ++save_at) {
        const int status = InChild([&] {
          Fault way = With(kRefusals[0], Kind::kKillAfter, save_at);
          way.only = "rename";
          const FaultyCalls calls(way);
          (void)Save(folder, next);
        });
        ASSERT_TRUE(WasKilled(status));
      }
      const int status = InChild([&] {
        const FaultyCalls calls({.kind = kind, .at = at});
        if (!FinishInterruptedSave(folder).ok()) _exit(1);
      });
      killed = WasKilled(status);
      if (!killed) {
        ASSERT_EQ(status, 0);
      }
      ASSERT_EQ(FindAfter(folder, next), next);
      ASSERT_THAT(Save(folder, next + 1), IsOk());
      ASSERT_THAT(Leftovers(folder), IsEmpty());
      generation = next + 1;
    }
  }
}

// Has every call fail, one a time or all from one on.
void FailAtEveryCall(const Fault& way, bool may_be_new) {
  const std::string folder = FolderWithCheckpoint();
  int generation = 0;
  for (const Kind kind : {Kind::kFail, Kind::kFailFromHere}) {
    int whole_saves = 0;
    for (int at = 0; whole_saves < 3; ++at) {
      for (const int error : {ENOSPC, EIO}) {
        SCOPED_TRACE(absl::StrCat("call ", at, ", errno ", error,
                                  kind == Kind::kFail ? "" : " from there on"));
        const int next = generation + 1;
        absl::Status status;
        int calls_made = 0;
        {
          const FaultyCalls calls(With(way, kind, at, error));
          status = Save(folder, next);
          calls_made = FaultyCalls::count();
        }
        if (error == EIO) whole_saves = calls_made <= at ? whole_saves + 1 : 0;
        const int found = FindAfter(folder, next);
        if (status.ok()) {
          ASSERT_EQ(found, next);
        } else if (may_be_new || kind == Kind::kFailFromHere) {
          ASSERT_THAT(found, AnyOf(generation, next)) << status;
        } else {
          ASSERT_EQ(found, generation) << status;
        }
        ASSERT_THAT(Save(folder, next + 1), IsOk());
        ASSERT_EQ(GenerationIn(folder), next + 1);
        ASSERT_THAT(Leftovers(folder), IsEmpty());
        generation = next + 1;
      }
    }
  }
}

TEST(SaveCrashTest, AFailingCallWhileSwappingLeavesTheOldCheckpoint) {
  FailAtEveryCall(kSwaps, /*may_be_new=*/false);
}

// Once the journal stands, the save is to be finished whatever fails.
TEST(SaveCrashTest, AFailingCallWithAJournalLeavesOldOrNew) {
  FailAtEveryCall(kRefusals[0], /*may_be_new=*/true);
}

// Readers that finish what the saving process is about to finish itself, and
// that come late: stopped anywhere, they go on when another save is under way.
TEST(SaveCrashTest, ReadersAndTheWriterMayFinishASaveTogether) {
  const std::string folder = FolderWithCheckpoint();
  std::vector<pid_t> readers;
  for (int i = 0; i < 3; ++i) {
    readers.push_back(fork());
    if (readers.back() == 0) {
      while (FinishInterruptedSave(folder).ok()) {
      }
      _exit(1);
    }
  }
  for (int generation = 1; generation <= 100; ++generation) {
    {
      const FaultyCalls calls(kRefusals[0]);
      ASSERT_THAT(Save(folder, generation), IsOk());
    }
    for (const pid_t reader : readers) {
      int status = 0;
      kill(reader, SIGSTOP);
      ASSERT_EQ(waitpid(reader, &status, WUNTRACED), reader);
      ASSERT_TRUE(WIFSTOPPED(status)) << "a reader met an error";
    }
    ASSERT_EQ(FindAfter(folder, generation), generation);
    for (const pid_t reader : readers) kill(reader, SIGCONT);
  }
  for (const pid_t reader : readers) {
    int status = 0;
    kill(reader, SIGKILL);
    waitpid(reader, &status, 0);
  }
  ASSERT_THAT(Save(folder, 101), IsOk());
  EXPECT_EQ(GenerationIn(folder), 101);
  EXPECT_THAT(Leftovers(folder), IsEmpty());
}

}  // namespace
}  // namespace pretrained
