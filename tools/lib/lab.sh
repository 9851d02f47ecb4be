# The lab: three network namespaces on one machine, jvpnd and jvpn-client between them. Source it after common.sh.
# shellcheck shell=bash
#
#   jvpn-client                              jvpn-gw (jvpnd, DPDK)                     jvpn-lan
#  ┌──────────────────────────┐        ┌──────────────────────────────┐        ┌────────────────────┐
#  │ wan0 192.0.2.2/24        │────────│ wan0 192.0.2.1/24            │        │                    │
#  │      2001:db8::2/64      │        │      2001:db8::1/64          │        │                    │
#  │ wan1 198.51.100.2/24     │────────│ wan1 198.51.100.1/24         │  lan   │ lan 10.99.0.2/24   │
#  │      2001:db8:1::2/64    │        │      2001:db8:1::1/64        │────────│     fd99::2/64     │
#  │ wan2 203.0.113.2/24      │────────│ wan2 203.0.113.1/24          │        │ default via        │
#  │      2001:db8:2::2/64    │        │      2001:db8:2::1/64        │        │   10.99.0.1        │
#  │ jvpn0 10.77.0.2/32       │        │ lan  10.99.0.1/24, fd99::1/64│        │   fd99::1          │
#  │       fd77::2/128        │        │                              │        │                    │
#  └──────────────────────────┘        └──────────────────────────────┘        └────────────────────┘
#
# The gateway's addresses belong to jvpnd: in the kernel its interfaces are up without any address and
# stay silent. jvpn0 is the client's tunnel, made by jvpn-client.
#
# A link of `lab_up --emulated wanN` goes through a namespace of its own, jvpn-netN, where nftables joins
# the two ends, or lab-link (lab/link) with delay, jitter and more in between:
#
#   jvpn-client wanN ──── client [jvpn-netN] gw ──── wanN jvpn-gw
#
# lab_add_attacker makes such a link a segment with one more host, jvpn-attacker, on it.
#
# lab_up --site: at the far end of the three links, all emulated, stands a second gateway that dials the first:
#
#   jvpn-lan2 lan 10.88.0.2 ──── lan [jvpn-gw2: jvpnd] wan0, wan1, wan2 ════ [jvpn-gw: jvpnd] lan ──── jvpn-lan

LAB_DIR=/run/jvpn-lab  # pids, logs, profiles, keys; exists while the lab does
LAB_LINKS=(wan0 wan1 wan2)
LAB_NAMESPACES=(jvpn-{client,gw,lan,gw2,lan2,attacker,net0,net1,net2})  # not all of them at once
LAB_PORT=51900
LAB_SERVER4=10.99.0.2
LAB_SERVER6=fd99::2
LAB_CLIENT4=10.77.0.2
LAB_CLIENT6=fd77::2
LAB_SITE4=10.88.0.2  # the host behind the second gateway
LAB_SITE6=fd88::2
# The client's outside addresses.
declare -A LAB_OUTSIDE4=([wan0]=192.0.2.2 [wan1]=198.51.100.2 [wan2]=203.0.113.2)
declare -A LAB_OUTSIDE6=([wan0]=2001:db8::2 [wan1]=2001:db8:1::2 [wan2]=2001:db8:2::2)
GATEWAY_SOCKET=$LAB_DIR/jvpnd.sock
CLIENT_SOCKET=$LAB_DIR/jvpn-client.sock  # of whoever dials

# What a caller may change before lab_up.
LAB_BUILD=${JVPN_BUILD:-$ROOT/build}
LAB_DRIVER=${JVPN_LAB_DRIVER:-}                # af_xdp | af_packet; empty: the best there is
LAB_QUEUES=${JVPN_LAB_QUEUES:-}                # queue pairs (and workers) per port, 1 or 2
LAB_MEGABYTES=384
LAB_HUGEPAGES=200  # 384 MiB for the profile and a little for EAL
LAB_ENDPOINTS="\"192.0.2.1:$LAB_PORT\", \"198.51.100.1:$LAB_PORT\", \"203.0.113.1:$LAB_PORT\""
LAB_SUITE=aes-128-gcm
LAB_REKEY_MS=120000
LAB_POLICY='version: 1'  # of both ends


