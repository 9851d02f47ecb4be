# Faults of the lab's links, for tools/lab, tools/quickstart and the scenarios. Source it after lab.sh.
# shellcheck shell=bash
#
# Everything acts from outside on the two programs: nftables and tc in the client's namespace, or in
# jvpn-netN when the link is emulated. What is in force stands in $LAB_DIR/faults/LINK.KIND for people;
# what was done when stands in $LAB_DIR/log/faults.log as JSON lines, for tools/lib/timeline.py.

LAB_NAT_ADDRESS4=77  # last byte of the first address that `rebind address` gives

link_exists() { [[ " ${LAB_LINKS[*]} " == *" $1 "* ]]; }
link_emulated() { [[ -e /run/netns/jvpn-net${1#wan} ]]; }

# fault_noted LINK KIND TEXT: empty TEXT when the fault is gone.
fault_noted() {
  local file=$LAB_DIR/faults/$1.$2
  if [[ -n $3 ]]; then echo "$3" >"$file"; else rm -f "$file"; fi
  printf '{"ts_ms": %d, "event": "FAULT", "link": "%s", "fault": "%s"}\n' \
    $((${EPOCHREALTIME/./} / 1000)) "$1" "${3:-healed}" >>"$LAB_DIR/log/faults.log"
}

# faults_of LINK: prints what is in force, separated by commas.
faults_of() {
  local file list=''
  for file in "$LAB_DIR/faults/$1".*; do
    [[ ! -e $file ]] || list+=", $(<"$file")"
  done
  echo "${list#, }"
}

# link_rule LINK NAME RULE: an nftables rule for each direction; replaces the one of that name, '' removes it.
# Egress hooks: what they drop, a UDP socket is not told (a drop in the output hook would be EPERM).
link_rule() {
  local table="jvpn_$2_$1" rule=$3 ns=client
  local out="egress device $1" in="ingress device $1"
  if link_emulated "$1"; then
    ns="net${1#wan}" out="egress device gw" in="egress device client"
  fi
  {
    printf 'add table netdev %s\ndelete table netdev %s\n' "$table" "$table"
    [[ -z $rule ]] || printf 'table netdev %s {
      chain out { type filter hook %s priority 0; %s; }
      chain back { type filter hook %s priority 0; %s; }\n}\n' "$table" "$out" "$rule" "$in" "$rule"
  } | in_ns "$ns" nft -f -
}

# --- the faults -------------------------------------------------------------------------------

# fault_cut LINK silent|ipv4|ipv6|down: ipv4 and ipv6 are silent for that family alone.
fault_cut() {
  case $2 in
    silent) link_rule "$1" cut drop ;;
    ipv4) link_rule "$1" cut 'meta protocol ip drop' ;;
    ipv6) link_rule "$1" cut 'meta protocol ip6 drop' ;;
    down) link_state "$1" down ;;
  esac
  fault_noted "$1" cut "cut ($2)"
}

# fault_pull LINK client|gw: the cable out of the port at that end; the other one is told nothing. The link has to
# be emulated.
fault_pull() {
  require_emulated "$1"
  ip -n "jvpn-net${1#wan}" link set "$2" down
  fault_noted "$1" pulled "pulled at the ${2/client/far} end"
}

pull_healed() {
  local end
  for end in client gw; do ip -n "jvpn-net${1#wan}" link set $end up; done
}

# link_state LINK up|down: the cable at both ends.
link_state() {
  ip -n jvpn-client link set "$1" "$2"
  if link_emulated "$1"; then ip -n "jvpn-net${1#wan}" link set gw "$2"; fi
}

# fault_loss LINK PERCENT: in each direction. A run of segments that the client hands to its kernel at
# once has one fate on a plain link; on an emulated link every frame has its own.
fault_loss() {
  link_rule "$1" loss "numgen random mod 10000 < $(scaled "$2" 100) drop"
  fault_noted "$1" loss "loss $2 %"
}

# scaled NUMBER FACTOR: the product as an integer.
scaled() { awk -v "n=$1" -v "f=$2" 'BEGIN { printf "%d", n * f + 0.5 }'; }

# fault_rate LINK MBIT: a token bucket in each direction; the link has to be emulated, because DPDK's frames
# pass by the gateway's own queueing disciplines.
fault_rate() {
  local end
  require_emulated "$1"
  for end in client gw; do
    in_ns "net${1#wan}" tc qdisc replace dev "$end" root tbf rate "$2mbit" burst 64kb latency 100ms
  done
  fault_noted "$1" rate "rate $2 Mbit/s"
}

rate_healed() {
  local end
  for end in client gw; do in_ns "net${1#wan}" tc qdisc del dev "$end" root; done
}

require_emulated() {
  link_emulated "$1" || die "$1 is a plain link; this needs lab_up --emulated $1, as tools/lab up does"
}

# fault_delay LINK SETTINGS [SEED]: settings as lab/link takes them, `delay_ms=40 reorder=0.01`; the
# link has to be emulated. The ones not given stay as they are.
fault_delay() {
  local reply
  require_emulated "$1"
  emulate_link "$1" "${3:-}"
  reply=$(ask_link "$1" "$2") || die "$1: lab-link does not answer"
  [[ $reply == ok* ]] || die "$1: ${reply#error: }"
  fault_noted "$1" delay "$(sed -n 's/^ok //p' <<<"$reply" | tr ' ' '\n' | grep -v '=0$' | paste -sd' ')"
}

