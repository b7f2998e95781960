#!/usr/bin/env bash
# A class of this workspace's own is made, saved and loaded by the Auto classes.
set -euo pipefail
folder="$TEST_TMPDIR/my bag"
[ "$("$1" "$folder")" = "BagOfWords [1, 3] as saved" ]
grep -q '"model_type": "bag-of-words"' "$folder/config.json"
grep -q '"BagOfWords"' "$folder/config.json"
# A folder that cannot be written is an error that names it.
if message=$("$1" /dev/null/x 2>&1); then exit 1; fi
grep -q /dev/null/x <<<"$message"