# Fills in what the caller left open. DPDK 22.11 opens only one queue of a veth by AF_XDP, because a
# veth reports no combined channels.
lab_choose_driver() {
  [[ -n $LAB_DRIVER ]] || LAB_DRIVER=$(port_driver)
  [[ -n $LAB_QUEUES ]] && return
  if [[ $LAB_DRIVER == af_xdp ]]; then LAB_QUEUES=1; else LAB_QUEUES=2; fi
}

# --- processes --------------------------------------------------------------------------------
# Every process of the lab is recorded as `pid start-time` in $LAB_DIR/pids/NAME: the start time tells
# it from a later process with the same pid.

start_time() { cut -d' ' -f22 "/proc/$1/stat" 2>/dev/null; }

# lab_pid NAME: prints the pid when that process lives, else fails.
lab_pid() {
  local pid started
  read -r pid started 2>/dev/null <"$LAB_DIR/pids/$1" || return 1
  [[ -n $started && $(start_time "$pid") == "$started" ]] || return 1
  [[ $(cut -d' ' -f3 "/proc/$pid/stat" 2>/dev/null) != Z ]] || return 1
  echo "$pid"
}

lab_runs() { lab_pid "$1" >/dev/null; }
lab_ended() { ! lab_runs "$1"; }

# in_ns NAMESPACE COMMAND…: NAMESPACE is client, gw, lan or netN.
in_ns() {
  local ns=jvpn-$1
  shift
  ip netns exec "$ns" "$@"
}

# lab_spawn NAME NAMESPACE COMMAND…: starts it in the background, its output in log/NAME.log.
lab_spawn() {
  local name=$1 ns=jvpn-$2 pid
  shift 2
  ip netns exec "$ns" "$@" >"$LAB_DIR/log/$name.log" 2>&1 </dev/null 9>&- &
  pid=$!
  echo "$pid $(start_time "$pid")" >"$LAB_DIR/pids/$name"
}

# lab_stop NAME [SIGNAL]: ends it; by SIGKILL when it doesn't within 5 s.
lab_stop() {
  local pid
  if pid=$(lab_pid "$1"); then
    kill "-${2:-TERM}" "$pid" 2>/dev/null || true
    if ! wait_for 5 lab_ended "$1"; then
      warn "$1 did not end within 5 s, killed"
      kill -KILL "$pid" 2>/dev/null || true
      wait_for 2 lab_ended "$1" || true
    fi
  fi
  rm -f "$LAB_DIR/pids/$1"
}

# --- topology ---------------------------------------------------------------------------------

# silence_kernel NAMESPACE: no address, no IPv6, nothing sent on its own.
silence_kernel() {
  in_ns "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 \
    net.ipv4.ip_forward=0
}

# A host that the lab addresses by hand: no autoconfiguration, no duplicate detection.
settle_host() {
  in_ns "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0 \
    net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
    net.ipv6.conf.all.accept_ra=0 net.ipv6.conf.default.accept_ra=0 \
    net.ipv6.conf.all.keep_addr_on_down=1 net.ipv6.conf.default.keep_addr_on_down=1 \
    net.ipv6.conf.default.router_solicitations=0 \
    net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.default.rp_filter=2
}

# add_veth NAMESPACE NAME NAMESPACE NAME: two ends of one wire, both up.
add_veth() {
  ip link add "$2" netns "jvpn-$1" numtxqueues "$LAB_QUEUES" numrxqueues "$LAB_QUEUES" mtu 1500 \
    type veth peer name "$4" netns "jvpn-$3" numtxqueues "$LAB_QUEUES" numrxqueues "$LAB_QUEUES" mtu 1500
  settle_end "$1" "$2"
  settle_end "$3" "$4"
}

# settle_end NAMESPACE NAME
settle_end() {
  # DPDK takes packets as they are: with tx offload on, a veth hands over unfinished checksums and
  # segments larger than the MTU.
  in_ns "$1" ethtool -K "$2" tx off >/dev/null
  [[ $1 != gw* && $1 != net* ]] || ip -n "jvpn-$1" link set "$2" addrgenmode none
  ip -n "jvpn-$1" link set "$2" up
}

# add_link NAME HOST: a link between HOST (client, gw2 or lan) and the gateway, same name at both ends.
add_link() {
  if [[ " ${LAB_EMULATED[*]} " == *" $1 "* ]]; then
    add_veth "$2" "$1" "net${1#wan}" client
    add_veth "net${1#wan}" gw gw "$1"
    lab_wire "$1"
  else
    add_veth "$2" "$1" gw "$1"
  fi
}

