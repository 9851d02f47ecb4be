#!/bin/sh
# Usage: vector_runner_test.sh VECTOR_RUNNER SAMPLE_DIR
# Runs vector_runner on the samples, and on what it has to refuse.
runner=$1
samples=$2
failures=0

# expect STATUS LAST_LINE ARGUMENT...
expect() {
  status=$1 line=$2
  shift 2
  output=$("$runner" "$@" 2>/dev/null)
  got=$?
  last=$(printf '%s\n' "$output" | tail -n 1)
  if [ "$got" -ne "$status" ] || [ "$last" != "$line" ]; then
    echo "vector_runner $*: expected status $status and '$line', got $got and '$last'"
    failures=$((failures + 1))
  fi
}

empty=$(mktemp) && broken=$(mktemp) || exit 1
trap 'rm -f "$empty" "$broken"' EXIT
echo '{"algorithm": "AES-GCM", "testGroups": []}' >"$empty"
echo '{"algorithm": "AES-GCM", "testGroups": [{"tests": [{"result": "maybe"}]}]}' >"$broken"

expect 0 'passed 9 of 9' aead "$samples/aes_gcm_sample.json"
expect 0 'passed 6 of 6' aead "$samples/chacha20_poly1305_sample.json"
expect 0 'passed 6 of 6' x25519 "$samples/x25519_sample.json"
expect 1 'passed 1 of 2' aead "$samples/wrong_sample.json"
expect 2 'passed 0 of 0' aead "$empty"
expect 2 '' aead "$broken"
expect 2 '' aead "$samples/x25519_sample.json"
expect 2 '' aead "$samples/no_such_file.json"
expect 2 '' aead "$samples"
expect 2 '' aead
expect 2 '' ecdsa "$samples/aes_gcm_sample.json"

[ "$failures" -eq 0 ] && echo "vector_runner: all as expected"
exit "$failures"
