#!/usr/bin/env python3
"""A stream of UDP probes at a steady rate between two of the lab's hosts, and what became of each.

probe.py send FILE ADDRESS PORT RATE BYTES, probe.py receive FILE ADDRESS PORT: one process each; both write what they
know into the file, which Stream reads. It is an array of pairs of int64: how many were sent and how many came twice,
then for each probe when it was sent and when it arrived (0: not yet), in ns of the wall clock.
"""
import bisect
import itertools
import mmap
import socket
import struct
import sys
import time

MOST = 1 << 27  # probes; memory is taken as they are sent
MS = 1_000_000
_LOOK_S = 0.004  # the kernel notes when each packet came, so looking rarely will do: it costs the lab less
_RECEIVE_BUFFER = 4 << 20
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35  # Python has no names for them


def _shared(path):
    with open(path, "r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 0)).cast("q")


def send(path, address, port, rate, size):
    times, payload = _shared(path), bytearray(max(size, 8))
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.connect((address, port))
    due, interval = time.monotonic_ns(), 1_000 * MS // rate
    for number in itertools.count(1):
        struct.pack_into("=q", payload, 0, number)
        times[2 * number] = time.time_ns()
        times[0] = number
        try:
            out.send(payload, socket.MSG_DONTWAIT)
        except OSError:
            pass  # refused is lost
        due += interval  # behind time it catches up at once: the rate holds, whatever the scheduler does
        time.sleep(max(0, due - time.monotonic_ns()) / 1e9)


def receive(path, address, port):
    times = _shared(path)
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    receiver.bind((address, port))
    while True:
        try:
            data, [(_, _, stamp)], _, _ = receiver.recvmsg(8, 64, socket.MSG_DONTWAIT)
        except BlockingIOError:
            time.sleep(_LOOK_S)
            continue
        number, = struct.unpack("=q", data)
        seconds, nanoseconds = struct.unpack("=qq", stamp)
        if times[2 * number + 1]:
            times[1] += 1
        else:
            times[2 * number + 1] = 1_000 * MS * seconds + nanoseconds


class Stream:
    """Reads the file of a stream."""

    def __init__(self, path):
        with open(path, "wb") as file:
            file.truncate(16 * MOST)
        self._times = _shared(path)

    @property
    def duplicates(self):
        return self._times[1]

    def _first(self, since):
        """Number of the first probe sent since then."""
        return bisect.bisect_left(range(self._times[0] + 1), since, lo=1, key=lambda number: self._times[2 * number])

    def delivery(self, since, until):
        """Of the probes sent in [since, until): how many, when the lost ones were sent, the longest time in ns between
        two arrivals, the last one before included. One that has not arrived yet counts as lost."""
        first, last = self._first(since), self._first(until)
        latest = next((self._times[2 * n + 1] for n in range(first - 1, 0, -1) if self._times[2 * n + 1]), since)
        lost, gap = [], 0
        for number in range(first, last):
            if arrived := self._times[2 * number + 1]:
                gap, latest = max(gap, arrived - latest), max(latest, arrived)
            else:
                lost.append(self._times[2 * number])
        return last - first, lost, gap

    def flows(self, count, age, since=0):
        """The last `count` probes that are older than `age` ns were sent since then and have all arrived."""
        end = self._first(time.time_ns() - age)
        numbers = range(end - count, end)
        return numbers[0] >= 1 and self._times[2 * numbers[0]] >= since and all(
            self._times[2 * number + 1] for number in numbers)


if __name__ == "__main__":
    {"send": send, "receive": receive}[sys.argv[1]](*sys.argv[2:4], *map(int, sys.argv[4:]))
