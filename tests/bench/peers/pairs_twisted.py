"""What pairs.ts does. pairs_twisted.py PAIRS IDLE WARM_UP_MS MEASURE_MS epoll|threadedselect"""

import socket
import sys
import time

from twisted_reactor import finish, install, run

pairs, idle, warm_up, measure = map(int, sys.argv[1:5])
kind = sys.argv[5]
install(kind)

from twisted.internet import reactor
from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

events = 0


@implementer(IReadDescriptor)
class Player:
    def __init__(self, end):
        self.end = end

    def fileno(self):
        return self.end.fileno()

    def logPrefix(self):
        return "pairs"

    def doRead(self):
        global events
        events += 1
        self.end.recv(64)
        self.end.send(b"x")

    def connectionLost(self, reason):
        pass


def make_pair():
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
        reactor.addReader(Player(end))
    return ends


for _ in range(0, idle, 2):
    make_pair()
for _ in range(pairs):
    make_pair()[0].send(b"x")


def begin():
    before, start = events, time.monotonic()

    def end():
        finish({"rate": (events - before) / (time.monotonic() - start)})

    reactor.callLater(measure / 1000, end)


reactor.callWhenRunning(lambda: reactor.callLater(warm_up / 1000, begin))
run(kind)
