#!/usr/bin/env bash
# From a fresh machine to a real model that runs: sets up, builds, loads all-MiniLM-L6-v2 and compares some sentences.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: tools/quickstart.sh

Runs tools/setup.sh, builds the `pretrained` command and the example //examples:sentence_similarity, and then
  1. loads the real all-MiniLM-L6-v2 (22.7 million parameters, 91 MB) and says from which file, how long and with how much memory;
  2. runs it on eight sentences and prints how similar they are to one another.

BAZEL names the command (default: bazel), with start-up options if it needs any.
EOF
}

root=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
read -ra bazel <<<"${BAZEL:-bazel}"

step() { printf '\n== %s\n' "$*"; }

# Prints the command as one could type it, and runs it.
show() {
  printf '$'
  printf ' %q' "$@"
  printf '\n'
  "$@"
}

main() {
  case "${1:-}" in
    "") ;;
    -h | --help) usage; return 0 ;;
    *) usage >&2; return 2 ;;
  esac
  cd "$root"
  step "Setting up"
  tools/setup.sh
  step "Building (the first time this takes some minutes)"
  "${bazel[@]}" build -c opt //tools:pretrained //examples:sentence_similarity @minilm//:files
  local bin model
  bin=$("${bazel[@]}" info -c opt bazel-bin 2>/dev/null)
  model=$("${bazel[@]}" info output_base 2>/dev/null)/external/minilm/model
  step "Loading all-MiniLM-L6-v2"
  show "$bin/tools/pretrained" load "$model"
  step "Comparing sentences: the pairs that mean the same stand out"
  show "$bin/examples/sentence_similarity" "$model" testdata/minilm/sentences.json
  step "Next: README.md, or $(printf %q "$bin/tools/pretrained") --help"
}

main "$@"
