// Makes a model of a class of one's own, saves it, and has an Auto class load
// it again: argument 1 is the folder to save it in.

#include <iostream>
#include <memory>

#include "ATen/ATen.h"
#include "modeling/auto_model.h"
#include "modeling/pretrained_config.h"

namespace {

using pretrained::AutoModelForSequenceClassification;

absl::Status Run(const char* folder) {
  auto config = pretrained::PretrainedConfig::FromJsonString(
      R"({"model_type": "bag-of-words", "vocab_size": 7, "num_labels": 3})",
      "config.json");
  if (!config.ok()) return config.status();
  auto model = AutoModelForSequenceClassification::FromConfig(*config);
  if (!model.ok()) return model.status();
  auto saved = (*model)->SavePretrained(folder);
  if (!saved.ok()) return saved.status();
  auto again = AutoModelForSequenceClassification::FromPretrained(folder);
  if (!again.ok()) return again.status();

  const pretrained::NamedTensors words = {
      {"input_ids", at::tensor({1, 2, 6}).unsqueeze(0)}};
  auto before = (*model)->Call(words);
  if (!before.ok()) return before.status();
  auto after = (*again)->Call(words);
  if (!after.ok()) return after.status();
  std::cout << (*again)->class_name() << " " << after->find("logits")->sizes()
            << (at::equal(*before->find("logits"), *after->find("logits"))
                    ? " as saved\n"
                    : " differ\n");
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const absl::Status status = Run(argv[1]);
  if (!status.ok()) std::cerr << status.message() << "\n";
  return status.ok() ? 0 : 1;
}
