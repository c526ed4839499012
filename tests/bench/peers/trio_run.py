"""trio by itself, or as the guest of asyncio."""

import asyncio
import resource

import trio


def run(kind, main):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if kind != "guest":
        trio.run(main)
        return
    loop = asyncio.new_event_loop()
    outcomes = []

    def done(outcome):
        outcomes.append(outcome)
        loop.stop()

    trio.lowlevel.start_guest_run(
        main,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        done_callback=done,
    )
    loop.run_forever()
    outcomes[0].unwrap()
