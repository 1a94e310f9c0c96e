"""Ports for servers that take a number and cannot be asked which one they got.

Separate because every test with such a server needs one that stays free until it listens. The
invariant: the kernel gives these to no connection and to nobody who asks for any port, since its
own begin at 32768 (ip_local_port_range), so that other processes of the suite do not meet them.
"""

from __future__ import annotations

import random
import socket

LOWEST, HIGHEST = 20_000, 32_000
_NOT_GIVEN_YET = iter(random.SystemRandom().sample(range(LOWEST, HIGHEST), HIGHEST - LOWEST))


def free_port() -> int:
    """One on loopback where nobody listens now; another one each time."""
    for port in _NOT_GIVEN_YET:
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:  # somebody listens there
                continue
        return port
    raise AssertionError("all ports were given")
