#!/usr/bin/env python3
"""One end of a UDP flow both ways whose datagrams are numbered, so that each that is lost is known.

numbered.py ADDRESS OTHER PORT RATE LIMIT: from ADDRESS to OTHER, RATE datagrams a second from when the other end is heard until
SIGUSR1 comes; then `{"sent": …, "received": …, "twice": …, "late": …}` once nothing has come for a second: late is what came
after a higher number. Fails after LIMIT seconds.
"""
import json
import signal
import socket
import struct
import sys
import time

HELLO = 0  # the number of what isn't counted
QUIET_S = 1.0
SO_RCVBUFFORCE = 33  # beyond net.core.rmem_max; the module socket has no name for it


def main(address, other, port, rate, limit):
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"not done within {limit} s"))
    signal.alarm(limit)
    enough = []
    signal.signal(signal.SIGUSR1, lambda *_: enough.append(True))
    flow = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    flow.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)  # what comes in bunches isn't ours to lose
    flow.bind((address, port))
    flow.connect((other, port))
    began = None  # when the other end was heard
    sent, received, twice, late, highest = 0, set(), 0, 0, 0
    heard = hello = time.monotonic()
    while not enough or time.monotonic() - heard < QUIET_S:
        now = time.monotonic()
        if began is None and now >= hello:
            hello = now + 0.05
            send(flow, HELLO)
        while began is not None and not enough and sent < (now - began) * rate:
            sent += 1
            send(flow, sent)
        flow.settimeout(0.5 / rate)
        try:
            number, = struct.unpack("<Q", flow.recv(64)[:8])
        except (TimeoutError, ConnectionRefusedError):  # the other end isn't there yet
            continue
        heard = time.monotonic()
        if began is None:
            began = heard
            send(flow, HELLO)
            print("{}", flush=True)
        if number == HELLO:
            continue
        twice += number in received
        late += number < highest
        highest = max(highest, number)
        received.add(number)
    print(json.dumps({"sent": sent, "received": len(received), "twice": twice, "late": late}), flush=True)


def send(flow, number):
    datagram = struct.pack("<Q", number) + bytes(192)
    try:
        flow.send(datagram)
    except ConnectionRefusedError:  # that tells of an earlier one, and this one wasn't sent
        flow.send(datagram)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
