#!/usr/bin/env python3
"""A closed laptop: the client is idle by policy, then stopped for ten transport-loss TTLs while none of its links
carries anything; it wakes without its first link and goes on over another. The session and an idle TCP connection are
still there.

  jvpn-client (stopped) ══╳ wan0, wan1, wan2 ╳══ jvpn-gw ── jvpn-lan     (see jvpn_lab/topology.py)
  jvpn-client (awake)   ══ wan1 ═══════════════ jvpn-gw ── jvpn-lan
"""
import signal
import sys

from e2e import (CLIENT, GATEWAY, LAB_DIR, LINKS, SERVER4, active_link, both_attached, faults, ip, logged, processes,
                 require_within, scenario, spawn, step)

TTL_MS = 800
# Awake, silence is death after 0.6 s; asleep, after 10 s ÷ 0.1 s = 100 times that.
POLICY = f"""version: 1, session: {{transport_loss_ttl_ms: {TTL_MS}, idle_max_ms: 10000}},
  volatility: {{heartbeat_interval_ms: 100, heartbeat_volatile_ms: 300, transport_dead_ms: 600}}"""
MORNING = LAB_DIR / "morning"

# An echo server, and a client that says one word, waits for the file `morning`, and says another.
ECHO_SERVER = f"""import socket
s = socket.create_server(("{SERVER4}", 7007))
print("listens", flush=True)
c = s.accept()[0]
while word := c.recv(64): c.sendall(word)"""
ECHO_CLIENT = f"""import os, socket, time
s = socket.create_connection(("{SERVER4}", 7007), 10)
s.settimeout(30)
def say(word):
    s.sendall(word)
    assert s.recv(64) == word
    print("echoed", word.decode(), flush=True)
say(b"evening")
while not os.path.exists("{MORNING}"): time.sleep(0.05)
say(b"morning")"""


def both_idle() -> bool:
    return GATEWAY.session()["idle"] and CLIENT.session()["idle"]


with scenario(150) as s:
    s.session(emulated=LINKS, policy=POLICY)
    noted = s.noted
    spawn("echo-server", "lan", sys.executable, "-c", ECHO_SERVER)
    require_within(5, lambda: logged("echo-server", "listens"), "the echo server did not start")
    spawn("echo-client", "client", sys.executable, "-c", ECHO_CLIENT)
    s.expect("a TCP connection stands", lambda: logged("echo-client", "echoed evening"), within=5)
    s.expect("without traffic, both ends agree to be idle", both_idle, within=20)

    step("Asleep for ten TTLs")
    for link in LINKS:
        faults.cut(link, "silent")
    processes.send(CLIENT.name, signal.SIGSTOP)
    s.expect(f"nothing was heard for {10 * TTL_MS} ms", lambda: GATEWAY.session()["last_rx_ms_ago"] > 10 * TTL_MS,
             within=10 * TTL_MS / 1000 + 15)
    s.expect("the gateway still has the session", lambda: GATEWAY.session()["session_id"] == noted.id)

    step("Awake elsewhere: wan0 is gone, wan1 is there")
    faults.heal("wan1")
    ip("client", "link set wan0 down")
    processes.send(CLIENT.name, signal.SIGCONT)
    s.expect("attached over wan1", lambda: both_attached() and active_link() == "wan1", within=10)
    s.expect("still the same session at both ends", noted.same)
    MORNING.touch()
    s.expect("the TCP connection goes on", lambda: logged("echo-client", "echoed morning"), within=15)
    s.expect_clean_audit()
