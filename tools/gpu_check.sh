#!/usr/bin/env bash
# Builds with CUDA and runs, on a machine with a GPU, what elsewhere runs on the CPU alone.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: tools/gpu_check.sh [FOLDER]

On a machine with an NVIDIA GPU and the CUDA Toolkit (CUDA_HOME, else /usr/local/cuda): builds with --config=cuda, runs every
test that links LibTorch, and then holds a model that is placed over GPU, CPU and disk to the one on the CPU. FOLDER is a model's
(default: testdata/models/LlamaForCausalLM): with a large one the times that are printed mean something.

BAZEL names the command (default: bazel), with start-up options if it needs any.
EOF
}

root=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
read -ra bazel <<<"${BAZEL:-bazel}"

# Writes the tokens of a greedy generation under the flags given to the file OUTPUTS.
generate() {
  local folder=$1 outputs=$2
  shift 2
  bazel-bin/tools/pretrained generate "$folder" --inputs="$scratch/inputs" --outputs="$outputs" --max_new_tokens=16 "$@" >&2
}

main() {
  case "${1:-}" in
    -h | --help) usage; return 0 ;;
    -*) usage >&2; return 2 ;;
  esac
  local folder map status=0
  folder=$(readlink -f "${1:-$root/testdata/models/LlamaForCausalLM}")
  if ! nvidia-smi --list-gpus; then
    echo "gpu_check: this machine has no NVIDIA GPU, or no driver for it" >&2
    return 1
  fi
  cd "$root"
  "${bazel[@]}" test --config=cuda --keep_going --test_tag_filters=torch //modeling/... //generation/... || status=1
  "${bazel[@]}" build --config=cuda //tools:pretrained
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  PYTHONPATH=benchmarks python3 -c 'import sys, tensor_files; tensor_files.write_integers(sys.argv[1], "input_ids", [[1, 2, 3, 4]])' \
    "$scratch/inputs"
  generate "$folder" "$scratch/want"
  for map in '{"": 0}' auto '{"": "cpu", "lm_head": 0}' '{"": "disk", "lm_head": 0}'; do
    TIMEFORMAT="gpu_check: $map: %R s"
    if ! time generate "$folder" "$scratch/got" --device_map="$map" || ! cmp "$scratch/want" "$scratch/got"; then
      echo "gpu_check: $map: not the tokens that the CPU gives" >&2
      status=1
    fi
  done
  return $status
}

main "$@"
