#!/usr/bin/env python3
"""Steady TCP flows between the client and the server, IPv4 and IPv6, up and down, and what arrives of each.

flows.py serve PORT: prints `{"FLOW": bytes, …}` of what comes up, twenty times a second.
flows.py run PORT RATE ADDRESS…: one flow up and one down for each address, RATE bytes a second each; prints the same of
what comes down.
"""
import json
import socket
import sys
import threading
import time

CHUNK = 16 * 1024
got = {}


def say():
    while True:
        print(json.dumps(got), flush=True)
        time.sleep(0.05)


def send(connection, rate):
    began, sent = time.monotonic(), 0
    while True:
        connection.sendall(bytes(CHUNK))
        sent += CHUNK
        ahead = sent / rate - (time.monotonic() - began)
        if ahead < -1:  # after a stop: no burst to catch up
            began, sent = time.monotonic(), 0
        time.sleep(max(0.0, ahead))


def receive(connection, name):
    got[name] = 0
    while data := connection.recv(CHUNK):
        got[name] += len(data)


def start(target, *words):
    threading.Thread(target=target, args=words, daemon=True).start()


def serve(port):
    start(say)
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        connection, _ = listener.accept()
        name, rate = connection.makefile().readline().split()
        if name.endswith("up"):
            start(receive, connection, name)
        else:
            start(send, connection, float(rate))


def run(port, rate, addresses):
    for address in addresses:
        for way in ("up", "down"):
            connection = socket.create_connection((address, port), timeout=10)
            connection.settimeout(None)
            name = f"{'ipv6' if ':' in address else 'ipv4'}-{way}"
            connection.sendall(f"{name} {rate}\n".encode())
            if way == "up":
                start(send, connection, float(rate))
            else:
                start(receive, connection, name)
    say()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        run(int(sys.argv[2]), sys.argv[3], sys.argv[4:])
