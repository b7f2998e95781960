#!/usr/bin/env bash
# What comes along with a single target: the reader brings nothing of models and
# no LibTorch; a family brings no other family and not the command; the loader
# of shards brings no model at all.
set -euo pipefail
list=$1 embed=$2 shards=$3
if grep -E '^@(libtorch|pretrained//(modeling|device_map|tools))' "$list"; then
  echo "safetensors_reader brings the above"; exit 1
fi
grep -q '^@pretrained//modeling/bert:bert_model.cc' "$embed"
if grep -E '^@pretrained//(tools|examples|benchmarks)' "$embed"; then
  echo "the model brings the above"; exit 1
fi
# modeling/offload is a part of loading; every other folder there is a family.
if grep -E '^@pretrained//modeling/[a-z0-9_]+:' "$embed" | grep -vE '^@pretrained//modeling/(bert|offload):'; then
  echo "BERT brings the above families"; exit 1
fi
grep -q '^@pretrained//modeling:load_sharded_checkpoint.cc' "$shards"
if grep -E '^@pretrained//(tools|modeling/|modeling:(.*config|pretrained_model|from_pretrained|weight_loader))' "$shards"; then
  echo "load_sharded_checkpoint brings the above"; exit 1
fi
# The library that this workspace declared first is the one that is used.
grep -q '^@nlohmann_json//:json.hpp' "$embed"
