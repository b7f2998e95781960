#!/usr/bin/env bash
# A model is saved in another dtype and in shards, and over itself.
set -euo pipefail
program=$1 model=$2 copy="$TEST_TMPDIR/a copy"
"$program" "$model" "$copy" float16 20KB | tee "$TEST_TMPDIR/files"
while read -r file; do
  [ -s "$copy/$file" ]
done <"$TEST_TMPDIR/files"
grep -q '^model-00001-of-' "$TEST_TMPDIR/files"
grep -q '"torch_dtype": "float16"' "$copy/config.json"
"$program" "$copy" "$copy"
[ "$(cd "$copy" && echo *)" = "config.json generation_config.json model.safetensors" ]

# What is wrong is said, and the exit code tells.
status=0
"$program" /nowhere "$copy" 2>"$TEST_TMPDIR/message" || status=$?
[ "$status" = 1 ]
grep -q '/nowhere: there is no such folder' "$TEST_TMPDIR/message"
status=0
"$program" 2>/dev/null || status=$?
[ "$status" = 2 ]
