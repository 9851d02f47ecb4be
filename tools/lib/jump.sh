# A session and a TCP transfer watched through jumps, for tools/quickstart and the scenarios. Source it
# after lab.sh and faults.sh.
# shellcheck shell=bash

TRANSFER_PORT=7003

# --- the session ------------------------------------------------------------------------------

# session_field SOCKET FIELD: of its one live session; fails when there is none, or more than one.
session_field() { show_value "$1" "show['sessions'][0 if len(show['sessions']) == 1 else -99]['$2']"; }
session_id() { session_field "$1" session_id; }

# session_is SOCKET ID
session_is() { [[ -n $2 && $(session_id "$1") == "$2" ]]; }

# active_link: the link that the client's session uses.
active_link() {
  local address link
  address=$(session_field "$CLIENT_SOCKET" local) || return 1
  address=${address%:*}
  for link in "${LAB_LINKS[@]}"; do
    [[ $address != "${LAB_OUTSIDE4[$link]}" && $address != "[${LAB_OUTSIDE6[$link]}]" ]] || { echo "$link"; return; }
  done
  return 1
}

# note_session: remembers it, for the functions below.
note_session() {
  NOTED_ID=$(session_id "$GATEWAY_SOCKET") || die "the gateway has no session"
  NOTED_VERSIONS=("$(session_field "$GATEWAY_SOCKET" state_version)" "$(session_field "$CLIENT_SOCKET" state_version)")
  NOTED_BINDINGS=("$(session_field "$GATEWAY_SOCKET" binding_version)" "$(session_field "$CLIENT_SOCKET" binding_version)")
  NOTED_REMOTE=$(session_field "$GATEWAY_SOCKET" remote)
  NOTED_LINK=$(active_link) || die "the client uses none of the links"
}

same_session() { session_is "$GATEWAY_SOCKET" "$NOTED_ID" && session_is "$CLIENT_SOCKET" "$NOTED_ID"; }
remote_changed() {
  local remote
  remote=$(session_field "$GATEWAY_SOCKET" remote) && [[ $remote != "$NOTED_REMOTE" ]]
}
versions_rose() {
  local gateway client
  gateway=$(session_field "$GATEWAY_SOCKET" state_version) || return 1
  client=$(session_field "$CLIENT_SOCKET" state_version) || return 1
  ((gateway > NOTED_VERSIONS[0] && client > NOTED_VERSIONS[1]))
}

# unmoved: nothing has changed since it was noted, neither its versions nor where the gateway sends.
unmoved() {
  same_session &&
    [[ $(session_field "$GATEWAY_SOCKET" state_version) == "${NOTED_VERSIONS[0]}" &&
      $(session_field "$CLIENT_SOCKET" state_version) == "${NOTED_VERSIONS[1]}" &&
      $(session_field "$GATEWAY_SOCKET" binding_version) == "${NOTED_BINDINGS[0]}" &&
      $(session_field "$CLIENT_SOCKET" binding_version) == "${NOTED_BINDINGS[1]}" &&
      $(session_field "$GATEWAY_SOCKET" remote) == "$NOTED_REMOTE" ]]
}

# jumped: attached at both ends, and the gateway sends elsewhere than noted.
jumped() { both_attached && remote_changed; }

# lab_jump LINK: asks for a planned jump.
lab_jump() { bounded 5 "$LAB_BUILD/tools/jvpn" --socket "$CLIENT_SOCKET" jump --underlay "$1" >/dev/null; }

# ended_for REASON: the noted session is gone at both ends, for that reason.
ended_for() {
  local socket
  for socket in "$GATEWAY_SOCKET" "$CLIENT_SOCKET"; do
    holds "$socket" "any(t['session_id'] == '$NOTED_ID' and t['reason'] == '$1' for t in show['terminated'])" || return 1
  done
}

# --- the transfer -----------------------------------------------------------------------------

# transfer_start MIB SECONDS [LIMIT]: random bytes from the client, or the host behind the second gateway, to the server, at a steady pace;
# transfer_finishes ends it earlier.
transfer_start() {
  local limit=${3:-$(($2 + 60))} sender=client
  [[ -z $LAB_SITE ]] || sender=lan2
  lab_spawn transfer-receiver lan "$ROOT/tools/lib/transfer.py" receive $TRANSFER_PORT "$limit"
  wait_for 5 transfer_listens || die "the receiver of the transfer did not start"
  lab_spawn transfer-sender $sender "$ROOT/tools/lib/transfer.py" send $LAB_SERVER4 $TRANSFER_PORT "$1" "$2" "$limit"
  wait_for 10 transfer_moves || die "the transfer did not start"
}

transfer_listens() { in_ns lan ss -tlnH "sport = :$TRANSFER_PORT" | grep -q .; }

# transfer_result NAME FIELD: of the last line that transfer-NAME printed; empty when it has no such field.
transfer_result() {
  tail -n 1 "$LAB_DIR/log/transfer-$1.log" |
    python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())[sys.argv[1]])' "$2" 2>/dev/null
}

# transfer_moves [BYTES]: more than so many have arrived.
transfer_moves() {
  local bytes
  bytes=$(transfer_result receiver bytes) && ((bytes > ${1:-0}))
}

# transfer_goes_on SECONDS: more bytes arrive within that time.
transfer_goes_on() { wait_for "$1" transfer_moves "$(transfer_result receiver bytes)"; }

# transfer_finishes SECONDS: no more is sent; what was sent arrives within that time, with the same SHA-256 at
# both ends.
transfer_finishes() {
  local sent received pid
  if pid=$(lab_pid transfer-sender); then kill -USR1 "$pid" || true; fi
  wait_for "$1" lab_ended transfer-receiver || return 1
  wait_for 5 lab_ended transfer-sender || return 1
  sent=$(transfer_result sender sha256) || return 1
  received=$(transfer_result receiver sha256) || return 1
  info "SHA-256 ${received:0:12}… of $(transfer_result receiver bytes) bytes; longest pause $(transfer_result receiver longest_pause_ms) ms," \
    "$(transfer_result receiver pause_began_ms) ms after the start"
  [[ $sent == "$received" ]]
}

# --- what was told ----------------------------------------------------------------------------

# audit_clean: `jvpn audit` finds no fault in what the programs have told so far; else shows what it says.
audit_clean() {
  local name events=() report=$LAB_DIR/audit.txt
  for name in jvpnd jvpnd2 jvpn-client; do
    [[ -e $LAB_DIR/log/$name.log ]] || continue
    grep '^{' "$LAB_DIR/log/$name.log" >"$LAB_DIR/$name.events" || true
    events+=("$LAB_DIR/$name.events")
  done
  bounded 30 "$LAB_BUILD/tools/jvpn" audit "${events[@]}" >"$report" 2>&1 || { show_tail "$report" 40; return 1; }
}

# show_timeline SINCE_MS: events and faults since then, indented.
show_timeline() { "$ROOT/tools/lib/timeline.py" "$LAB_DIR/log" "$1" | sed 's/^/       /'; }

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
