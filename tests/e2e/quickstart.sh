#!/bin/bash
# The show itself, with small sizes: everything matches, and nothing is left behind, also when it is
# interrupted half-way. Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 240 "$@"

hugepages() { cat "$HUGEPAGES_DIR/nr_hugepages" 2>/dev/null; }
nothing_left() {
  [[ ! -e $LAB_DIR ]] && [[ $(hugepages) == "$PAGES_BEFORE" ]] && ! ip netns list | grep -q '^jvpn-'
}
quickstart=("$ROOT/tools/quickstart" --no-install --no-build)

PAGES_BEFORE=$(hugepages)
step "A whole run"
expect "quickstart exits 0" "${quickstart[@]}" --file-mib 32 --iperf-seconds 2
expect "nothing is left behind" nothing_left

step "An interrupted run"
"${quickstart[@]}" --iperf-seconds 60 >"$WORK/interrupted.txt" 2>&1 &
pid=$!
expect "it reaches the traffic" wait_for 60 grep -q 'Traffic through' "$WORK/interrupted.txt"
kill -TERM $pid
status=0
wait $pid || status=$?
expect "SIGTERM ends it with 143 (got $status)" test $status = 143
expect "nothing is left behind" nothing_left
e2e_end
