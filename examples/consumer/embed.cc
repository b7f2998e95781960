// Loads whatever model a folder's config asks for, and runs it on two tokens.

#include <iostream>

#include "ATen/ATen.h"
#include "modeling/auto_model.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto model = pretrained::AutoModel::FromPretrained(argv[1]);
  if (!model.ok()) {
    std::cerr << model.status().message() << "\n";
    return 1;
  }
  auto output =
      (*model)->Call({{"input_ids", at::tensor({101, 102}).unsqueeze(0)}});
  if (!output.ok()) {
    std::cerr << output.status().message() << "\n";
    return 1;
  }
  std::cout << (*model)->class_name() << " "
            << output->find("last_hidden_state")->sizes() << "\n";
}
