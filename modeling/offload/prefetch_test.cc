#include "modeling/offload/prefetch.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Where weights come from: number i is a tensor of the one value i.
struct Source {
  absl::Mutex mutex;
  std::vector<int> fetched;
  std::vector<int> ahead;
  std::vector<int> let_go;
  std::atomic<int> failing = -1;

  WeightPrefetcher::Fetch Fetch() {
    return [this](int weight, bool is_ahead) -> absl::StatusOr<FetchedWeight> {
      absl::MutexLock lock(&mutex);
      fetched.push_back(weight);
      if (is_ahead) ahead.push_back(weight);
      if (weight == failing) return absl::DataLossError("cut");
      return FetchedWeight{.tensor = at::full({1}, weight)};
    };
  }
  WeightPrefetcher::LetGo LetGo() {
    return [this](int weight) {
      absl::MutexLock lock(&mutex);
      let_go.push_back(weight);
    };
  }
};

TEST(WeightPrefetcherTest, FetchesWhatIsAskedForAndLetsItGo) {
  Source source;
  WeightPrefetcher weights({8, 8}, source.Fetch(), source.LetGo(), 0);
  auto tensors = weights.Acquire({1, 0});
  ASSERT_THAT(tensors, IsOk());
  EXPECT_EQ((*tensors)[0].item<int>(), 1);
  EXPECT_EQ((*tensors)[1].item<int>(), 0);
  weights.Plan({0, 1});
  weights.Release({1, 0});
  EXPECT_THAT(source.let_go, ElementsAre(1, 0));
  EXPECT_THAT(source.ahead, IsEmpty()) << "with no bytes for it";
}

TEST(WeightPrefetcherTest, OneInUseBySeveralIsFetchedOnce) {
  Source source;
  WeightPrefetcher weights({8}, source.Fetch(), source.LetGo(), 0);
  ASSERT_THAT(weights.Acquire({0}), IsOk());
  ASSERT_THAT(weights.Acquire({0}), IsOk());
  weights.Release({0});
  EXPECT_THAT(source.let_go, IsEmpty());
  weights.Release({0});
  EXPECT_THAT(source.let_go, ElementsAre(0));
  EXPECT_THAT(source.fetched, ElementsAre(0));
}

TEST(WeightPrefetcherTest, PlannedOnesComeAheadInOrderAsFarAsThereIsRoom) {
  Source source;
  WeightPrefetcher weights({8, 8, 8, 8, 99}, source.Fetch(), source.LetGo(),
                           16);
  weights.Plan({4, 2, 0, 1});
  weights.WaitUntilIdle();
  EXPECT_THAT(source.ahead, ElementsAre(2, 0)) << "4 is too large, ever";
  ASSERT_THAT(weights.Acquire({2}), IsOk());
  weights.WaitUntilIdle();
  EXPECT_THAT(source.fetched, ElementsAre(2, 0, 1)) << "2 left room";
  weights.Release({2});
  EXPECT_THAT(source.let_go, ElementsAre(2)) << "no room to stay";
}

TEST(WeightPrefetcherTest, WhatThePlanNamesNoMoreMakesRoom) {
  Source source;
  WeightPrefetcher weights({8, 8, 8}, source.Fetch(), source.LetGo(), 8);
  weights.Plan({0});
  weights.WaitUntilIdle();
  weights.Plan({1});
  weights.WaitUntilIdle();
  EXPECT_THAT(source.ahead, ElementsAre(0, 1));
  EXPECT_THAT(source.let_go, ElementsAre(0));
}

TEST(WeightPrefetcherTest, OneThatIsNeededSoonStaysIfThereIsRoom) {
  Source source;
  WeightPrefetcher weights({8}, source.Fetch(), source.LetGo(), 8);
  ASSERT_THAT(weights.Acquire({0}), IsOk());
  weights.Plan({0});
  weights.Release({0});
  ASSERT_THAT(weights.Acquire({0}), IsOk());
  EXPECT_THAT(source.fetched, ElementsAre(0));
  weights.Release({0});
}

TEST(WeightPrefetcherTest, AnErrorGoesToWhoAsksAndIsGoneAfter) {
  Source source;
  source.failing = 1;
  WeightPrefetcher weights({8, 8, 8}, source.Fetch(), source.LetGo(), 16);
  weights.Plan({1, 2});
  weights.WaitUntilIdle();
  EXPECT_THAT(source.ahead, ElementsAre(1, 2)) << "1 once";
  EXPECT_THAT(weights.Acquire({0, 1}),
              StatusIs(absl::StatusCode::kDataLoss, "cut"));
  EXPECT_THAT(source.let_go, ElementsAre(0)) << "which was not to be had alone";
  source.failing = -1;
  ASSERT_THAT(weights.Acquire({0, 1}), IsOk());
  weights.Release({0, 1});
}

TEST(WeightPrefetcherTest, ManyThreadsShareWeights) {
  Source source;
  WeightPrefetcher weights(std::vector<int64_t>(6, 8), source.Fetch(),
                           source.LetGo(), 16);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const int first = (i + t) % 6;
        const int second = (first + 1) % 6;
        auto tensors = weights.Acquire({first, second});
        if (!tensors.ok() || (*tensors)[0].item<int>() != first ||
            (*tensors)[1].item<int>() != second) {
          ++wrong;
        }
        weights.Plan({(first + 2) % 6, (first + 3) % 6});
        if (tensors.ok()) weights.Release({first, second});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(WeightPrefetcherTest, DestructionWaitsForTheFetchUnderWay) {
  absl::Notification began, may_end;
  std::atomic<bool> ended = false;
  auto weights = std::make_unique<WeightPrefetcher>(
      std::vector<int64_t>{8},
      [&](int, bool) -> absl::StatusOr<FetchedWeight> {
        began.Notify();
        may_end.WaitForNotification();
        ended = true;
        return FetchedWeight{.tensor = at::zeros({1})};
      },
      [](int) {}, 8);
  weights->Plan({0});
  began.WaitForNotification();
  std::thread releases([&] { may_end.Notify(); });
  weights.reset();
  EXPECT_TRUE(ended);
  releases.join();
}

TEST(ExecutionOrderTest, IsThatOfTheNumbersUntilAnotherIsLearnt) {
  ExecutionOrder order(4);
  EXPECT_THAT(order.Upcoming(2, 9), ElementsAre(3, 0, 1));
  EXPECT_THAT(order.Upcoming(2, 2), ElementsAre(3, 0));
  order.Learn(2, 1);
  order.Learn(1, 3);
  EXPECT_THAT(order.Upcoming(2, 9), ElementsAre(1, 3, 0));
  order.Learn(3, 1);  // A circle of 1 and 3.
  EXPECT_THAT(order.Upcoming(2, 9), ElementsAre(1, 3));
  EXPECT_THAT(ExecutionOrder(1).Upcoming(0, 9), IsEmpty());
}

}  // namespace
}  // namespace pretrained
