#!/usr/bin/env bash
# The quickstart's program finds, for each sentence, the one that means the same.
set -euo pipefail
program=$1 model=$(dirname "$2") sentences=$3
output=$("$program" "$model" "$sentences")
echo "$output"
nearest=$(grep -o 'nearest: [0-9]*' <<<"$output" | cut -d' ' -f2 | tr '\n' ' ')
[ "$nearest" = "2 1 4 3 6 5 8 7 " ]

# What is wrong is said, and the exit code tells.
status=0
"$program" /nowhere "$sentences" 2>"$TEST_TMPDIR/message" || status=$?
[ "$status" = 1 ]
grep -q '/nowhere: there is no such folder' "$TEST_TMPDIR/message"
status=0
"$program" 2>/dev/null || status=$?
[ "$status" = 2 ]
