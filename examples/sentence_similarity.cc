// Embeds sentences with a sentence-transformers BERT, such as all-MiniLM-L6-v2,
// and prints how similar each is to the others.
//
//   sentence_similarity MODEL_FOLDER SENTENCES.json
//
// SENTENCES.json holds `sentences`, and for each its tokens: `input_ids` and
// `attention_mask`, padded to one length (testdata/minilm/sentences.json).

#include <cstdint>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "c10/core/InferenceMode.h"
#include "modeling/bert/bert_model.h"
#include "nlohmann/json.hpp"

namespace {

using pretrained::BertModel;
using Json = nlohmann::json;

// Rows of whole numbers as an int64 tensor [rows, columns].
at::Tensor TensorOf(const Json& rows) {
  std::vector<at::Tensor> tensors;
  for (const Json& row : rows) {
    tensors.push_back(at::tensor(row.get<std::vector<int64_t>>()));
  }
  return at::stack(tensors);
}

// The mean of the last hidden state over each sentence's own tokens, scaled to
// length one: [sentences, hidden size].
at::Tensor Embed(const at::Tensor& last_hidden_state, const at::Tensor& mask) {
  const at::Tensor weights = mask.unsqueeze(-1).to(at::kFloat);
  const at::Tensor mean =
      (last_hidden_state * weights).sum(1) / weights.sum(1).clamp_min(1e-9);
  return mean / mean.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);
}

void PrintTable(const std::vector<std::string>& sentences,
                const at::Tensor& similarity) {
  const int64_t count = similarity.size(0);
  for (int64_t i = 0; i < count; ++i) {
    std::cout << absl::StrFormat("%2d  %s\n", i + 1, sentences[i]);
  }
  std::cout << "\n    ";
  for (int64_t j = 0; j < count; ++j) {
    std::cout << absl::StrFormat("%7d", j + 1);
  }
  std::cout << "\n";
  for (int64_t i = 0; i < count; ++i) {
    at::Tensor others = similarity[i].clone();
    others[i] = -2;
    const int64_t nearest = others.argmax().item().toLong();
    std::cout << absl::StrFormat("%2d  ", i + 1);
    for (int64_t j = 0; j < count; ++j) {
      const double value = similarity[i][j].item().toDouble();
      if (i == j) {
        std::cout << "      .";
      } else {
        std::cout << absl::StrFormat(j == nearest ? " [%.2f]" : "  %.2f ",
                                     value);
      }
    }
    std::cout << absl::StrFormat("   nearest: %d\n", nearest + 1);
  }
  std::cout << "\nCosine of each two sentences; [ ] marks the nearest one.\n";
}

int Main(const std::string& folder, const std::string& sentences_file) {
  std::ifstream file(sentences_file);
  const Json tokens = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!tokens.is_object()) {
    std::cerr << sentences_file << ": is no JSON object that can be read\n";
    return 1;
  }
  absl::StatusOr<std::shared_ptr<BertModel>> model =
      BertModel::FromPretrained(folder);
  if (!model.ok()) {
    std::cerr << model.status().message() << "\n";
    return 1;
  }
  c10::InferenceMode no_gradients;
  const at::Tensor mask = TensorOf(tokens["attention_mask"]);
  auto output = (*model)->Forward(
      {.input_ids = TensorOf(tokens["input_ids"]), .attention_mask = mask});
  if (!output.ok()) {
    std::cerr << output.status().message() << "\n";
    return 1;
  }
  const at::Tensor embeddings = Embed(output->last_hidden_state, mask);
  PrintTable(tokens["sentences"].get<std::vector<std::string>>(),
             embeddings.matmul(embeddings.t()));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: sentence_similarity MODEL_FOLDER SENTENCES.json\n";
    return 2;
  }
  try {
    return Main(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::cerr << "sentence_similarity: " << error.what() << "\n";
    return 1;
  }
}
