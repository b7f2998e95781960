#ifndef CONSUMER_BAG_OF_WORDS_H_
#define CONSUMER_BAG_OF_WORDS_H_

#include <memory>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "modeling/from_pretrained.h"
#include "modeling/layers.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"

namespace consumer {

// A model of one's own, outside the library: the mean of the words' vectors,
// and a matrix that scores it. Linking it makes AutoModel and
// AutoModelForSequenceClassification know model_type "bag-of-words".
//
//   auto model = BagOfWords::FromPretrained("my-bag-of-words");

// What config.json says of it, checked.
struct BagOfWordsConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t num_labels = 0;

  static absl::StatusOr<BagOfWordsConfig> From(
      const pretrained::PretrainedConfig& config);
};

class BagOfWords : public pretrained::PretrainedModel,
                   public pretrained::Loadable<BagOfWords> {
 public:
  BagOfWords(pretrained::PretrainedConfig config,
             const BagOfWordsConfig& checked, pretrained::ModelLayout layout,
             const pretrained::ModuleOptions& options);
  static const pretrained::ModelClass& Class();

  // input_ids [batch, words] to logits [batch, num_labels].
  absl::StatusOr<pretrained::ModelOutput> Call(
      const pretrained::NamedTensors& inputs,
      const pretrained::ForwardOptions& options = {}) override;

  void InitializeTensor(
      const pretrained::TensorToInitialize& target) const override;
  std::string InputEmbeddingsPath() const override { return "words"; }

 private:
  BagOfWordsConfig checked_;
  std::shared_ptr<pretrained::Embedding> words_;
  std::shared_ptr<pretrained::Linear> classifier_;
};

}  // namespace consumer

#endif  // CONSUMER_BAG_OF_WORDS_H_