# add_addresses HOST INTERFACE IPV4 IPV6
add_addresses() {
  ip -n "jvpn-$1" address add "$3" dev "$2"
  ip -n "jvpn-$1" address add "$4" dev "$2" nodad
}

# add_lan HOST IPV4 IPV6 ROUTER4 ROUTER6: a host whose interface `lan` is up already.
add_lan() {
  add_addresses "$1" lan "$2" "$3"
  ip -n "jvpn-$1" route add default via "$4"
  ip -n "jvpn-$1" -6 route add default via "$5"
}

# lab_wire LINK: the kernel hands every frame from one end of jvpn-netN to the other.
lab_wire() {
  in_ns "net${1#wan}" nft -f - <<'END'
table netdev jvpn_wire {
  chain from_client { type filter hook ingress device client priority 0; fwd to "gw"; }
  chain from_gw { type filter hook ingress device gw priority 0; fwd to "client"; }
}
END
}

# lab_add_attacker LINK IPV4: after lab_up, on an emulated link that lab-link does not carry: a bridge joins the
# two ends and the attacker's host, which sees what is meant for it, and floods.
lab_add_attacker() {
  local ns="net${1#wan}" end
  require_kernel bridge
  add_namespace attacker
  add_veth attacker "$1" "$ns" attacker
  ip -n jvpn-attacker address add "$2/24" dev "$1"
  in_ns "$ns" nft delete table netdev jvpn_wire
  ip -n "jvpn-$ns" link add hub type bridge mcast_snooping 0
  for end in client gw attacker; do ip -n "jvpn-$ns" link set "$end" master hub; done
  ip -n "jvpn-$ns" link set hub up
}

# add_namespace HOST
add_namespace() {
  ip netns add "jvpn-$1"
  ip -n "jvpn-$1" link set lo up
  case $1 in
    gw* | net*) silence_kernel "$1" ;;
    *) settle_host "$1" ;;
  esac
}

lab_topology() {
  local host link far=client
  [[ -z $LAB_SITE ]] || far=gw2
  for host in "$far" gw lan "${LAB_EMULATED[@]/#wan/net}"; do add_namespace "$host"; done
  for link in "${LAB_LINKS[@]}"; do
    add_link "$link" "$far"
    [[ -n $LAB_SITE ]] || add_addresses client "$link" "${LAB_OUTSIDE4[$link]}/24" "${LAB_OUTSIDE6[$link]}/64"
  done
  add_link lan lan
  add_lan lan $LAB_SERVER4/24 $LAB_SERVER6/64 10.99.0.1 fd99::1
  [[ -n $LAB_SITE ]] || return 0
  add_namespace lan2
  add_veth lan2 lan gw2 lan
  add_lan lan2 $LAB_SITE4/24 $LAB_SITE6/64 10.88.0.1 fd88::1
}

