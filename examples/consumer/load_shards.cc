// Saves a network in shards, and loads them into another one: a plain LibTorch
// module, and no model of the library's.

#include <iostream>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "checkpoint/save/save_checkpoint.h"
#include "checkpoint/tensor_to_write.h"
#include "modeling/load_sharded_checkpoint.h"
#include "torch/nn/modules/activation.h"
#include "torch/nn/modules/container/sequential.h"
#include "torch/nn/modules/linear.h"

namespace {

torch::nn::Sequential MakeNet() {
  return torch::nn::Sequential(torch::nn::Linear(4, 8), torch::nn::ReLU(),
                               torch::nn::Linear(8, 2));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const char* folder = argv[1];

  torch::nn::Sequential trained = MakeNet();
  std::vector<pretrained::TensorToWrite> tensors;
  for (const auto& parameter : trained->named_parameters()) {
    tensors.push_back({.name = parameter.key(),
                       .dtype = pretrained::Dtype::kFloat32,
                       .shape = parameter.value().sizes().vec(),
                       .data = parameter.value().const_data_ptr()});
  }
  auto saved = pretrained::SaveCheckpoint(folder, std::move(tensors),
                                          {.max_shard_bytes = 150});
  if (!saved.ok()) {
    std::cerr << saved.status().message() << "\n";
    return 1;
  }
  for (const auto& file : saved->files) std::cout << file << "\n";

  torch::nn::Sequential net = MakeNet();
  auto keys = pretrained::LoadShardedCheckpoint(*net, folder);
  if (!keys.ok()) {
    std::cerr << keys.status().message() << "\n";
    return 1;
  }
  const at::Tensor x = at::ones({1, 4});
  std::cout << (net->forward(x).equal(trained->forward(x)) ? "equal"
                                                           : "different")
            << "\n";

  // A network that the shards do not fit: the message says which names.
  torch::nn::Sequential other(torch::nn::Linear(4, 8));
  std::cout
      << pretrained::LoadShardedCheckpoint(*other, folder).status().message()
      << "\n";
}
