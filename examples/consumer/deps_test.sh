#!/usr/bin/env bash
# What comes along with a single target: the reader brings nothing of models and
# no LibTorch; a family brings no other family and not the command.
set -euo pipefail
list=$1 embed=$2
if grep -E '^@(libtorch|pretrained//(modeling|device_map|tools))' "$list"; then
  echo "safetensors_reader brings the above"; exit 1
fi
grep -q '^@pretrained//modeling/bert:bert_model.cc' "$embed"
if grep -E '^@pretrained//(tools|examples|benchmarks)' "$embed"; then
  echo "the model brings the above"; exit 1
fi
if grep -E '^@pretrained//modeling/[a-z0-9_]+:' "$embed" | grep -v '^@pretrained//modeling/bert:'; then
  echo "BERT brings the above families"; exit 1
fi
# The library that this workspace declared first is the one that is used.
grep -q '^@nlohmann_json//:json.hpp' "$embed"
