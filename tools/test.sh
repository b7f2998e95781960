#!/usr/bin/env bash
# Sets up what is missing, runs every test, and counts the cases that ran.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: tools/test.sh [BAZEL OPTION or TARGET...]

Runs tools/setup.sh, then `bazel test //...` here and in examples/consumer (a workspace that uses this one), and ends with
    N passed, N failed
The exit status is 0 only if something ran, everything was built and nothing failed.

  tools/test.sh //dtypes/...                    only these targets, and only here
  tools/test.sh --test_tag_filters=-torch       everything that needs no LibTorch
  tools/test.sh --config=asan                   everything, in both workspaces, with an option

BAZEL names the command (default: bazel), with start-up options if it needs any.
EOF
}

root=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
read -ra bazel <<<"${BAZEL:-bazel}"

# bazel test in a workspace, its events in a file. Goes on after a failure: the events tell.
run_tests() {
  local folder=$1 events=$2
  shift 2
  printf 'test: bazel test in %s\n' "$folder" >&2
  (cd "$folder" && "${bazel[@]}" test --keep_going --test_output=errors --build_event_json_file="$events" "$@") ||
    printf 'test: bazel test in %s ended with status %s\n' "$folder" $? >&2
}

main() {
  local argument targets=no events status=0
  for argument in "$@"; do
    case $argument in
      -h | --help) usage; return 0 ;;
      --) targets=yes ;;
      -*) ;;
      *) targets=yes ;;
    esac
  done
  "$root/tools/setup.sh"
  events=$(mktemp -d "${TMPDIR:-/tmp}/pretrained-test.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf $(printf %q "$events")" EXIT
  if [ "$targets" = yes ]; then
    run_tests "$root" "$events/targets.json" "$@"
    python3 "$root/tools/count_tests.py" "$events/targets.json" || status=$?
  else
    run_tests "$root" "$events/workspace.json" "$@" //...
    run_tests "$root/examples/consumer" "$events/consumer.json" "$@" //...
    python3 "$root/tools/count_tests.py" "$events/workspace.json" "$events/consumer.json" || status=$?
  fi
  return "$status"
}

main "$@"
