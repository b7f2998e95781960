#include "modeling/attention.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "ATen/ATen.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

constexpr double kTolerance = 1e-5;
constexpr double kLowest = -3.4028234663852886e38;
constexpr double kLowestHalf = -65504.0;

// Numbers that differ from one another.
at::Tensor Some(at::IntArrayRef shape, double start) {
  return (at::arange(c10::multiply_integers(shape)) * 0.737 + start)
      .sin()
      .reshape(shape);
}

AttentionArguments Arguments(int64_t heads, int64_t key_heads, int64_t queries,
                             int64_t keys) {
  constexpr int64_t kBatch = 2;
  constexpr int64_t kSize = 8;
  return {.query = Some({kBatch, heads, queries, kSize}, 1) * 2,
          .key = Some({kBatch, key_heads, keys, kSize}, 2) * 2,
          .value = Some({kBatch, key_heads, keys, kSize}, 3),
          .scale = 1 / std::sqrt(8.0)};
}

// One head of one row, written out: [q, d].
at::Tensor OneHead(const AttentionArguments& arguments, const at::Tensor& bias,
                   int64_t row, int64_t head) {
  const int64_t group =
      head / (arguments.query.size(1) / arguments.key.size(1));
  at::Tensor scores =
      at::matmul(arguments.query[row][head], arguments.key[row][group].t()) *
      arguments.scale;
  if (bias.defined()) {
    scores = scores + bias.expand({2, arguments.query.size(1), scores.size(0),
                                   scores.size(1)})[row][head];
  }
  return at::matmul(at::softmax(scores, -1), arguments.value[row][group]);
}

void ExpectHeads(const AttentionResult& result,
                 const AttentionArguments& arguments, const at::Tensor& bias) {
  for (int64_t row = 0; row < 2; ++row) {
    for (int64_t head = 0; head < arguments.query.size(1); ++head) {
      EXPECT_THAT(result.context[row][head],
                  IsCloseTo(OneHead(arguments, bias, row, head), kTolerance))
          << "row " << row << ", head " << head;
    }
  }
}

// Masks and biases of every shape that a family makes; the last hides all keys
// of the second row.
std::vector<at::Tensor> Biases(int64_t heads, int64_t queries, int64_t keys) {
  at::Tensor padding = at::zeros({2, 1, 1, keys});
  padding.index_put_({at::tensor({1}), at::tensor({0}), at::tensor({0}),
                      at::tensor({keys - 1})},
                     at::tensor({kLowest}).to(at::kFloat));
  at::Tensor hides_all = padding.clone();
  hides_all[1].fill_(kLowest);
  return {at::Tensor(),
          padding,
          Some({1, heads, queries, keys}, 4),
          Some({2, heads, queries, keys}, 5) + padding,
          Some({2, 1, queries, keys}, 6),
          hides_all};
}

TEST(AttendTest, IsSoftmaxOfScaledScoresTimesValues) {
  for (const int64_t key_heads : {1, 2, 4}) {
    for (const int64_t queries : {1, 3, 5}) {
      AttentionArguments arguments = Arguments(4, key_heads, queries, 5);
      for (const at::Tensor& bias : Biases(4, queries, 5)) {
        arguments.bias = bias;
        for (const bool need_probabilities : {true, false}) {
          SCOPED_TRACE(testing::Message()
                       << key_heads << " key heads, " << queries << " queries, "
                       << (need_probabilities ? "" : "fused"));
          arguments.need_probabilities = need_probabilities;
          ExpectHeads(Attend(arguments), arguments, bias);
        }
      }
    }
  }
}

