#!/bin/bash
# Builds the fuzz targets and lets libFuzzer look for inputs that break what they promise. See usage below.
set -euo pipefail
# shellcheck source=tools/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib/common.sh"

usage() {
  cat <<'END'
usage: tests/fuzz/run.sh [--seconds N] [--no-build] [TARGET…]

Builds build-fuzz (clang, ASan, UBSan, libFuzzer) and runs each target of tests/fuzz/, all unless some are
named, for N seconds of CPU time (60), starting from its kept inputs in tests/fuzz/corpus/ and from what earlier runs found.
The inputs that reach something new are minimised and kept in build-fuzz/corpus/; a finding is an input in
build-fuzz/findings/, and ends its target's run. Copy one into tests/fuzz/corpus/TARGET/ with what mends it: from
then on it is a test (`fuzz TARGET` in the tree with AddressSanitizer).

  --seconds N  CPU time for each target
  --no-build   the targets as they are
  --help       this text

Exits 1 when there is a finding.
END
}

TREE=$ROOT/build-fuzz
SECONDS_EACH=60
MOST_WAIT=10     # times that, by the clock: the rest is others' time
INTERRUPTED=72   # libFuzzer's exit code after SIGINT
FINDINGS=0

build_targets() {
  local log=$TREE.log again=()
  if [[ -f $TREE/build.ninja ]]; then again=(--reconfigure); fi
  CC=clang CXX='ccache clang++' bounded 300 meson setup "${again[@]}" -Dfuzz=true -Dperf=false \
    -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 "$TREE" "$ROOT" >"$log" 2>&1 ||
    { show_tail "$log" 30; die "the tree $TREE can't be configured"; }
  ninja_build 3600 "$TREE" "$log" fuzzers || { show_tail "$log" 60; die "the targets can't be built"; }
}

# number WHAT LOG: the last one behind WHAT, or 0.
number() { grep -aoE "$1 *[0-9]+" "$2" | tail -n 1 | grep -oE '[0-9]+$' || echo 0; }

# cpu_seconds PID: what it has used, or nothing when it has ended.
cpu_seconds() {
  local line fields
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
  read -r -a fields <<<"${line##*) }"
  echo $(((fields[11] + fields[12]) / $(getconf CLK_TCK)))
}

# for_cpu_time SECONDS COMMAND…: asks it to end (SIGINT) when it has used them; libFuzzer then sums up.
for_cpu_time() {
  local seconds=$1 status=0 used asked=''
  shift
  "$@" </dev/null &
  BOUNDED_PID=$!
  while used=$(cpu_seconds "$BOUNDED_PID") && [[ -n $used ]]; do
    if ((used >= seconds)) && [[ -z $asked ]]; then
      kill -INT "$BOUNDED_PID"
      asked=1
    fi
    sleep 1
  done
  wait "$BOUNDED_PID" || status=$?
  BOUNDED_PID=''
  [[ -n $asked && $status == "$INTERRUPTED" ]] || return "$status"
}

# fuzz TARGET: one row of the table.
fuzz() {
  local target=$1 status=0 found
  local program=$TREE/tests/fuzz/fuzz_$target log=$TREE/logs/$target.log
  local corpus=$TREE/corpus/$target fresh=$TREE/fresh/$target kept=$ROOT/tests/fuzz/corpus/$target
  mkdir -p "$TREE/logs" "$TREE/findings" "$corpus" "$fresh"
  for_cpu_time "$SECONDS_EACH" "$program" -max_total_time=$((SECONDS_EACH * MOST_WAIT)) -entropic=0 -reload=0 -timeout=300 \
    -rss_limit_mb=3000 -print_final_stats=1 -artifact_prefix="$TREE/findings/$target-" "$fresh" "$corpus" "$kept" \
    >"$log" 2>&1 || status=$?
  if ((status == 0)); then
    bounded 600 "$program" -merge=1 "$corpus" "$fresh" >"$TREE/logs/$target-merge.log" 2>&1 || status=$?
    rm -rf "$fresh"
  fi
  found=$((status == 0 ? 0 : 1))
  FINDINGS=$((FINDINGS + found))
  printf '%-14s %12d %12d %8d %8d %9d\n' "$target" "$(number 'number_of_executed_units:' "$log")" \
    "$(number 'average_exec_per_sec:' "$log")" "$(number 'cov:' "$log")" "$(find "$corpus" -type f | wc -l)" "$found"
  if ((found != 0)); then grep -aE 'Failure|ERROR: |runtime error|Test unit written' "$log" | head -n 6 | sed 's/^/    /'; fi
}

main() {
  local targets=() build=1 program
  while (($# > 0)); do
    case $1 in
      --seconds)
        [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || { usage >&2; die "--seconds: expected a number" $EXIT_USAGE; }
        SECONDS_EACH=$2
        shift
        ;;
      --no-build) build='' ;;
      -h | --help) usage; exit 0 ;;
      -*) usage >&2; die "unknown option: $1" $EXIT_USAGE ;;
      *) targets+=("$1") ;;
    esac
    shift
  done
  trap 'end_bounded; exit 143' INT TERM HUP
  export ASAN_OPTIONS=quarantine_size_mb=16 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
  if [[ -n $build ]]; then build_targets; fi
  if ((${#targets[@]} == 0)); then
    for program in "$TREE"/tests/fuzz/fuzz_*; do
      if [[ -f $program && -x $program ]]; then targets+=("${program##*/fuzz_}"); fi
    done
  fi
  printf '%-14s %12s %12s %8s %8s %9s\n' target executions executions/s edges corpus findings
  for program in "${targets[@]}"; do
    [[ -x $TREE/tests/fuzz/fuzz_$program ]] || die "no target is named $program" $EXIT_USAGE
    fuzz "$program"
  done
  ((FINDINGS == 0))
}

main "$@"
