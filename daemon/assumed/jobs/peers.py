"""Whose a connection on loopback is: Linux tells the account of a TCP socket by sock_diag(7), to every user.

SO_PEERCRED knows Unix sockets alone, and /proc/net/tcp lists every connection of the machine: this is one look-up (some
20 µs).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys

Address = tuple[str, int]

SOCK_DIAG_BY_FAMILY, NETLINK_SOCK_DIAG, NLM_F_REQUEST = 20, 4, 1
HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
REQUEST = struct.Struct("!BBBxI HH16s16sIQ")
"""struct inet_diag_req_v2: family, protocol, extensions, states; ports, addresses, interface, cookie."""
ACCOUNT = struct.Struct("=64xI")
"""The account in a struct inet_diag_msg."""
ANY = 0xFFFFFFFF


class Peers:
    """Tells strangers from our own account."""

    def __init__(self) -> None:
        self._channel: socket.socket | None = None
        self._asked = 0
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # a sandbox without netlink
                self._channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
                self._channel.setblocking(False)

    def is_stranger(self, peer: Address, here: Address) -> bool:
        """Whether another account has opened the connection from `peer` to `here`; False where nothing tells."""
        account = None
        with contextlib.suppress(OSError, struct.error):
            account = self._account(peer, here)
        return account is not None and account != os.geteuid()

    def close(self) -> None:
        """Ask no more."""
        if self._channel is not None:
            self._channel.close()

    def _account(self, peer: Address, here: Address) -> int | None:
        if self._channel is None:
            return None
        (source, from_port), (destination, to_port) = peer, here
        addresses = (socket.inet_aton(source), socket.inet_aton(destination))
        wanted = REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, ANY, from_port, to_port, *addresses, 0, 2**64 - 1)
        self._asked = (self._asked + 1) % ANY
        header = HEADER.pack(HEADER.size + len(wanted), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, self._asked, 0)
        self._channel.send(header + wanted)
        answer = self._channel.recv(4096)
        while HEADER.unpack_from(answer)[3] != self._asked:  # one that came too late
            answer = self._channel.recv(4096)
        if HEADER.unpack_from(answer)[1] != SOCK_DIAG_BY_FAMILY:
            return None
        return int(ACCOUNT.unpack_from(answer, HEADER.size)[0])
