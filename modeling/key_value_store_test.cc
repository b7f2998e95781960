#include "modeling/key_value_store.h"

#include <cstdint>

#include "ATen/ATen.h"
#include "gtest/gtest.h"
#include "modeling/model_output.h"

namespace pretrained {
namespace {

at::Tensor Draw(int64_t rows, int64_t tokens) {
  return at::randn({rows, 3, tokens, 4});
}

// What a model of `layers` layers does with the store at one call.
KeyValueCache Call(KeyValueStore& store, const KeyValueCache& past,
                   KeyValueCache added) {
  for (size_t i = 0; i < added.size(); ++i) {
    AppendToCache(past.empty() ? LayerCache() : past[i],
                  StoreOfLayer(&store, i), added[i][0], added[i][1]);
  }
  return added;
}

// Whether the store holds the same as tensors that grow by being copied, over
// more growth than the first room has space for.
TEST(KeyValueStoreTest, HoldsWhatCopiesHold) {
  for (const int64_t max_tokens : {1, 7, 1000}) {
    KeyValueStore store(max_tokens);
    KeyValueCache views;
    KeyValueCache copies;
    for (int64_t step = 0; step < 700; ++step) {
      const int64_t tokens = step == 0 ? 5 : 1 + step % 2;
      const KeyValueCache added = {{Draw(2, tokens), Draw(2, tokens)},
                                   {Draw(2, tokens), Draw(2, tokens)}};
      views = Call(store, views, added);
      KeyValueCache grown = added;
      for (size_t i = 0; i < grown.size(); ++i) {
        AppendToCache(copies.empty() ? LayerCache() : copies[i], nullptr,
                      grown[i][0], grown[i][1]);
      }
      copies = grown;
    }
    for (size_t i = 0; i < copies.size(); ++i) {
      EXPECT_TRUE(at::equal(views[i][0], copies[i][0]));
      EXPECT_TRUE(at::equal(views[i][1], copies[i][1]));
    }
  }
}

TEST(KeyValueStoreTest, DoesNotMoveWhatIsThereWhileThereIsRoom) {
  KeyValueStore store(100);
  KeyValueCache views = Call(store, {}, {{Draw(1, 5), Draw(1, 5)}});
  const void* const place = views[0][0].data_ptr();
  const at::Tensor first = views[0][0];
  const at::Tensor copy = first.clone();
  for (int64_t step = 0; step < 95; ++step) {
    views = Call(store, views, {{Draw(1, 1), Draw(1, 1)}});
    EXPECT_EQ(views[0][0].data_ptr(), place);
  }
  EXPECT_EQ(views[0][0].size(2), 100);
  EXPECT_TRUE(at::equal(first, copy));  // Older views stay as they were.
}

TEST(KeyValueStoreTest, SelectsRowsAndLeavesCrossAttention) {
  KeyValueStore store(20);
  KeyValueCache views = Call(store, {}, {{Draw(3, 5), Draw(3, 5)}});
  const at::Tensor cross = Draw(3, 9);
  views[0].push_back(cross);
  views[0].push_back(cross);
  KeyValueCache copies = {{views[0][0].clone(), views[0][1].clone()}};
  for (const auto& rows :
       {at::tensor({2, 0, 0}, at::kLong), at::tensor({0, 1, 2}, at::kLong),
        at::tensor({1, 1, 0, 2, 2, 0}, at::kLong)}) {
    store.SelectRows(rows, views);
    for (at::Tensor& copy : copies[0]) copy = copy.index_select(0, rows);
    EXPECT_TRUE(at::equal(views[0][0], copies[0][0]));
    EXPECT_TRUE(at::equal(views[0][1], copies[0][1]));
    EXPECT_TRUE(views[0][2].is_same(cross));
    const KeyValueCache added = {
        {Draw(rows.size(0), 1), Draw(rows.size(0), 1)}};
    const LayerCache of_cross = {views[0][2], views[0][3]};
    views = Call(store, views, added);
    views[0].insert(views[0].end(), of_cross.begin(), of_cross.end());
    for (size_t i = 0; i < 2; ++i) {
      copies[0][i] = at::cat({copies[0][i], added[0][i]}, 2);
      EXPECT_TRUE(at::equal(views[0][i], copies[0][i]));
    }
  }
}

TEST(KeyValueStoreTest, RefusesWhatItDidNotGiveLast) {
  KeyValueStore store(20);
  const KeyValueCache first = Call(store, {}, {{Draw(1, 5), Draw(1, 5)}});
  EXPECT_THROW(Call(store, {}, {{Draw(1, 5), Draw(1, 5)}}), c10::Error);
  EXPECT_THROW(Call(store, {{first[0][0].clone(), first[0][1]}},
                    {{Draw(1, 1), Draw(1, 1)}}),
               c10::Error);
  const KeyValueCache second = Call(store, first, {{Draw(1, 1), Draw(1, 1)}});
  // Two texts cannot go on from one place.
  EXPECT_THROW(Call(store, first, {{Draw(1, 1), Draw(1, 1)}}), c10::Error);
  EXPECT_EQ(Call(store, second, {{Draw(1, 1), Draw(1, 1)}})[0][0].size(2), 7);
  // Nor has a store gradients.
  KeyValueStore other(20);
  EXPECT_THROW(Call(other, {}, {{Draw(1, 5).requires_grad_(true), Draw(1, 5)}}),
               c10::Error);
}

}  // namespace
}  // namespace pretrained
