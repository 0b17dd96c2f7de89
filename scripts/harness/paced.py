"""Requests at a fixed rate to several servers in turn, so that what disturbs one of them disturbs all."""

import time


def alternate(servers, bodies, rate, count):
    """Sends `count` requests to each, `rate` a second, bodies in rotation; anything but a 200 raises.

    The clock is not reset after a slow answer: requests that are late are sent at once until the rate is kept again.
    """
    lines = [line.rstrip() for line in bodies.read_bytes().splitlines()]
    clients = [server.client() for server in servers]
    started = time.monotonic()
    for number in range(count):
        wait = started + number / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        for client in clients if number % 2 else clients[::-1]:
            status, _, answer = client.request("POST", "/flags/?v=2", lines[number % len(lines)], {"Content-Type": "application/json"})
            if status != 200:
                raise RuntimeError(f"{status} {answer[:200]!r}")
