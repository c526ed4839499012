"""An echo server on Twisted. echo_twisted.py epoll|threadedselect"""

import sys

from twisted_reactor import install, run

kind = sys.argv[1]
install(kind)

from twisted.internet import protocol, reactor


class Echo(protocol.Protocol):
    def connectionMade(self):
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data):
        self.transport.write(data)


port = reactor.listenTCP(
    0, protocol.Factory.forProtocol(Echo), backlog=4096, interface="127.0.0.1"
)
print(port.getHost().port, flush=True)
run(kind)