// One query of each head has a kernel of its own, which reads keys and values
// where they lie: behind one another with room for more, many to a group.
TEST(AttendTest, OneQueryReadsKeysInPlace) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const auto& [heads, groups, size, keys] :
         {std::array<int64_t, 4>{4, 4, 8, 1},
          {4, 2, 13, 40},
          {20, 2, 64, 131},
          {11, 1, 80, 33}}) {
      AttentionArguments arguments{
          .query = Some({2, 1, heads, size}, 1).transpose(1, 2).to(type),
          .key = Some({2, groups, 300, size}, 2).narrow(2, 0, keys).to(type),
          .value = Some({2, groups, 300, size}, 3).narrow(2, 0, keys).to(type),
          .scale = 0.3};
      for (const at::Tensor& bias : Biases(heads, 1, keys)) {
        arguments.bias =
            bias.defined() ? bias.narrow(1, 0, bias.size(1)) : bias;
        arguments.need_probabilities = true;
        AttentionArguments wide = arguments;
        for (at::Tensor* tensor : {&wide.query, &wide.key, &wide.value}) {
          *tensor = tensor->to(at::kFloat);
        }
        const at::Tensor want = Attend(wide).context;
        arguments.need_probabilities = false;
        const at::Tensor context = Attend(arguments).context;
        EXPECT_EQ(context.scalar_type(), type);
        EXPECT_THAT(context.to(at::kFloat),
                    IsCloseTo(want, type == at::kFloat ? kTolerance : 1e-2))
            << heads << " heads, " << groups << " groups, " << keys << " keys";
        EXPECT_TRUE(
            at::equal(MergeHeads(context), context.transpose(1, 2).flatten(2)));
        // Alone a row is what it is beside others.
        for (at::Tensor* tensor : {&arguments.query, &arguments.key,
                                   &arguments.value, &arguments.bias}) {
          if (tensor->defined() && tensor->size(0) == 2) {
            *tensor = tensor->narrow(0, 1, 1);
          }
        }
        EXPECT_TRUE(
            at::equal(Attend(arguments).context, context.narrow(0, 1, 1)));
        arguments.query = Some({2, 1, heads, size}, 1).transpose(1, 2).to(type);
        arguments.key =
            Some({2, groups, 300, size}, 2).narrow(2, 0, keys).to(type);
        arguments.value =
            Some({2, groups, 300, size}, 3).narrow(2, 0, keys).to(type);
      }
    }
  }
}

// A key that -infinity hides counts nothing, whatever it says of itself; what
// is no number among those that count makes the row none.
TEST(AttendTest, OneQuerySeesNoHiddenKey) {
  AttentionArguments arguments = Arguments(2, 2, 1, 9);
  arguments.need_probabilities = false;
  arguments.bias = at::zeros({1, 1, 1, 9});
  arguments.bias.narrow(3, 5, 4).fill_(-INFINITY);
  AttentionArguments seen = arguments;
  seen.bias = at::Tensor();
  seen.key = arguments.key.narrow(2, 0, 5).contiguous();
  seen.value = arguments.value.narrow(2, 0, 5).contiguous();
  EXPECT_THAT(Attend(arguments).context,
              IsCloseTo(Attend(seen).context, kTolerance));
  arguments.key.select(2, 1).select(1, 1).fill_(NAN);
  const at::Tensor context = Attend(arguments).context;
  EXPECT_TRUE(context.select(1, 1).isnan().all().item().toBool());
  EXPECT_FALSE(context.select(1, 0).isnan().any().item().toBool());
}

TEST(AttendTest, CausalQueriesSeeNoLaterKey) {
  AttentionArguments arguments = Arguments(2, 2, 4, 4);
  arguments.is_causal = true;
  const at::Tensor mask =
      at::ones({4, 4}).triu(1).to(at::kBool).to(at::kFloat) * kLowest;
  for (const bool need_probabilities : {true, false}) {
    arguments.need_probabilities = need_probabilities;
    ExpectHeads(Attend(arguments), arguments, mask);
  }
}

TEST(AttendTest, ProbabilitiesAreThoseItUsed) {
  AttentionArguments arguments = Arguments(3, 3, 4, 6);
  const AttentionResult result = Attend(arguments);
  EXPECT_EQ(result.probabilities.sizes(), at::IntArrayRef({2, 3, 4, 6}));
  EXPECT_THAT(result.probabilities.sum(-1),
              IsCloseTo(at::ones({2, 3, 4}), kTolerance));
  EXPECT_THAT(at::matmul(result.probabilities, arguments.value),
              IsCloseTo(result.context, kTolerance));
}

