#include <iostream>

#include "ATen/ATen.h"
#include "modeling/bert/bert_model.h"

int main(int argc, char** argv) {
  const char* folder = argc > 1 ? argv[1] : "all-MiniLM-L6-v2";
  pretrained::LoadingInfo info;
  auto model = pretrained::BertModel::FromPretrained(
      folder, {.torch_dtype = "auto", .output_loading_info = &info});
  if (!model.ok()) {
    std::cerr << model.status().message() << "\n";
    return 1;
  }
  const at::Tensor ids = at::tensor({101, 7592, 2088, 102});  // hello world
  auto output = (*model)->Forward({.input_ids = ids.unsqueeze(0)});
  if (!output.ok()) return 1;
  std::cout << (*model)->num_parameters() << " parameters, " << info.engine
            << "; " << output->last_hidden_state.sizes() << "\n";
}
