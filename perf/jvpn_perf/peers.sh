# Other VPNs between the lab's client and gateway, for `jvpn-perf peers`; sourced by lab_driver.sh.
# shellcheck shell=bash disable=SC2034  # LAB_TOUCHED and ANSWER are lab_driver.sh's
#
#   jvpn-client wan0 192.0.2.2 ══ tunnel ══ 192.0.2.1 wan0 jvpn-gw lan 10.99.0.1 ── lan 10.99.0.2 jvpn-lan
#
# jvpnd has the gateway's interfaces to itself, so tunnels take turns. The other VPNs use the kernel's
# forwarding in jvpn-gw, and get the interfaces' offloads that jvpnd can't use.

PEERS_DIR=$LAB_DIR/peers  # keys, 0700 as its parent
PEERS_PORT=51901
PEERS_MARGIN=25  # seconds that a stream may take beyond its length

peer_processes() {
  case $1 in
    jvpn) echo "jvpnd jvpn-client" ;;
    *) echo "$1-gw $1-client" ;;
  esac
}

# installed_command PEER: yes, or the packages that are missing.
installed_command() {
  local missing=()
  case $1 in
    wireguard-go)
      command -v wireguard-go >/dev/null || missing+=(wireguard-go)
      command -v wg >/dev/null || missing+=(wireguard-tools)
      ;;
    openvpn) command -v openvpn >/dev/null || missing+=(openvpn) ;;
  esac
  command -v iperf3 >/dev/null || missing+=(iperf3)
  ANSWER=${missing[*]:-yes}
}

# kernel_gateway on|off: the kernel forwards in jvpn-gw, or leaves its interfaces to jvpnd.
kernel_gateway() {
  local change=add
  [[ $1 == on ]] || change=del
  ip -n jvpn-gw address "$change" 192.0.2.1/24 dev wan0
  ip -n jvpn-gw address "$change" 10.99.0.1/24 dev lan
  in_ns gw sysctl -qw net.ipv4.ip_forward="$([[ $1 == on ]] && echo 1 || echo 0)"
  in_ns gw ethtool -K wan0 tx "$1" >/dev/null
  in_ns gw ethtool -K lan tx "$1" >/dev/null
  in_ns client ethtool -K wan0 tx "$1" >/dev/null
  in_ns lan ethtool -K lan tx "$1" >/dev/null
}

has_interface() { ip -n "jvpn-$1" link show dev "$2"; }

# tunnel_addresses CLIENT_IF GATEWAY_IF: inside addresses and the client's route to the server.
tunnel_addresses() {
  ip -n jvpn-client address replace 10.78.0.2/24 dev "$1"
  ip -n jvpn-client link set "$1" up
  ip -n jvpn-gw address replace 10.78.0.1/24 dev "$2"
  ip -n jvpn-gw link set "$2" up
  ip -n jvpn-client route replace "$LAB_SERVER4/32" via 10.78.0.1 dev "$1"
}

wireguard_keys() {
  local end
  for end in gw client; do
    [[ -e $PEERS_DIR/wg-$end.key ]] || (
      umask 077
      wg genkey >"$PEERS_DIR/wg-$end.key"
      wg pubkey <"$PEERS_DIR/wg-$end.key" >"$PEERS_DIR/wg-$end.pub"
    )
  done
}

wireguard_up() {
  wireguard_keys
  lab_spawn wireguard-go-gw gw wireguard-go --foreground jvpnwg1
  lab_spawn wireguard-go-client client wireguard-go --foreground jvpnwg0
  wait_for 10 has_interface gw jvpnwg1 || die "wireguard-go did not start"
  wait_for 10 has_interface client jvpnwg0 || die "wireguard-go did not start"
  wait_for 5 in_ns gw wg show jvpnwg1 || die "wireguard-go does not answer"
  wait_for 5 in_ns client wg show jvpnwg0 || die "wireguard-go does not answer"
  in_ns gw wg set jvpnwg1 listen-port $PEERS_PORT private-key "$PEERS_DIR/wg-gw.key" \
    peer "$(<"$PEERS_DIR/wg-client.pub")" allowed-ips 10.78.0.2/32
  in_ns client wg set jvpnwg0 private-key "$PEERS_DIR/wg-client.key" \
    peer "$(<"$PEERS_DIR/wg-gw.pub")" endpoint 192.0.2.1:$PEERS_PORT allowed-ips "10.78.0.1/32,$LAB_SERVER4/32"
  tunnel_addresses jvpnwg0 jvpnwg1
}

