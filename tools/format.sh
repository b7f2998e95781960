#!/usr/bin/env bash
# Formats the C++ sources with the one clang-format that everybody uses, or checks that they are formatted.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: tools/format.sh [--check] [FILE...]

Formats FILEs, or without any every *.cc and *.h of the repository, tracked or new (what .gitignore names is left out).

  --check   changes nothing; lists what is not formatted, and fails if anything is

CLANG_FORMAT names another clang-format; it should be release 14, for others break lines elsewhere.
EOF
}

root=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)

find_clang_format() {
  local candidate
  for candidate in ${CLANG_FORMAT:+"$CLANG_FORMAT"} clang-format-14 clang-format; do
    if command -v "$candidate" >/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  echo "format: clang-format is not installed; tools/setup.sh installs it" >&2
  return 1
}

# The sources, each ended by a NUL. Without git (an unpacked archive) all there are.
sources() {
  local git=(git -c "safe.directory=$root" -C "$root")
  if "${git[@]}" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    "${git[@]}" ls-files -z --cached --others --exclude-standard -- '*.cc' '*.h'
  else
    find . -name 'bazel-*' -prune -o -name .git -prune -o -type f \( -name '*.cc' -o -name '*.h' \) -printf '%P\0'
  fi
}

main() {
  local check=no files=() file clang_format
  case "${1:-}" in
    -h | --help) usage; return 0 ;;
    --check) check=yes; shift ;;
    --) shift ;;
    -*) usage >&2; return 2 ;;
  esac
  clang_format=$(find_clang_format)
  if [ $# -gt 0 ]; then
    files=("$@")
  else
    cd "$root"
    while IFS= read -r -d '' file; do
      [ ! -f "$file" ] || files+=("$file")  # git still lists what was deleted and not yet committed.
    done < <(sources | sort -zu)
  fi
  if [ ${#files[@]} -eq 0 ]; then
    echo "format: there are no sources" >&2
    return 1
  fi
  if [ "$check" = no ]; then
    printf '%s\0' "${files[@]}" | xargs -0 "$clang_format" -i --style=file
    return
  fi
  local unformatted=()
  for file in "${files[@]}"; do
    "$clang_format" --dry-run --Werror --style=file "$file" 2>/dev/null || unformatted+=("$file")
  done
  if [ ${#unformatted[@]} -gt 0 ]; then
    printf 'not formatted: %s\n' "${unformatted[@]}" >&2
    echo "format: tools/format.sh formats them" >&2
    return 1
  fi
  echo "format: ${#files[@]} files are formatted"
}

main "$@"
