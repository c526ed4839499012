"""Is woken by kick.c. wake_trio.py WARM_UP_COUNT alone|guest"""

import json
import sys

import trio

from measures import Stamps
from trio_run import run

stamps = Stamps(int(sys.argv[1]))


async def main():
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(listener.socket.getsockname()[1], flush=True)
    stream = await listener.accept()
    while data := await stream.receive_some(65536):
        stamps.take(data)
    print(json.dumps(stamps.figures()), flush=True)


run(sys.argv[2], main)
