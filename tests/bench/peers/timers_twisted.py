"""Timers of Twisted's. timers_twisted.py BATCHES TIMERS epoll|threadedselect"""

import sys
import time

from measures import quantile
from twisted_reactor import finish, install, run

batches, timers = map(int, sys.argv[1:3])
kind = sys.argv[3]
install(kind)

from twisted.internet import reactor

BATCH = 1000
WARM_UP = 20

cancelled, fired, late = [], [], []


def cancel(left):
    start = time.perf_counter()
    calls = [reactor.callLater(1 + i / 1000, int) for i in range(BATCH)]
    for call in calls:
        call.cancel()
    cancelled.append((time.perf_counter() - start) / BATCH * 1e9)
    reactor.callLater(0, cancel if left else fire, (left or batches + WARM_UP) - 1)


def fire(left):
    start = time.perf_counter()
    missing = BATCH

    def one():
        nonlocal missing
        missing -= 1
        if missing:
            return
        fired.append((time.perf_counter() - start) / BATCH * 1e9)
        if left:
            fire(left - 1)
        else:
            be_late(timers)

    for _ in range(BATCH):
        reactor.callLater(0, one)


def be_late(left):
    if not left:
        finish(
            {
                "cancel": quantile(cancelled[WARM_UP:], 0.5),
                "fire": quantile(fired[WARM_UP:], 0.5),
                "p50": quantile(late, 0.5),
                "p99": quantile(late, 0.99),
            }
        )
    start = time.perf_counter()

    def one():
        late.append((time.perf_counter() - start - 0.001) * 1e6)
        be_late(left - 1)

    reactor.callLater(0.001, one)


reactor.callWhenRunning(cancel, batches + WARM_UP - 1)
run(kind)
