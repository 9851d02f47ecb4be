#!/bin/bash
# Broken profiles: both programs refuse them with exit code 2, before anything is opened, and say where:
# `file:line:column: key: expected … got …`. A table: edit the lab's good profile, expect a key.
# No namespaces are needed.
source "$(dirname "$0")/lib.sh"
e2e_begin 120 "$@"

# refused PROGRAM PROFILE KEY: exit code 2, at once, and a message of the form for that key. KEY is a regex.
refused() {
  local status=0
  bounded 10 "$LAB_BUILD/tools/$1" "$2" >"$WORK/output.txt" 2>&1 || status=$?
  if [[ $status != 2 ]] || ! grep -qE "^(error: )?$2:[0-9]+:[0-9]+: $3: expected .+ got .+" "$WORK/output.txt"; then
    info "exit code $status, and it said:"
    sed 's/^/         /' "$WORK/output.txt"
    return 1
  fi
}

# broken PROGRAM WHAT KEY SED_EXPRESSION
broken() {
  local template=$LAB_DIR/gateway.yaml
  [[ $1 == jvpnd ]] || template=$LAB_DIR/client.yaml
  sed -E "$4" "$template" >"$WORK/broken.yaml"
  if cmp -s "$template" "$WORK/broken.yaml"; then die "the edit for '$2' changes nothing"; fi
  expect "$1: $2" refused "$1" "$WORK/broken.yaml" "$3"
}

# Profiles and keys in a lab directory without a lab.
LAB_DIR=$WORK
lab_keys
lab_profiles
install -m 600 "$WORK/keys/client.key" "$WORK/keys/open.key"
chmod 644 "$WORK/keys/open.key"
install -m 600 /dev/null "$WORK/keys/empty.key"

step "The gateway's profile"
#      program what                       key                              edit
broken jvpnd "unknown key"                'peer_list'                      's/^peers:/peer_list:/'
broken jvpnd "unknown nested key"         'limits\.session_count'          's/limits: \{sessions:/limits: {session_count:/'
broken jvpnd "wrong type"                 'listen_port'                    's/^listen_port: .*/listen_port: many/'
broken jvpnd "list instead of map"        'memory'                         's/^memory: .*/memory: [true, 384]/'
broken jvpnd "out of range"               'listen_port'                    's/^listen_port: .*/listen_port: 70000/'
broken jvpnd "negative"                   'crypto\.rekey_after_ms'         's/rekey_after_ms: .*/rekey_after_ms: -1/'
broken jvpnd "not a prefix"               'ports\[0\]\.addresses\[0\]'     's,192\.0\.2\.1/24,192.0.2.1/33,'
broken jvpnd "missing port list"          'ports'                          '/^ports:/,/^crypto:/{/^crypto:/!d}'
broken jvpnd "missing key of a port"      'ports\[0\](\.role)?'            '0,/    role: outside/{/    role: outside/d}'
broken jvpnd "two ports with one address" 'ports\[1\]\.addresses\[0\]'     's,198\.51\.100\.1/24,192.0.2.1/24,'
broken jvpnd "two ports with one name"    'ports\[1\]\.name'               's/- name: wan1/- name: wan0/'
broken jvpnd "unknown suite"              'crypto\.suites(\[0\])?'         's/suites: .*/suites: [rot13]/'
broken jvpnd "bad public key"             'peers\[0\]\.public_key'         's/public_key: "[^"]*"/public_key: "abc"/'
broken jvpnd "missing key file"           'crypto\.private_key_file'       's,gateway\.key,nowhere.key,'
broken jvpnd "world-readable key file"    'crypto\.private_key_file'       's,gateway\.key,open.key,'
broken jvpnd "empty preshared key file"   'peers\[0\]\.preshared_key_file' 's,shared\.psk,empty.key,'
broken jvpnd "policy without version"     'policy\.version'                's/^policy: .*/policy: {}/'
broken jvpnd "unknown policy key"         'policy\.sesion'                 's/^policy: .*/policy: {version: 1, sesion: {}}/'
broken jvpnd "not YAML"                   '.+'                             's/^limits: .*/limits: {sessions: [/'

step "The client's profile"
broken jvpn-client "unknown key"             'gatewai'                        's/^gateway:/gatewai:/'
broken jvpn-client "wrong type"              'underlays'                      's/^underlays:/underlays: none/;/- \{name: wan[0-9]/d'
broken jvpn-client "bad endpoint"            'gateway\.endpoints\[0\]'        's/endpoints: .*/endpoints: ["192.0.2.1:0"]/'
broken jvpn-client "missing public key"      'gateway(\.public_key)?'         '/public_key:/d'
broken jvpn-client "missing key file"        'crypto\.private_key_file'       's,client\.key,nowhere.key,'
broken jvpn-client "world-readable key file" 'crypto\.private_key_file'       's,client\.key,open.key,'
broken jvpn-client "a gateway's role"        'role'                           's/^role: client/role: gateway/'
e2e_end
