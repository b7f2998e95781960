#!/usr/bin/env bash
# fetch_archive.py takes what the store has, without a network, unpacks just
# what was asked for, and refuses members that would leave the destination.
set -euo pipefail
script=$1
work=$TEST_TMPDIR
export PRETRAINED_DOWNLOADS="$work/store with space"
mkdir -p "$PRETRAINED_DOWNLOADS"

python3 - "$work" <<'PY'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/good.whl", "w") as archive:
    archive.writestr("pkg/a.txt", "a")
    archive.writestr("pkg/sub/b.txt", "b")
    archive.writestr("other/c.txt", "c")
with zipfile.ZipFile(sys.argv[1] + "/bad.whl", "w") as archive:
    archive.writestr("pkg/../../escaped.txt", "x")
PY

store() { local sum; sum=$(sha256sum "$1" | cut -d' ' -f1); cp "$1" "$PRETRAINED_DOWNLOADS/$sum"; echo "$sum"; }
good=$(store "$work/good.whl")
bad=$(store "$work/bad.whl")

python3 "$script" --project=p --file=good.whl --sha256="$good" \
  --destination="$work/out" --strip_prefix=pkg/ --exclude='sub/*'
[ "$(cat "$work/out/a.txt")" = a ]
[ ! -e "$work/out/sub" ] && [ ! -e "$work/out/c.txt" ]

if python3 "$script" --project=p --file=bad.whl --sha256="$bad" \
    --destination="$work/out2/deep" --strip_prefix=pkg/ 2>"$work/message"; then
  echo "a member outside the destination was accepted"; exit 1
fi
grep -q 'would leave the destination' "$work/message"
[ ! -e "$work/escaped.txt" ]
