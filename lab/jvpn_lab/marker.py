#!/usr/bin/env python3
"""A stream of marked datagrams to an outside address, and a count of those that devices carry in the clear.

marker.py send ADDRESS…: 50 datagrams a second to each, IPv4 or IPv6, whatever becomes of them; prints how many it has
tried, and how many of those the kernel took.
marker.py watch DEVICE…: prints how many frames with the marker the devices have carried, whenever that changes.
"""
import json
import select
import socket
import sys
import time

MARKER = b"jvpn-marker-in-the-clear"
ETH_P_ALL = 3


def say(**fields):
    print(json.dumps(fields), flush=True)


def send(addresses):
    tried = taken = 0
    while True:
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as one:  # afresh: no route is remembered
                tried += 1
                try:
                    one.sendto(MARKER + b" %d" % tried, (address, 9))
                    taken += 1
                except OSError:
                    pass
        if tried % 10 == 0:
            say(tried=tried, taken=taken)
        time.sleep(0.02)


def watch(devices):
    sockets = []
    for device in devices:
        one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        one.bind((device, 0))
        sockets.append(one)
    seen = {"ipv4": 0, "ipv6": 0}
    say(**seen)
    while True:
        for one in select.select(sockets, [], [])[0]:
            try:
                frame = one.recv(65536)
            except OSError:  # the device went down
                continue
            if MARKER in frame:
                seen["ipv6" if frame[12:14] == b"\x86\xdd" else "ipv4"] += 1
                say(**seen)


if __name__ == "__main__":
    {"send": send, "watch": watch}[sys.argv[1]](sys.argv[2:])
