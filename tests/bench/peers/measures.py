"""What the programs in Python have in common with those in TypeScript."""

import struct
import time


def quantile(values, part):
    values = sorted(values)
    rank = -(-len(values) * part // 1)
    return values[min(max(int(rank), 1), len(values)) - 1]


class Stamps:
    """Takes the time stamps that kick.c sends."""

    def __init__(self, warm_up):
        self.warm_up = warm_up
        self.late = []
        self.rest = b""

    def take(self, data):
        now = time.monotonic_ns() / 1000
        data = self.rest + data
        whole = len(data) // 8 * 8
        for (stamp,) in struct.iter_unpack("<d", data[:whole]):
            self.late.append(now - stamp)
        self.rest = data[whole:]

    def figures(self):
        late = self.late[self.warm_up :]
        return {
            "count": len(late),
            "p50": quantile(late, 0.5),
            "p99": quantile(late, 0.99),
        }
