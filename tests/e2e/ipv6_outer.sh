#!/bin/bash
# The tunnel's outside over IPv6: inner IPv4 and IPv6 both work, and wan0 carries no IPv4 datagram.
# Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 120 "$@"

LAB_ENDPOINTS="\"[2001:db8::1]:$LAB_PORT\""
lab_with_session
lab_spawn tcpdump-ipv4 client tcpdump -i wan0 -n -Z root -w "$WORK/ipv4.pcap" ip
wait_for 10 grep -q 'listening on' "$LAB_DIR/log/tcpdump-ipv4.log"

step "Traffic over IPv6"
expect "the client's remote address is IPv6" holds "$CLIENT_SOCKET" 'show["sessions"][0]["remote"].startswith("[2001:db8::1]")'
expect "inner IPv4 pings" pings client $LAB_SERVER4
expect "inner IPv6 pings" pings client $LAB_SERVER6
expect "pings towards the client" pings lan $LAB_CLIENT4
expect "TCP client > server" iperf_runs $LAB_SERVER4 2
expect "TCP server > client over inner IPv6" iperf_runs $LAB_SERVER6 2 -R

lab_stop tcpdump-ipv4 INT
expect "no IPv4 on wan0" test "$(tcpdump -n -r "$WORK/ipv4.pcap" 2>/dev/null | wc -l)" = 0
e2e_end
