"""Is woken by kick.c. wake_twisted.py WARM_UP_COUNT epoll|threadedselect"""

import sys

from measures import Stamps
from twisted_reactor import finish, install, run

kind = sys.argv[2]
install(kind)

from twisted.internet import protocol, reactor

stamps = Stamps(int(sys.argv[1]))


class Woken(protocol.Protocol):
    def dataReceived(self, data):
        stamps.take(data)

    def connectionLost(self, reason):
        finish(stamps.figures())


port = reactor.listenTCP(
    0, protocol.Factory.forProtocol(Woken), interface="127.0.0.1"
)
print(port.getHost().port, flush=True)
run(kind)
