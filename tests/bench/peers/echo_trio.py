"""An echo server on trio. echo_trio.py alone|guest"""

import sys

import trio

from trio_run import run


async def echo(stream):
    try:
        while data := await stream.receive_some(65536):
            await stream.send_all(data)
    except trio.BrokenResourceError:
        pass  # The load generator has gone.


async def main():
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4096)
    print(listener.socket.getsockname()[1], flush=True)
    await trio.serve_listeners(echo, [listener])


run(sys.argv[1], main)