# A key and a certificate for each end; each knows the other by its fingerprint.
openvpn_keys() {
  local end
  for end in gw client; do
    [[ -e $PEERS_DIR/ovpn-$end.key ]] || (
      umask 077
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$end" \
        -keyout "$PEERS_DIR/ovpn-$end.key" -out "$PEERS_DIR/ovpn-$end.crt" 2>/dev/null
    )
  done
}

openvpn_fingerprint() { openssl x509 -in "$PEERS_DIR/ovpn-$1.crt" -noout -fingerprint -sha256 | cut -d= -f2; }

# openvpn_end END OTHER INTERFACE OPTION…
openvpn_end() {
  local end=$1 other=$2 interface=$3
  shift 3
  lab_spawn "openvpn-$end" "$end" openvpn --dev "$interface" --dev-type tun --topology p2p --proto udp \
    --cert "$PEERS_DIR/ovpn-$end.crt" --key "$PEERS_DIR/ovpn-$end.key" \
    --peer-fingerprint "$(openvpn_fingerprint "$other")" --data-ciphers AES-128-GCM --auth none \
    --disable-dco --verb 3 "$@"
}

openvpn_runs() { grep -q 'Initialization Sequence Completed' "$LAB_DIR/log/openvpn-$1.log"; }

openvpn_up() {
  openvpn_keys
  openvpn_end gw client jvpnov1 --lport $PEERS_PORT --tls-server --dh none --ifconfig 10.78.0.1 10.78.0.2
  openvpn_end client gw jvpnov0 --remote 192.0.2.1 $PEERS_PORT --nobind --tls-client \
    --ifconfig 10.78.0.2 10.78.0.1 --route-noexec
  wait_for 20 openvpn_runs client || die "no OpenVPN tunnel within 20 s"
  ip -n jvpn-client route replace "$LAB_SERVER4/32" via 10.78.0.1 dev jvpnov0
}

# prepare_command: the lab without any tunnel.
prepare_command() {
  LAB_TOUCHED=1
  lab_up
  lab_keys
  lab_profiles
  mkdir -p "$PEERS_DIR"
}

server_reached() { in_ns client ping -n -q -c 1 -W 1 "$LAB_SERVER4"; }

# tunnel_command PEER
tunnel_command() {
  case $1 in
    jvpn)
      start_gateway
      start_client
      ;;
    wireguard-go)
      kernel_gateway on
      wireguard_up
      ;;
    openvpn)
      kernel_gateway on
      openvpn_up
      ;;
  esac
  wait_for 10 server_reached || die "$1: the server does not answer through the tunnel"
}

end_tunnel_command() {
  local process
  for process in $(peer_processes "$1" | tac -s ' '); do lab_stop "$process"; done
  [[ $1 == jvpn ]] || kernel_gateway off
}

# cpu_ticks PEER: of both its processes so far.
cpu_ticks() {
  local process pid ticks=0
  for process in $(peer_processes "$1"); do
    pid=$(lab_pid "$process") || die "$1: $process has ended"
    ticks=$((ticks + $(awk '{ print $14 + $15 }' "/proc/$pid/stat")))
  done
  echo $ticks
}

iperf_listens() { in_ns lan ss -tlnH 'sport = :5201' | grep -q .; }

# stream_command PEER SECONDS: answers with Gbit/s and the CPU seconds of both processes.
stream_command() {
  local before after
  lab_spawn iperf3-server lan iperf3 -s -1
  wait_for 5 iperf_listens || die "the iperf3 server did not start"
  before=$(cpu_ticks "$1")
  bounded $(($2 + PEERS_MARGIN)) ip netns exec jvpn-client iperf3 -J -c "$LAB_SERVER4" -t "$2" \
    --connect-timeout 5000 >"$PEERS_DIR/iperf.json" || die "$1: the iperf3 stream failed"
  after=$(cpu_ticks "$1")
  lab_stop iperf3-server
  ANSWER=$(python3 - "$PEERS_DIR/iperf.json" $((after - before)) "$(getconf CLK_TCK)" <<'END'
import json, sys
sums = json.load(open(sys.argv[1]))["end"]
print(sums["sum_received"]["bits_per_second"] / 1e9, int(sys.argv[2]) / int(sys.argv[3]))
END
)
}
