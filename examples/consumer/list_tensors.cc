// Lists the tensors of a safetensors file.

#include <iostream>

#include "checkpoint/safetensors_reader.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto reader = pretrained::SafetensorsReader::Open(argv[1]);
  if (!reader.ok()) {
    std::cerr << reader.status().message() << "\n";
    return 1;
  }
  for (const auto& tensor : reader->tensors()) std::cout << tensor.name << "\n";
}
