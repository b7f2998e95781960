#include "checkpoint/loading/read_plan.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "checkpoint/checkpoint.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

std::vector<std::pair<int64_t, int64_t>> Spans(const ReadPlan& plan) {
  std::vector<std::pair<int64_t, int64_t>> spans;
  for (const PlannedRead& read : plan.reads) {
    spans.push_back({read.begin, read.end});
  }
  return spans;
}

WantedRange Range(size_t tensor, int64_t begin, int64_t end,
                  int64_t element_bytes = 1, int file = 0) {
  return {.tensor = tensor,
          .file = file,
          .begin = begin,
          .end = end,
          .element_bytes = element_bytes};
}

TEST(ReadPlanTest, WhatLiesCloseTogetherIsOneRead) {
  const ReadPlan plan =
      PlanReads({Range(1, 150, 200), Range(0, 0, 100), Range(2, 300, 310)},
                {.max_read_bytes = 1000, .max_gap_bytes = 50});
  EXPECT_THAT(Spans(plan), ElementsAre(Pair(0, 200), Pair(300, 310)));
  EXPECT_EQ(plan.wanted_bytes, 160);
  EXPECT_EQ(plan.read_bytes, 210);
  ASSERT_EQ(plan.reads[0].pieces.size(), 2u);
  EXPECT_EQ(plan.reads[0].pieces[1].tensor, 1u);
  EXPECT_EQ(plan.reads[0].pieces[1].begin, 150);
}

TEST(ReadPlanTest, FilesAreReadOneAfterTheOther) {
  const ReadPlan plan =
      PlanReads({Range(0, 0, 9, 1, 2), Range(1, 9, 20, 1, 1)});
  ASSERT_EQ(plan.reads.size(), 2u);
  EXPECT_EQ(plan.reads[0].file, 1);
  EXPECT_EQ(plan.reads[1].file, 2);
}

TEST(ReadPlanTest, WhatIsLongIsCutWhereABlockEnds) {
  const ReadPlan plan =
      PlanReads({Range(0, 10, 250)},
                {.max_read_bytes = 100, .max_gap_bytes = 0, .block_bytes = 16});
  EXPECT_THAT(Spans(plan),
              ElementsAre(Pair(10, 96), Pair(96, 192), Pair(192, 250)));
  EXPECT_EQ(plan.reads[1].pieces[0].first_element, 86);
  EXPECT_EQ(plan.reads[1].pieces[0].num_elements, 96);
}

TEST(ReadPlanTest, NoElementIsCut) {
  const ReadPlan plan =
      PlanReads({Range(0, 5, 5 + 8 * 20, 8)},
                {.max_read_bytes = 64, .max_gap_bytes = 0, .block_bytes = 16});
  for (const PlannedRead& read : plan.reads) {
    EXPECT_EQ((read.begin - 5) % 8, 0);
    EXPECT_EQ((read.end - 5) % 8, 0);
    EXPECT_LE(read.nbytes(), 64);
  }
}

TEST(ReadPlanTest, WhatIsWantedTwiceComesTwice) {
  const ReadPlan plan =
      PlanReads({Range(0, 0, 300), Range(1, 50, 120), Range(2, 0, 300)},
                {.max_read_bytes = 100, .max_gap_bytes = 0, .block_bytes = 1});
  int64_t bytes[3] = {0, 0, 0};
  for (const PlannedRead& read : plan.reads) {
    for (const ReadPiece& piece : read.pieces) {
      EXPECT_GE(piece.begin, read.begin);
      EXPECT_LE(piece.end, read.end);
      bytes[piece.tensor] += piece.end - piece.begin;
    }
  }
  EXPECT_THAT(bytes, ElementsAre(300, 70, 300));
}

TEST(ReadPlanTest, NothingIsNoRead) {
  EXPECT_THAT(PlanReads({}).reads, IsEmpty());
}

