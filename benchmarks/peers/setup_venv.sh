#!/usr/bin/env bash
# Builds the Python environments of the peers that benchmarks and golden data compare with.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: benchmarks/peers/setup_venv.sh DEST [NEWEST]

Makes a virtual environment in the folder DEST with transformers 4.34.0 on torch 2.1.0, accelerate, safetensors and numpy,
all pinned, with hashes, by requirements.lock. About 2 minutes, 0.7 GB to download and 2 GB of disk.

With NEWEST also one in that folder with the newest releases of the same, of fastsafetensors and of the Run:ai streamer, as requirements-newest.lock pins them:
another minute, 0.6 GB to download and 1.7 GB of disk.

What is complete is left alone.

Needs Python 3.10 or 3.11, for NEWEST 3.11 (Debian 12's python3; PYTHON names another one), gcc and readelf: tools/setup.sh
installs them.
EOF
}

here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
python=${PYTHON:-python3}

fail() {
  printf 'setup_venv: %s\n' "$@" >&2
  exit 1
}

# make_environment DEST LOCK VERSIONS: in DEST what LOCK lists, with a Python of one of VERSIONS.
make_environment() {
  local dest=$1 lock=$here/$2 versions=$3 stamp=$1/.complete wanted version libraries
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || fail "cannot run $python"
  [[ " $versions " == *" $version "* ]] || fail "$python is Python $version, but the releases of $2 need one of: $versions; set PYTHON"
  wanted=$(cat "$lock" "$here/cuda_stand_ins.py" | sha256sum | cut -d ' ' -f 1)
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    echo "setup_venv: $dest is complete"
    return 0
  fi
  echo "setup_venv: $dest: downloads 0.7 GB and takes 2 GB of disk, about 2 minutes"
  rm -f "$stamp"
  [ -x "$dest/bin/python" ] || "$python" -m venv "$dest"
  # The lock is complete. Without --no-deps pip would add the 2 GB of NVIDIA libraries that torch asks for.
  "$dest/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps -r "$lock"
  libraries=$("$dest/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  "$dest/bin/python" "$here/cuda_stand_ins.py" "$libraries"
  "$dest/bin/python" -c 'import accelerate, torch, transformers; from transformers import BertModel, LlamaForCausalLM
print("setup_venv: transformers", transformers.__version__, "on torch", torch.__version__)'
  printf '%s\n' "$wanted" >"$stamp"
}

main() {
  case "${1:-}" in
    -h | --help) usage; return 0 ;;
    "" | -*) usage >&2; return 2 ;;
  esac
  [ $# -le 2 ] || { usage >&2; return 2; }
  make_environment "$1" requirements.lock "3.10 3.11"
  [ -z "${2:-}" ] || make_environment "$2" requirements-newest.lock "3.11"
}

main "$@"
