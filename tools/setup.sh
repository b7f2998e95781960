#!/usr/bin/env bash
# Installs what building and testing needs and this machine lacks. Run it as often as you like: with nothing missing it
# takes a moment and changes nothing.
set -euo pipefail
export LC_ALL=C

usage() {
  cat <<'EOF'
usage: tools/setup.sh [--check]

Makes a Debian 12 machine (amd64) ready to build and test: installs by apt-get the packages that are missing, as root or
through sudo. Bazel itself fetches the rest, by hash, at the first build.

  --check   installs nothing; says what is missing, and fails if anything is

Environment:
  PRETRAINED_DOWNLOADS    where downloads are kept (default: ~/.cache/pretrained/downloads)
  LIBTORCH                folder of an installed LibTorch to use instead of the downloaded one
  PRETRAINED_ANY_SYSTEM   set to 1 to go on on another system than Debian 12
EOF
}

packages=(
  g++ git ca-certificates
  python3 python3-pip python3-venv                       # repository rules, test scripts, the peers' environment
  bazel-bootstrap bazel-rules-java bazel-rules-proto bazel-platforms bazel-skylib
  protobuf-compiler libprotobuf-dev                      # the Debian packages that third_party/ builds on
  libbenchmark-dev nlohmann-json3-dev libsimdjson-dev libcli11-dev
  libdeflate-dev
  clang-format-14
)

root=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
home=${HOME:-$(getent passwd "$(id -u)" | cut -d : -f 6)}
downloads=${PRETRAINED_DOWNLOADS:-$home/.cache/pretrained/downloads}
first_build_gb=6

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

check_system() {
  [ "${PRETRAINED_ANY_SYSTEM:-}" != 1 ] || return 0
  local id="" version="" name="this system"
  if [ -r /etc/os-release ]; then
    # shellcheck disable=SC1091
    { read -r id; read -r version; read -r name; } < <(. /etc/os-release && printf '%s\n' "${ID:-}" "${VERSION_ID:-}" "${PRETTY_NAME:-}")
  fi
  [ "$id $version" = "debian 12" ] || fail "this is ${name:-unknown}, but the packages are those of Debian 12 (bookworm)" \
    "use a Debian 12 machine or container, or install the counterparts of the following yourself and set PRETRAINED_ANY_SYSTEM=1:" \
    "${packages[*]}"
  local machine
  machine=$(uname -m)
  [ "$machine" = x86_64 ] || fail "this machine is $machine, but the pinned LibTorch is for x86-64"
}

# Prints the packages that are not installed, one a line.
missing_packages() {
  local installed
  if ! command -v dpkg-query >/dev/null; then
    printf '%s\n' "${packages[@]}"
    return
  fi
  # dpkg-query fails when it does not know a name; what it does know it prints all the same. Where packages of several
  # architectures stand, each is a line.
  installed=$(dpkg-query -W -f='${Package} ${db:Status-Abbrev}\n' "${packages[@]}" 2>/dev/null | awk '$2 == "ii" {print $1}' || true)
  comm -23 <(printf '%s\n' "${packages[@]}" | sort) <(sort -u <<<"$installed")
}

# Whether a first build is still ahead that downloads LibTorch.
libtorch_is_here() {
  [ -n "${LIBTORCH:-}" ] || [ -n "$(find -L "$downloads" -type f -size +400M -print -quit 2>/dev/null)" ]
}

# The free GB of the disk that holds a folder; nothing where there is no such folder.
free_gb() { { df --output=avail -B1G "$1" 2>/dev/null || true; } | tail -n 1 | tr -d ' '; }

announce() {
  local missing=$1 free
  if [ -n "$missing" ]; then
    say "will install by apt-get: $(tr '\n' ' ' <<<"$missing")(up to 1.7 GB of disk, about 2 minutes)"
  fi
  libtorch_is_here && return
  say "the first build downloads 0.6 GB (LibTorch, Abseil, the MiniLM model) and takes about $first_build_gb GB of disk in all;"
  say "with all tests it takes up to 40 minutes on two cores. Later builds take seconds to a few minutes."
  free=$(free_gb "$home")
  if [ -n "$free" ] && [ "$free" -lt "$first_build_gb" ]; then
    say "note: only $free GB are free on the disk of $home"
  fi
}

# The words that put a command into root's hands; empty for root itself.
as_root=()
find_root() {
  [ "$(id -u)" != 0 ] || return 0
  command -v sudo >/dev/null || fail "packages are missing, and this is neither root nor is there sudo; run as root:" \
    "  apt-get update && apt-get install --no-install-recommends $1"
  as_root=(sudo)
}

install() {
  local missing=$1 log names
  command -v apt-get >/dev/null || fail "apt-get is not here; install these yourself: $(tr '\n' ' ' <<<"$missing")"
  mapfile -t names <<<"$missing"
  find_root "${names[*]}"
  log=$(mktemp "${TMPDIR:-/tmp}/pretrained-setup.XXXXXX.log")
  say "installing; the log is $log"
  if ! apt_get update >"$log" 2>&1; then
    report_failure "apt-get update failed" "$log" "check the network and /etc/apt/sources.list, then run tools/setup.sh again"
  fi
  # Container images often leave manual pages out, and their folder with them, which the JDK that Bazel needs trips over.
  "${as_root[@]}" mkdir -p /usr/share/man/man1
  if ! apt_get install -y --no-install-recommends "${names[@]}" >>"$log" 2>&1; then
    report_failure "apt-get install failed" "$log" "mend what it says, then run tools/setup.sh again"
  fi
  say "installed ${#names[@]} packages"
}

apt_get() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

report_failure() {
  printf 'setup: %s; the end of its log:\n' "$1" >&2
  tail -n 15 "$2" | sed 's/^/    /' >&2
  fail "the whole log is $2" "$3"
}

main() {
  local check_only=no missing
  case "${1:-}" in
    "") ;;
    --check) check_only=yes ;;
    -h | --help) usage; return 0 ;;
    *) usage >&2; return 2 ;;
  esac
  cd "$root"
  check_system
  missing=$(missing_packages)
  if [ "$check_only" = yes ]; then
    [ -z "$missing" ] || fail "missing: $(tr '\n' ' ' <<<"$missing")" "tools/setup.sh installs it"
    say "nothing is missing"
    return 0
  fi
  announce "$missing"
  [ -n "$missing" ] || return 0
  install "$missing"
  missing=$(missing_packages)
  [ -z "$missing" ] || fail "still missing: $(tr '\n' ' ' <<<"$missing")"
}

main "$@"