# emulate_link LINK SEED: lab-link instead of the kernel between the two ends. Without SEED a running one
# stays.
emulate_link() {
  if lab_runs "link-$1"; then
    [[ -n $2 ]] || return 0
    lab_wire "$1"
    lab_stop "link-$1"
  fi
  lab_spawn "link-$1" "net${1#wan}" "$LAB_BUILD/lab/lab-link" client gw --seed "${2:-1}" \
    --socket "$LAB_DIR/$1.link"
  wait_for 5 ask_link "$1" '' || die "lab-link did not start: $(<"$LAB_DIR/log/link-$1.log")"
  in_ns "net${1#wan}" nft delete table netdev jvpn_wire
}

# ask_link LINK SETTINGS: changes lab-link's settings; prints its answer.
ask_link() {
  python3 - "$LAB_DIR/$1.link" "$2" <<'END'
import os, socket, sys
path, text = sys.argv[1:]
asker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
asker.settimeout(2)
asker.bind(f"{path}.{os.getpid()}")
try:
    asker.sendto(text.encode(), path)
    print(asker.recv(4096).decode(), end="")
finally:
    os.unlink(f"{path}.{os.getpid()}")
END
}

# attack LINK ORDER…: to the attacker on that link, which has to be emulated (lab/link/attacker.h lists
# the orders); prints what it answers. The two ends are `client` and `gw`.
attack() {
  local link=$1 reply
  shift
  require_emulated "$link"
  emulate_link "$link" ''
  reply=$(ask_link "$link" "attack $*") || die "$link: lab-link does not answer"
  [[ $reply == ok* ]] || die "$link: ${reply#error: }"
  echo "${reply#ok }"
}

# fault_rebind LINK port|address: the client's packets appear from another port, or from another IPv4
# address and port; what is sent to the former ones is lost, as behind a NAT that forgot its mapping. A
# conntrack zone of its own makes each rebinding forget the earlier ones.
fault_rebind() {
  local link=$1 count address=${LAB_OUTSIDE4[$1]} zone
  count=$(cat "$LAB_DIR/faults/$link.rebindings" 2>/dev/null) || count=0
  count=$((${count%% *} + 1))
  zone=$((1000 * (${link#wan} + 1) + count))
  if [[ $2 == address ]]; then
    address=${address%.*}.$((LAB_NAT_ADDRESS4 + count))
    ip -n jvpn-client address replace "$address/32" dev lo  # so that it is asked for and answered by ARP
  fi
  in_ns client nft -f - <<END
add table inet jvpn_nat_$link
delete table inet jvpn_nat_$link
table inet jvpn_nat_$link {
  chain zone_out { type filter hook output priority raw; oifname $link udp dport $LAB_PORT ct zone set $zone; }
  chain zone_in { type filter hook prerouting priority raw; iifname $link udp sport $LAB_PORT ct zone set $zone; }
  chain back { type nat hook prerouting priority dstnat; }
  chain out {
    type nat hook postrouting priority srcnat
    oifname $link meta nfproto ipv4 udp dport $LAB_PORT snat ip to $address:$((40000 + zone))
    oifname $link meta nfproto ipv6 udp dport $LAB_PORT snat ip6 to [${LAB_OUTSIDE6[$link]}]:$((40000 + zone))
  }
  chain forgotten {
    type filter hook input priority 0
    iifname $link udp sport $LAB_PORT ct status & snat != snat drop
  }
}
END
  fault_noted "$link" rebindings "$count rebindings, now $address:$((40000 + zone))"
}

rebind_healed() {
  in_ns client nft delete table inet "jvpn_nat_$1"
  ip -n jvpn-client address flush dev lo to "${LAB_OUTSIDE4[$1]}/24"
}

# usual_delay MS: of every link in each direction, also when it is healed. All links have to be emulated.
usual_delay() {
  local link
  echo "$1" >"$LAB_DIR/usual-delay"
  for link in "${LAB_LINKS[@]}"; do
    emulate_link "$link" ''
    ask_link "$link" "$(undelayed)" >/dev/null
  done
}

# The settings of a healed link: only the delay that it had from the start (usual_delay).
undelayed() {
  echo "delay_ms=$(cat "$LAB_DIR/usual-delay" 2>/dev/null || echo 0) jitter_ms=0 loss=0 reorder=0 duplicate=0 rate_mbit=0 flap_ms=0"
}

# fault_heal LINK: takes back all of its faults. Without its NAT the client appears from its own port again,
# which is one more rebinding. lab-link keeps running, without faults: frames inside arrive in order.
fault_heal() {
  local file
  for file in "$LAB_DIR/faults/$1".*; do
    case ${file##*.} in
      cut)
        link_rule "$1" cut ''
        link_state "$1" up
        ;;
      pulled) pull_healed "$1" ;;
      loss) link_rule "$1" loss '' ;;
      rate) rate_healed "$1" ;;
      delay) ask_link "$1" "$(undelayed)" >/dev/null ;;
      rebindings) rebind_healed "$1" ;;
      *) continue ;;  # no file at all
    esac
    rm -f "$file"
  done
  fault_noted "$1" none ''
}
