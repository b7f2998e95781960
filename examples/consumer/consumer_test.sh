#!/usr/bin/env bash
# Both programs work in a workspace that is not `pretrained` itself, and the one
# that only reads safetensors carries no LibTorch.
set -euo pipefail
list=$1 embed=$2 model=$(dirname "$3")
[ "$("$list" "$model/model.safetensors" | wc -l)" = 104 ]
"$list" "$model/model.safetensors" | grep -qx 'pooler.dense.weight'
[ "$("$embed" "$model")" = "BertModel [1, 2, 384]" ]
if ldd "$list" | grep -qE 'torch|c10'; then
  echo "list_tensors links LibTorch"; exit 1
fi
ldd "$embed" | grep -q libtorch_cpu
