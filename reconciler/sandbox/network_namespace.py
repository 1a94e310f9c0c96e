"""Runs a command in a network of its own, in which every address of the pods is a local one.

It is separate, and a script of the standard library alone, because only a process with a single
thread may leave its user namespace. Invariant: the command runs inside or not at all, under the
same user; and the network is gone with the last process in it, so that nobody has to clean up.

Without the rights of root it enters a user namespace as well, where it has them for the moment.
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import os
import socket
import struct
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
SIOCSIFADDR, SIOCSIFNETMASK = 0x8916, 0x891C
IFF_UP = 0x1


def enter(addresses: ipaddress.IPv4Interface) -> None:
    """Raises OSError where the kernel does not allow it."""
    try:
        _unshare(CLONE_NEWNET)
    except PermissionError:
        _enter_user_namespace()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = struct.unpack("16xH", _request(control, SIOCGIFFLAGS, b"lo", bytes(2))[:18])[0]
        # The kernel gives it 127.0.0.1 by itself when it comes up.
        _request(control, SIOCSIFFLAGS, b"lo", struct.pack("H", flags | IFF_UP))
        # On a loopback interface, the whole of an address's network is local.
        _request(control, SIOCSIFADDR, b"lo:pods", _ipv4(addresses.ip))
        _request(control, SIOCSIFNETMASK, b"lo:pods", _ipv4(addresses.netmask))


def _enter_user_namespace() -> None:
    user, group = os.geteuid(), os.getegid()
    _unshare(CLONE_NEWUSER | CLONE_NEWNET)
    # The kernel wants this before an unprivileged user may map a group.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _unshare(flags: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _request(control: socket.socket, number: int, interface: bytes, value: bytes) -> bytes:
    return fcntl.ioctl(control, number, struct.pack("16s24s", interface, value))


def _ipv4(address: ipaddress.IPv4Address) -> bytes:
    """A `struct sockaddr_in`."""
    return struct.pack("HH4s", socket.AF_INET, 0, address.packed)


def main() -> None:
    """Arguments: the addresses that are local there, and the command with its arguments."""
    addresses, *command = sys.argv[1:]
    try:
        enter(ipaddress.IPv4Interface(addresses))
    except OSError as error:
        sys.exit(str(error))
    os.execv(command[0], command)  # noqa: S606 - the caller's own interpreter, no shell


if __name__ == "__main__":
    main()