// Of hostile layouts drawn at random: each element wanted comes once, in a read
// that is not too long, and at most the gaps allowed are read beside.
TEST(ReadPlanTest, EveryElementComesOnce) {
  std::mt19937 random(20261126);
  const auto draw = [&random](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(round);
    std::vector<WantedRange> ranges;
    int64_t offset = draw(0, 50);
    const auto tensors = static_cast<size_t>(draw(1, 30));
    for (size_t i = 0; i < tensors; ++i) {
      const int64_t element_bytes = int64_t{1} << draw(0, 3);
      const int64_t count = draw(1, draw(0, 4) == 0 ? 500 : 10);
      ranges.push_back(
          Range(i, offset, offset + count * element_bytes, element_bytes));
      offset = ranges.back().end + (draw(0, 1) == 0 ? 0 : draw(0, 60));
    }
    const std::vector<WantedRange> wanted = ranges;
    std::shuffle(ranges.begin(), ranges.end(), random);
    const ReadPlanOptions options = {.max_read_bytes = 16 * draw(1, 20),
                                     .max_gap_bytes = draw(0, 30),
                                     .block_bytes = 16};
    const ReadPlan plan = PlanReads(ranges, options);
    std::vector<int64_t> elements(tensors);
    int64_t last_end = -1;
    for (const PlannedRead& read : plan.reads) {
      EXPECT_LE(read.nbytes(), options.max_read_bytes);
      EXPECT_GE(read.begin, last_end);
      last_end = read.end;
      int64_t last = read.begin;
      for (const ReadPiece& piece : read.pieces) {
        EXPECT_LE(piece.begin - last, options.max_gap_bytes);
        last = piece.end;
        const WantedRange& range = wanted[piece.tensor];
        EXPECT_EQ(piece.first_element, elements[piece.tensor]);
        EXPECT_EQ(piece.begin,
                  range.begin + piece.first_element * range.element_bytes);
        EXPECT_EQ(piece.end - piece.begin,
                  piece.num_elements * range.element_bytes);
        elements[piece.tensor] += piece.num_elements;
      }
      EXPECT_EQ(last, read.end);
    }
    for (size_t i = 0; i < tensors; ++i) {
      EXPECT_EQ(elements[i] * wanted[i].element_bytes,
                wanted[i].end - wanted[i].begin);
    }
  }
}

TensorInfo Matrix() {  // F32[4, 10] at byte 100.
  return {.name = "w", .shape = {4, 10}, .file = 3, .begin = 100, .end = 260};
}

TEST(RangesOfTest, AWholeTensorIsOneRange) {
  auto ranges = RangesOf(Matrix(), 7);
  ASSERT_THAT(ranges, IsOk());
  ASSERT_EQ(ranges->size(), 1u);
  EXPECT_EQ((*ranges)[0].tensor, 7u);
  EXPECT_EQ((*ranges)[0].file, 3);
  EXPECT_EQ((*ranges)[0].begin, 100);
  EXPECT_EQ((*ranges)[0].end, 260);
  EXPECT_EQ((*ranges)[0].element_bytes, 4);
}

TEST(RangesOfTest, ColumnsAreOneRangeARow) {
  auto ranges = RangesOf(Matrix(), 0, {{1, 3}, {2, 5}});
  ASSERT_THAT(ranges, IsOk());
  ASSERT_EQ(ranges->size(), 2u);
  EXPECT_EQ((*ranges)[0].begin, 100 + 12 * 4);
  EXPECT_EQ((*ranges)[0].end, 100 + 15 * 4);
  EXPECT_EQ((*ranges)[0].first_element, 0);
  EXPECT_EQ((*ranges)[1].begin, 100 + 22 * 4);
  EXPECT_EQ((*ranges)[1].first_element, 3);
}

TEST(RangesOfTest, WhatIsNoPartOfTheTensorIsRefused) {
  EXPECT_THAT(RangesOf(Matrix(), 0, {{1, 5}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  TensorInfo strided = Matrix();
  strided.in_place = false;
  EXPECT_THAT(RangesOf(strided, 0),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("'w' is stored strided")));
}

TEST(RangesOfTest, OfAnEmptyTensorOrSliceThereIsNone) {
  EXPECT_THAT(*RangesOf(Matrix(), 0, {{2, 2}}), IsEmpty());
  TensorInfo empty = Matrix();
  empty.shape = {0, 10};
  empty.end = empty.begin;
  EXPECT_THAT(*RangesOf(empty, 0), IsEmpty());
}

}  // namespace
}  // namespace pretrained
