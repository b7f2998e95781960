#include "modeling/seq2seq_output.h"

#include <string>
#include <vector>

#include "ATen/ops/full.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::testing::ElementsAre;

at::Tensor Number(double value) { return at::full({1}, value); }

// Each field holds another number, so that no name can stand for another one.
TEST(Seq2SeqOutputTest, NamesFieldsAsThePeerDoesInItsOrder) {
  const Seq2SeqOutput output{.loss = Number(0),
                             .logits = Number(1),
                             .past_key_values = {{Number(2), Number(3)}},
                             .decoder_hidden_states = {Number(4), Number(5)},
                             .decoder_attentions = {Number(6)},
                             .cross_attentions = {Number(7)},
                             .encoder_last_hidden_state = Number(8),
                             .encoder_hidden_states = {Number(9)},
                             .encoder_attentions = {Number(10)}};
  std::vector<std::string> names;
  double next = 0;
  for (const auto& [name, tensor] : output.ToNamed().fields) {
    names.push_back(name);
    EXPECT_EQ(tensor.item().toDouble(), next++) << name;
  }
  EXPECT_THAT(names,
              ElementsAre("loss", "logits", "past_key_values.0.0",
                          "past_key_values.0.1", "decoder_hidden_states.0",
                          "decoder_hidden_states.1", "decoder_attentions.0",
                          "cross_attentions.0", "encoder_last_hidden_state",
                          "encoder_hidden_states.0", "encoder_attentions.0"));
}

TEST(Seq2SeqOutputTest, LeavesOutWhatIsNotThere) {
  const Seq2SeqOutput output{.last_hidden_state = Number(1)};
  const ModelOutput named = output.ToNamed();
  ASSERT_EQ(named.fields.size(), 1u);
  EXPECT_EQ(named.fields[0].first, "last_hidden_state");
}

}  // namespace
}  // namespace pretrained
