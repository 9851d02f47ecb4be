#!/bin/bash
# A worker in its steady state makes no system call: its thread is traced while TCP runs both ways through
# memif ports. A bridge joins the memif ports to the lab's links, so that the tracing sees a worker
# whose ports need no system call themselves:
#
#   jvpn-client ── wan0 ── bridge ══ memif ══ jvpnd ══ memif ══ bridge ── lan ── jvpn-lan
#
source "$(dirname "$0")/lib.sh"

SECONDS_TRACED=${JVPN_TRACE_SECONDS:-3}
e2e_begin 150 "$@"

# memif_port NAME: a port of the gateway's profile, on the server's end of a memif.
memif_port() {
  echo "\"net_memif_$1,role=server,socket=$LAB_DIR/memif-$1.sock,socket-abstract=no\""
}

# The gateway's profile with two memif ports and one worker that polls.
memif_profile() {
  python3 - "$LAB_DIR/gateway.yaml" "$(memif_port wan0)" "$(memif_port lan)" <<'END'
import re, sys
path, wan, lan = sys.argv[1:]
text = open(path).read()
text = re.sub(r"  - name: wan[12]\n(    .*\n)+", "", text)
for vdev in (wan, lan):
    text = re.sub(r"vdev: (?!\"net_memif).*", "vdev: " + vdev, text, count=1)
text = re.sub(r"rx_descriptors: .*", "rx_descriptors: 1024", text)
text = re.sub(r"tx_descriptors: .*", "tx_descriptors: 1024", text)
text = re.sub(r"queues: .*", "queues: 1", text)
text = re.sub(r"cores: .*", "cores: {control: 0, workers: [1], idle: poll}", text)
text = re.sub(r"lanes: .*", "lanes: 1", text)
open(path, "w").write(text)
END
}

# Between the links and the memif ports, as two wires.
start_bridge() {
  lab_spawn bridge gw dpdk-testpmd --lcores 0@0,1@0 --no-huge -m 256 --no-pci --no-telemetry \
    --vdev "net_memif_a,role=client,socket=$LAB_DIR/memif-wan0.sock,socket-abstract=no" \
    --vdev net_af_packet_a,iface=wan0 \
    --vdev "net_memif_b,role=client,socket=$LAB_DIR/memif-lan.sock,socket-abstract=no" \
    --vdev net_af_packet_b,iface=lan \
    -- --forward-mode=io --port-topology=paired --nb-cores=1 --total-num-mbufs=16384 \
    --auto-start --stats-period=60
  wait_for 20 links_up || die "the bridge did not connect"
}

links_up() { holds "$GATEWAY_SOCKET" 'all(p["link"] for p in show["ports"])'; }

worker_thread() {
  grep -lE 'worker' /proc/"$(lab_pid jvpnd)"/task/*/comm | head -n 1 | cut -d/ -f5
}

worker_packets() { gateway_value 'sum(w["sealed"] + w["opened"] for w in show["workers"])'; }

# trace FILE: what the worker's thread asks of the kernel, for some seconds.
trace() {
  bounded $((SECONDS_TRACED + 10)) timeout -s INT "$SECONDS_TRACED" \
    strace -qq -p "$(worker_thread)" -o "$1" || true
}

# calls FILE: how many system calls the trace holds.
calls() { grep -cE '^[a-z_0-9]+\(' "$1" || true; }

step "Lab, gateway on memif ports, bridge, client"
lab_prepared
memif_profile
start_gateway
start_bridge
start_client
expect "traffic flows" pings client $LAB_SERVER4

step "$SECONDS_TRACED s of a worker's system calls under load"
lab_spawn iperf3-server lan iperf3 -s -1
wait_for 5 iperf_server_listens || die "the iperf3 server did not start"
lab_spawn load client iperf3 -c $LAB_SERVER4 --bidir -t $((SECONDS_TRACED + 6)) --connect-timeout 5000
before=$(worker_packets)
under_load() { (($(worker_packets) > before + 5000)); }
expect "the load runs" wait_for 10 under_load
before=$(worker_packets)
trace "$WORK/worker.strace"
moved=$(($(worker_packets) - before))
info "$moved packets sealed or opened, $(calls "$WORK/worker.strace") system calls"
expect "packets moved while traced" test "$moved" -ge 5000
expect "no system call" test "$(calls "$WORK/worker.strace")" -eq 0
((UNMET == 0)) || show_tail "$WORK/worker.strace" 10

# The trace itself works: the control thread, which does sleep, shows up in it.
step "The same trace of the control thread"
worker_thread() { lab_pid jvpnd; }
trace "$WORK/control.strace"
expect "its system calls are seen" test "$(calls "$WORK/control.strace")" -gt 0
e2e_end
