#!/usr/bin/env bash
# Builds the Python environment of the peers that benchmarks and golden data compare with.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: benchmarks/peers/setup_venv.sh DEST

Makes a virtual environment in the folder DEST with transformers 4.34.0 on torch 2.1.0, safetensors and numpy, all pinned
by requirements.lock. About 2 minutes, 0.7 GB to download and 2 GB of disk. With DEST complete it does nothing.

Needs Python 3.10 or 3.11 (Debian 12's python3 is 3.11; PYTHON names another one), gcc and readelf: tools/setup.sh
installs them.
EOF
}

here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)

fail() {
  printf 'setup_venv: %s\n' "$@" >&2
  exit 1
}

main() {
  case "${1:-}" in
    -h | --help) usage; return 0 ;;
    "" | -*) usage >&2; return 2 ;;
  esac
  local dest=$1 python=${PYTHON:-python3} stamp wanted version libraries
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || fail "cannot run $python"
  [[ $version == 3.10 || $version == 3.11 ]] || fail "$python is Python $version, but these releases need 3.10 or 3.11; set PYTHON"
  stamp=$dest/.complete
  wanted=$(cat "$here/requirements.lock" "$here/cuda_stand_ins.py" | sha256sum | cut -d ' ' -f 1)
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    echo "setup_venv: $dest is complete"
    return 0
  fi
  echo "setup_venv: downloads 0.7 GB and takes 2 GB of disk, about 2 minutes"
  rm -f "$stamp"
  [ -x "$dest/bin/python" ] || "$python" -m venv "$dest"
  # The lock is complete. Without --no-deps pip would add the 2 GB of NVIDIA libraries that torch 2.1.0 asks for.
  "$dest/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps -r "$here/requirements.lock"
  libraries=$("$dest/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  "$dest/bin/python" "$here/cuda_stand_ins.py" "$libraries"
  "$dest/bin/python" -c 'import torch, transformers; from transformers import BertModel
print("setup_venv: transformers", transformers.__version__, "on torch", torch.__version__)'
  printf '%s\n' "$wanted" >"$stamp"
}

main "$@"
