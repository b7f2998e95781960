#include "checkpoint/loading/run_reads.h"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/time/time.h"
#include "checkpoint/loading/fake_file_source.h"
#include "checkpoint/loading/read_plan.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr int64_t kBytes = 100000;

std::string Numbers() {
  std::string bytes(kBytes, '\0');
  for (int64_t i = 0; i < kBytes; ++i) bytes[i] = static_cast<char>(i * i / 5);
  return bytes;
}

ReadPlan Plan() {
  return PlanReads({{.tensor = 0, .begin = 3, .end = kBytes}},
                   {.max_read_bytes = 1000, .block_bytes = 16});
}

std::vector<ReadJob> Jobs(const FileSource& source, const ReadPlan& plan) {
  std::vector<ReadJob> jobs;
  for (const PlannedRead& read : plan.reads) jobs.push_back({&source, &read});
  return jobs;
}

absl::Status Ignore(const ReadPiece&, const char*) { return absl::OkStatus(); }

TEST(RunReadsTest, EveryPieceReachesTheConsumer) {
  for (const int threads : {1, 4}) {
    for (const int64_t block : {1, 512}) {
      FakeFileSource source(Numbers());
      source.block = block;
      const ReadPlan plan = Plan();
      std::string got(kBytes, '\0');
      ASSERT_THAT(RunReads(Jobs(source, plan),
                           [&](const ReadPiece& piece, const char* bytes) {
                             std::memcpy(got.data() + piece.begin, bytes,
                                         piece.end - piece.begin);
                             return absl::OkStatus();
                           },
                           {.num_threads = threads}),
                  IsOk());
      EXPECT_EQ(got.substr(3), Numbers().substr(3));
    }
  }
}

TEST(RunReadsTest, WhatHasADestinationGoesThere) {
  const FakeFileSource source(Numbers());
  const ReadPlan plan = Plan();
  std::string got(kBytes, '\0');
  std::vector<ReadJob> jobs = Jobs(source, plan);
  for (ReadJob& job : jobs) job.destination = got.data() + job.read->begin;
  ASSERT_THAT(RunReads(jobs,
                       [](const ReadPiece&, const char*) {
                         return absl::InternalError("nobody asked");
                       },
                       {.num_threads = 3}),
              IsOk());
  EXPECT_EQ(got.substr(3), Numbers().substr(3));
}

TEST(RunReadsTest, TheFirstErrorEndsAll) {
  FakeFileSource source(Numbers());
  source.errors = {0, 0, 0, EIO};
  const ReadPlan plan = Plan();
  ASSERT_THAT(plan.reads, SizeIs(testing::Gt(50)));
  EXPECT_THAT(
      RunReads(Jobs(source, plan), Ignore, {.num_threads = 2}),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("fake: cannot read")));
  EXPECT_LT(source.calls(), 8u);
}

TEST(RunReadsTest, AConsumersErrorIsOneToo) {
  const FakeFileSource source(Numbers());
  const ReadPlan plan = Plan();
  EXPECT_THAT(RunReads(Jobs(source, plan),
                       [](const ReadPiece&, const char*) {
                         return absl::InvalidArgumentError("not mine");
                       },
                       {.num_threads = 2}),
              StatusIs(absl::StatusCode::kInvalidArgument, "not mine"));
}

TEST(RunReadsTest, CanBeCancelled) {
  const FakeFileSource source(Numbers());
  const ReadPlan plan = Plan();
  std::atomic<int> asked = 0;
  EXPECT_THAT(
      RunReads(Jobs(source, plan), Ignore,
               {.num_threads = 2, .is_cancelled = [&] { return ++asked > 5; }}),
      StatusIs(absl::StatusCode::kCancelled));
  EXPECT_LT(source.calls(), 8u);
}

TEST(RunReadsTest, ReportsProgressInTheCallingThread) {
  const FakeFileSource source(Numbers());
  const ReadPlan plan = Plan();
  int64_t last = 0;
  ASSERT_THAT(RunReads(Jobs(source, plan), Ignore,
                       {.num_threads = 1,
                        .progress =
                            [&](int64_t done) {
                              EXPECT_GT(done, last);
                              last = done;
                            }}),
              IsOk());
  EXPECT_EQ(last, kBytes - 3);
}

TEST(RunReadsTest, TellsOfEveryReadThatWasDone) {
  const FakeFileSource source(Numbers());
  const ReadPlan plan = Plan();
  const std::vector<ReadJob> jobs = Jobs(source, plan);
  std::atomic<int64_t> bytes = 0;
  ASSERT_THAT(
      RunReads(jobs, Ignore,
               {.num_threads = 3,
                .finished =
                    [&](const ReadJob& job, absl::Time begin, absl::Time end) {
                      EXPECT_LE(begin, end);
                      bytes += job.read->nbytes();
                    }}),
      IsOk());
  EXPECT_EQ(bytes, kBytes - 3);
}

TEST(RunReadsTest, NoJobsAreDoneAtOnce) {
  EXPECT_THAT(RunReads({}, Ignore, {.num_threads = 4}), IsOk());
}

}  // namespace
}  // namespace pretrained
