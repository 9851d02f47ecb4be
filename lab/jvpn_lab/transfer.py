#!/usr/bin/env python3
"""One TCP connection that carries random bytes at a steady pace, and how it fared.

transfer.py receive PORT SECONDS: prints `{"ms": …, "bytes": …}` while bytes arrive and at the end
`{"sha256": …, "bytes": …, "longest_pause_ms": …, "pause_began_ms": …}`, ms since the connection began.
transfer.py send HOST PORT MIB SECONDS LIMIT: MIB over SECONDS, or what was sent when SIGUSR1 came, then
`{"sha256": …, "bytes": …}`. Both fail when it takes longer than the limit.
"""
import hashlib
import json
import os
import signal
import socket
import sys
import time

CHUNK = 64 * 1024
PROGRESS = 0.25


def say(**fields):
    print(json.dumps(fields), flush=True)


def bound(limit):
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"not done within {limit} s"))
    signal.alarm(limit)


def receive(port, limit):
    bound(limit)
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    connection, _ = listener.accept()
    began = last = told = time.monotonic()
    digest, count, pause, pause_began = hashlib.sha256(), 0, 0.0, 0.0
    while data := connection.recv(CHUNK):
        now = time.monotonic()
        if now - last > pause:
            pause, pause_began = now - last, last - began
        last = now
        digest.update(data)
        count += len(data)
        if now - told >= PROGRESS or count == len(data):
            told = now
            say(ms=round((now - began) * 1000), bytes=count)
    say(sha256=digest.hexdigest(), bytes=count, longest_pause_ms=round(pause * 1000),
        pause_began_ms=round(pause_began * 1000))


def send(host, port, mib, seconds, limit):
    bound(limit)
    enough = []
    signal.signal(signal.SIGUSR1, lambda *_: enough.append(True))
    connection = socket.create_connection((host, port), timeout=5)
    connection.settimeout(None)
    digest, sent, total = hashlib.sha256(), 0, mib << 20
    began = time.monotonic()
    while sent < total and not enough:
        time.sleep(max(0.0, began + seconds * sent / total - time.monotonic()))
        data = os.urandom(min(CHUNK, total - sent))
        digest.update(data)
        connection.sendall(data)
        sent += len(data)
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)  # until the receiver has closed
    say(sha256=digest.hexdigest(), bytes=sent)


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive(*map(int, sys.argv[2:]))
    else:
        send(sys.argv[2], *map(int, sys.argv[3:]))
