#!/usr/bin/env bash
# The README's C++ example is the one that is compiled here, and it runs.
set -euo pipefail
readme=$1 source=$2 program=$3 model=$(dirname "$4")
python3 - "$readme" "$source" <<'PY'
import sys
readme, source = (open(path).read() for path in sys.argv[1:])
if "```cpp\n" + source + "```" not in readme:
    sys.exit("README.md does not show examples/readme_example.cc as it is")
PY
output=$("$program" "$model")
echo "$output"
# Mapped where the page cache holds the file, else read: the machine's state, not ours.
grep -qxE '22713216 parameters, (mapped|buffered|direct); \[1, 4, 384\]' <<<"$output"