TEST(AttendTest, AHeadMaskScalesWhatAHeadSays) {
  AttentionArguments arguments = Arguments(3, 3, 4, 6);
  const at::Tensor whole = Attend(arguments).context;
  arguments.head_mask =
      at::tensor({1.0, 0.0, 0.5}).to(at::kFloat).reshape({1, 3, 1, 1});
  for (const bool need_probabilities : {true, false}) {
    arguments.need_probabilities = need_probabilities;
    EXPECT_THAT(Attend(arguments).context,
                IsCloseTo(whole * arguments.head_mask, kTolerance));
  }
}

TEST(AttendTest, DropoutDropsProbabilitiesAndScalesTheRest) {
  at::manual_seed(1);
  AttentionArguments arguments = Arguments(3, 3, 16, 16);
  const at::Tensor whole = Attend(arguments).probabilities;
  arguments.dropout_probability = 0.25;
  arguments.need_probabilities = false;  // Dropout cannot be fused.
  const at::Tensor dropped = Attend(arguments).probabilities;
  const at::Tensor kept = dropped.ne(0);
  EXPECT_NEAR(kept.to(at::kFloat).mean().item().toDouble(), 0.75, 0.05);
  EXPECT_THAT(dropped, IsCloseTo(whole * kept / 0.75, kTolerance));
}

TEST(AttendTest, SoftmaxInFloat32KeepsTheDtype) {
  AttentionArguments arguments = Arguments(2, 2, 4, 6);
  const AttentionResult want = Attend(arguments);
  for (at::Tensor* tensor :
       {&arguments.query, &arguments.key, &arguments.value}) {
    *tensor = tensor->to(at::kHalf);
  }
  arguments.softmax_in_float32 = true;
  const AttentionResult result = Attend(arguments);
  EXPECT_EQ(result.probabilities.scalar_type(), at::kHalf);
  EXPECT_EQ(result.context.scalar_type(), at::kHalf);
  EXPECT_THAT(result.context.to(at::kFloat), IsCloseTo(want.context, 1e-2));
}

// A row that may see no key weighs all alike: scores vanish in the lowest
// number, in float16 as well.
TEST(AttendTest, ARowWithoutKeysTakesTheMean) {
  for (const at::ScalarType type : {at::kFloat, at::kHalf, at::kBFloat16}) {
    AttentionArguments arguments = Arguments(2, 2, 3, 5);
    for (at::Tensor* tensor :
         {&arguments.query, &arguments.key, &arguments.value}) {
      *tensor = tensor->to(type);
    }
    const double lowest = type == at::kHalf       ? kLowestHalf
                          : type == at::kBFloat16 ? -3.3895313892515355e38
                                                  : kLowest;
    arguments.bias = at::full({2, 1, 1, 5}, lowest, at::dtype(type));
    const at::Tensor want = arguments.value.to(at::kFloat)
                                .mean(2, /*keepdim=*/true)
                                .expand({2, 2, 3, 8});
    for (const bool need_probabilities : {true, false}) {
      arguments.need_probabilities = need_probabilities;
      EXPECT_THAT(Attend(arguments).context.to(at::kFloat),
                  IsCloseTo(want, type == at::kFloat ? kTolerance : 1e-2))
          << c10::toString(type) << (need_probabilities ? "" : ", fused");
    }
  }
}

TEST(SplitHeadsTest, MergingUndoesIt) {
  const at::Tensor x = Some({2, 5, 12}, 1);
  const at::Tensor split = SplitHeads(x, 4);
  EXPECT_EQ(split.sizes(), at::IntArrayRef({2, 3, 5, 4}));
  EXPECT_EQ(split.data_ptr(), x.data_ptr());
  EXPECT_TRUE(at::equal(split[1][2][3], x[1][3].narrow(0, 8, 4)));
  EXPECT_TRUE(at::equal(MergeHeads(split), x));
}

}  // namespace
}  // namespace pretrained