# lab_up [--site] [--emulated LINK]…: namespaces, links, hugepages. Undone by lab_down.
LAB_EMULATED=()
LAB_SITE=''
LAB_DIALLER='jvpn-client'
lab_up() {
  local pages=$LAB_HUGEPAGES
  LAB_EMULATED=()
  while (($#)); do
    if [[ $1 == --site ]]; then
      LAB_SITE=1 LAB_DIALLER=jvpnd2 CLIENT_SOCKET=$LAB_DIR/jvpnd2.sock pages=$((2 * LAB_HUGEPAGES))
      LAB_EMULATED=("${LAB_LINKS[@]}")
      shift
      continue
    fi
    [[ $1 == --emulated && " ${LAB_LINKS[*]} " == *" ${2:-} "* ]] || die "lab_up: not an option: $*"
    LAB_EMULATED+=("$2")
    shift 2
  done
  require_kernel netns veth tun
  lab_choose_driver
  lab_down
  mkdir -p "$LAB_DIR"
  chmod 700 "$LAB_DIR"
  mkdir "$LAB_DIR/pids" "$LAB_DIR/log" "$LAB_DIR/faults"
  if ! reserve_hugepages "$pages" "$LAB_DIR/hugepages"; then
    warn "the kernel can't give $pages free 2 MiB pages: running without hugepages"
    touch "$LAB_DIR/no-hugepages"
  fi
  lab_topology
}

# Takes everything down that a lab of this or an earlier run has left. Safe to call at any time.
lab_down() {
  local record ns
  if [[ -d $LAB_DIR/pids ]]; then
    # Who dials first, to tell the gateway.
    for record in jvpn-client jvpnd2 jvpnd; do lab_stop "$record"; done
    for record in "$LAB_DIR"/pids/*; do
      [[ ! -e $record ]] || lab_stop "${record##*/}"
    done
  fi
  for ns in "${LAB_NAMESPACES[@]}"; do
    [[ ! -e /run/netns/$ns ]] || ip netns delete "$ns"
  done
  restore_hugepages "$LAB_DIR/hugepages"
  rm -rf "$LAB_DIR"
}

# lab_lock SECONDS: one lab at a time on a machine; held until the script ends. What it locks is /run
# itself, so no file stays behind; what outlives the script must not inherit descriptor 9.
lab_lock() {
  exec 9</run
  flock -w "$1" 9 || die "another lab is running on this machine"
}

# --- keys and profiles ------------------------------------------------------------------------

# Fresh key pairs for both ends and one preshared key, readable by root only.
lab_keys() {
  local jvpn=$LAB_BUILD/tools/jvpn end
  mkdir -p "$LAB_DIR/keys"
  (
    umask 077
    for end in gateway client; do
      "$jvpn" genkey >"$LAB_DIR/keys/$end.key"
      "$jvpn" pubkey <"$LAB_DIR/keys/$end.key" >"$LAB_DIR/keys/$end.pub"
    done
    "$jvpn" genpsk >"$LAB_DIR/keys/shared.psk"
  )
}

# lab_vdev INDEX INTERFACE: the YAML value of a port's `vdev`. AF_XDP takes one vdev for each queue.
lab_vdev() {
  local index=$1 interface=$2 queue list=''
  if [[ $LAB_DRIVER == af_packet ]]; then
    echo "\"net_af_packet$index,iface=$interface,qpairs=$LAB_QUEUES,framecnt=1024\""
    return
  fi
  for ((queue = 0; queue < LAB_QUEUES; queue++)); do
    list+=", \"net_af_xdp$((index * LAB_QUEUES + queue)),iface=$interface,start_queue=$queue,queue_count=1\""
  done
  list=${list#, }
  if ((LAB_QUEUES == 1)); then echo "$list"; else echo "[$list]"; fi
}

# render TEMPLATE OUTPUT NAME=VALUE…: replaces each @NAME@; fails when one is left over.
render() {
  local text name template=$1 output=$2
  shift 2
  text=$(<"$template")
  for name in "$@"; do text=${text//"@${name%%=*}@"/${name#*=}}; done
  printf '%s\n' "$text" >"$output"
  ! grep -o '@[A-Z0-9_]*@' "$output" >&2 || die "$template: a placeholder has no value"
}

# gateway_profile FILE NODE HOST KEY SOCKET LAN PEER: HOST is the last byte of its outside addresses, LAN and PEER
# are YAML.
gateway_profile() {
  local workers='[1]' hugepages=true eal='"--in-memory", "--iova-mode=va", "--no-pci"' mbufs
  ((LAB_QUEUES == 1)) || workers='[0, 1]'
  if [[ -e $LAB_DIR/no-hugepages ]]; then
    hugepages=false
    eal="\"--file-prefix=$2\", \"--iova-mode=va\", \"--no-pci\""  # --in-memory and --no-huge exclude each other
  fi
  # An AF_XDP queue keeps 2048 buffers in its fill ring and up to 2048 in its completion ring.
  mbufs=$((4 * LAB_QUEUES * 4096 + 8192))
  render "$ROOT/tools/profiles/lab-gateway.yaml.in" "$1" "NODE=$2" "HOST=$3" "KEY=$4" "SOCKET=$5" "LAN=$6" "PEER=$7" \
    "WORKERS=$workers" "HUGEPAGES=$hugepages" "MEGABYTES=$LAB_MEGABYTES" "EAL_ARGS=$eal" \
    "WAN0_VDEV=$(lab_vdev 0 wan0)" "WAN1_VDEV=$(lab_vdev 1 wan1)" "WAN2_VDEV=$(lab_vdev 2 wan2)" \
    "LAN_VDEV=$(lab_vdev 3 lan)" "QUEUES=$LAB_QUEUES" "MBUFS=$mbufs" "SUITES=[$LAB_SUITE]" \
    "REKEY_MS=$LAB_REKEY_MS" "KEYS=$LAB_DIR/keys" "POLICY=$LAB_POLICY"
}

# peer NAME KEY ALLOWED_IPS [MORE]: as YAML.
peer() {
  echo "{name: $1, public_key: \"$(<"$LAB_DIR/keys/$2.pub")\", preshared_key_file: $LAB_DIR/keys/shared.psk, allowed_ips: [$3]${4:+, $4}}"
}

# Writes the profiles of both ends, $LAB_DIR/gateway.yaml and client.yaml or gateway2.yaml, from the templates and
# the LAB_ variables.
lab_profiles() {
  local peer
  lab_choose_driver
  if [[ -n $LAB_SITE ]]; then
    peer=$(peer hub gateway '10.99.0.0/24, "fd99::/64"' "endpoints: [$LAB_ENDPOINTS]")
    gateway_profile "$LAB_DIR/gateway2.yaml" gw2 2 client "$CLIENT_SOCKET" '10.88.0.1/24, "fd88::1/64"' "$peer"
    peer=$(peer branch client '10.88.0.0/24, "fd88::/64"')
  else
    render "$ROOT/tools/profiles/lab-client.yaml.in" "$LAB_DIR/client.yaml" \
      "SUITES=[$LAB_SUITE]" "REKEY_MS=$LAB_REKEY_MS" "KEYS=$LAB_DIR/keys" "SOCKET=$CLIENT_SOCKET" \
      "ENDPOINTS=$LAB_ENDPOINTS" "POLICY=$LAB_POLICY" "GATEWAY_PUBLIC_KEY=$(<"$LAB_DIR/keys/gateway.pub")"
    peer=$(peer laptop client '10.77.0.2/32, "fd77::2/128"')
  fi
  gateway_profile "$LAB_DIR/gateway.yaml" gw1 1 gateway "$GATEWAY_SOCKET" '10.99.0.1/24, "fd99::1/64"' "$peer"
}

# --- the two programs -------------------------------------------------------------------------

# show_json SOCKET: what `jvpn show --json` prints.
show_json() { timeout 5 "$LAB_BUILD/tools/jvpn" --socket "$1" show --json; }

# show_value SOCKET EXPRESSION: a Python expression over `show`, the parsed JSON.
show_value() {
  show_json "$1" | python3 -c 'import json, sys
show = json.load(sys.stdin)
print(eval(sys.argv[1]))' "$2" 2>/dev/null
}

gateway_value() { show_value "$GATEWAY_SOCKET" "$1"; }
client_value() { show_value "$CLIENT_SOCKET" "$1"; }

# holds SOCKET EXPRESSION: the expression is true.
holds() { [[ $(show_value "$1" "bool($2)") == True ]]; }

attached() { holds "$1" 'any(s["state"] == "ATTACHED" for s in show["sessions"])'; }
client_attached() { attached "$CLIENT_SOCKET"; }
both_attached() { attached "$CLIENT_SOCKET" && attached "$GATEWAY_SOCKET"; }
gateway_answers() { show_json "$GATEWAY_SOCKET" || lab_ended jvpnd; }
client_settled() { both_attached || lab_ended $LAB_DIALLER || lab_ended jvpnd; }

# spawn_jvpnd NAME NAMESPACE PROFILE. libxdp: no dispatcher program, of which something could stay behind in the BPF
# file system.
spawn_jvpnd() { lab_spawn "$1" "$2" env LIBXDP_SKIP_DISPATCHER=1 "$LAB_BUILD/tools/jvpnd" "$LAB_DIR/$3"; }

# Starts jvpnd and waits for its admin socket.
start_gateway() {
  spawn_jvpnd jvpnd gw gateway.yaml
  wait_for 30 gateway_answers || die "jvpnd: no answer on its admin socket within 30 s"
  lab_runs jvpnd || die "jvpnd ended at once"
}

# Starts jvpn-client, or the second jvpnd, and waits until both ends call the session ATTACHED.
start_client() {
  if [[ -n $LAB_SITE ]]; then
    spawn_jvpnd jvpnd2 gw2 gateway2.yaml
  else
    lab_spawn jvpn-client client "$LAB_BUILD/tools/jvpn-client" "$LAB_DIR/client.yaml"
  fi
  wait_for 20 client_settled || die "no session within 20 s"
  lab_runs $LAB_DIALLER || die "$LAB_DIALLER ended at once"
  lab_runs jvpnd || die "jvpnd ended during the handshake"
}

# The ends of all logs, for a failed run.
lab_logs() {
  local log
  for log in "$LAB_DIR"/log/*.log; do
    [[ ! -e $log ]] || show_tail "$log" 20
  done
}
