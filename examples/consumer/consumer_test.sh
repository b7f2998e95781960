#!/usr/bin/env bash
# The programs work in a workspace that is not `pretrained` itself, and the one
# that only reads safetensors carries no LibTorch.
set -euo pipefail
list=$1 embed=$2 shards=$3 model=$(dirname "$4")
[ "$("$list" "$model/model.safetensors" | wc -l)" = 104 ]
"$list" "$model/model.safetensors" | grep -qx 'pooler.dense.weight'
[ "$("$embed" "$model")" = "BertModel [1, 2, 384]" ]
if ldd "$list" | grep -qE 'torch|c10'; then
  echo "list_tensors links LibTorch"; exit 1
fi
ldd "$embed" | grep -q libtorch_cpu

[ "$("$shards" "$TEST_TMPDIR/net")" = "model-00001-of-00002.safetensors
model-00002-of-00002.safetensors
model.safetensors.index.json
equal
$TEST_TMPDIR/net/model.safetensors.index.json: its names are not those of torch::nn::SequentialImpl:
  unexpected, which the module does not have: '2.bias', '2.weight'
  take the module that was saved, or set strict to false to load what both have" ]
