#!/bin/bash
# Simulates many clusters, on all CPUs. See usage below.
set -euo pipefail
# shellcheck source=tools/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib/common.sh"

usage() {
  cat <<'END'
usage: tests/simulation/run.sh [--seeds N] [--first SEED] [--jobs N]

Builds build/tests/simulation and runs N seeds (10000) from SEED (a random one) on, split among N jobs (one a CPU).
Each prints its progress every 10 s: seeds, their rate, what was simulated. The first seed that fails ends its job:
what happened is told, with the script of faults and the last events. JVPN_SEED=<seed> build/tests/simulation tells
the same of any seed.

Exits 1 when a seed has failed.
END
}

SEEDS=10000
FIRST=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
JOBS=$(nproc)

while (($# > 0)); do
  case $1 in
    --seeds) SEEDS=$2; shift ;;
    --first) FIRST=$2; shift ;;
    --jobs) JOBS=$2; shift ;;
    --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

LIMIT=$((60 + SEEDS))  # seconds: far more than it takes
ninja_build 900 "$ROOT/build" "$ROOT/build/simulation.log" tests/simulation ||
  { show_tail "$ROOT/build/simulation.log" 40; die "the simulation can't be built"; }

EACH=$(((SEEDS + JOBS - 1) / JOBS))
PIDS=()
for ((job = 0; job < JOBS; job++)); do
  env -u JVPN_SEED timeout "$LIMIT" "$ROOT/build/tests/simulation" --seeds "$EACH" --first $((FIRST + job * EACH)) &
  PIDS+=($!)
done
STATUS=0
for pid in "${PIDS[@]}"; do wait "$pid" || STATUS=1; done
exit $STATUS
