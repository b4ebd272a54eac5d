"""The container-credentials protocol on loopback: what SDKs ask when AWS_CONTAINER_CREDENTIALS_FULL_URI names it.

Every page in a browser on this machine, and every account of it, can reach the port: so there is a token, compared in
constant time, and requests with a browser's headers are refused before anything else (aws-vault issue 578, MCP's
CVE-2025-66414: loopback is no defence against DNS rebinding). h11 parses the requests: it insists on one Host, on sane
framing and on small headers. One thread serves all clients, and none can delay another.

Linux tells the account of a TCP socket by sock_diag(7), to every user: SO_PEERCRED knows Unix sockets alone, and
/proc/net/tcp lists every connection of the machine. This is one look-up (some 20 µs).
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import json
import os
import random
import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # 5 ms that a command need not wait for: imported for the first client
    import h11

HOST = "127.0.0.1"
MAX_CLIENTS = 256
"""Beyond that one is cut off: another account's before ours, the oldest first, and last those that hold the token."""
BACKLOG = 1024
DYNAMIC = range(49152, 65536)
"""Ports that are assigned to nothing (RFC 6335)."""
BATCH = 64
"""Connections that are accepted in one go, and that are served in one go: our account's first."""
MAX_HEADERS = 8192
PATIENCE = 5.0
"""Seconds for a client to send its request and to take its answer; the SDKs themselves wait 1 or 2."""
LINGER = 1.0
"""Seconds for which what a client still sends is read and dropped: a close before would take its answer away."""
AWAITED, AGAIN = 1.5, 0.05
"""Seconds for which a client waits for a session under renewal (after a resume, say), and between two looks."""
FOREIGN = (b"origin", b"referer", b"forwarded", b"via")
FOREIGN_PREFIXES = (b"sec-fetch-", b"x-forwarded-")
"""Browsers and proxies send these, SDKs never."""

MISSING = (
    "no Authorization header: set AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE to the token file, or"
    " AWS_CONTAINER_AUTHORIZATION_TOKEN to its content (all that AWS CLI 2.9, boto3 1.28 and Go SDK v1 read)"
)
WRONG = "wrong token: each start of the endpoint writes a new one to the token file; read it again"

Address = tuple[str, int]
Reply = tuple[int, dict[str, Any]]
Answer = Callable[[str], Reply | None]
"""answer(path): status and JSON for a path that was asked for with the right token; None when it is to be called again
in a moment, because a session is under renewal. Quick, and it never raises."""


def refusal(status: int, code: str, message: str) -> Reply:
    """An error as every SDK reads it: some look for `code`, some for `Code`."""
    return status, {"code": code, "message": message, "Code": code, "Message": message}


def _exclusive() -> socket.socket:
    """Listens on a free port that no other socket can share while one process holds it, listening or not.

    Without SO_REUSEADDR; and chosen by us: the kernel takes a port of its own choice back once nothing listens.
    """
    for port in random.SystemRandom().sample(DYNAMIC, 100):
        channel = socket.socket()
        try:
            channel.bind((HOST, port))
            channel.listen(BACKLOG)
        except OSError as error:
            channel.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return channel
    raise OSError(errno.EADDRINUSE, f"no free port on {HOST}")


class Endpoint:
    """Answers on 127.0.0.1 from `start` until `close`."""

    def __init__(self, token: str, answer: Answer, port: int = 0) -> None:
        """Take the port, 0 for any free one. Raises OSError when it is taken."""
        self._token = token.encode()
        self._answer = answer
        self._socket = socket.create_server((HOST, port), backlog=BACKLOG) if port else _exclusive()
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        # aws-c-auth (awscrt, s3torchconnector, Mountpoint) leaves the port out. A page whose name was resolved to this
        # address sends its name.
        self._hosts = {f"{HOST}:{self.port}".encode(), f"localhost:{self.port}".encode(), HOST.encode()}
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._clients: dict[int, _Client] = {}
        self._peers = Peers()
        self._thread = threading.Thread(target=self._serve, name="endpoint", daemon=True)

    def url(self, path: str) -> str:
        """What SDKs are given. The literal address: names are resolved, and some SDKs refuse those."""
        return f"http://{HOST}:{self.port}{path}"

    def fileno(self) -> int:
        """The listening socket. A process that inherits it keeps the port from others after our death."""
        return self._socket.fileno()

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering, and release the port."""
        self._wake.close()  # which makes its other end readable
        if self._thread.is_alive():
            self._thread.join()
        for client in list(self._clients.values()):
            self._drop(client)
        self._selector.close()
        with contextlib.suppress(OSError):  # where a process has inherited it: the port stays taken, and refuses
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._woken.close()
        self._peers.close()

    def _serve(self) -> None:
        while True:
            deadline = min((client.due() for client in self._clients.values()), default=None)
            ready = self._selector.select(None if deadline is None else max(0.0, deadline - time.monotonic()))
            readable = {key.fileobj for key, _ in ready}
            if self._woken in readable:
                return
            clients = [self._clients[key.fd] for key, _ in ready if key.fd in self._clients]
            for client in sorted(clients, key=lambda client: client.is_stranger)[:BATCH]:
                self._turn(client)
            if self._socket in readable:
                self._accept()
            self._handle_timeouts()

    def _handle_timeouts(self) -> None:
        """Look again for clients that wait for a session; cut off those that take too long."""
        now = time.monotonic()
        for client in list(self._clients.values()):
            if client.deadline <= now:
                self._drop(client)
            elif client.due() <= now:
                self._turn(client)

    def _accept(self) -> None:
        """Take from the queue: while it is full, the kernel lets no reader in."""
        for _ in range(BATCH):
            try:
                channel, peer = self._socket.accept()
            except BlockingIOError:
                return
            except OSError:  # it has gone again, or there are no descriptors left: those with a deadline free some
                time.sleep(0.01)
                return
            channel.setblocking(False)
            if len(self._clients) >= MAX_CLIENTS:
                self._drop(self._expendable())
            client = _Client(channel, self._reply, self._peers.is_stranger(peer, (HOST, self.port)))
            self._clients[channel.fileno()] = client
            self._selector.register(channel, selectors.EVENT_READ)
            if not client.is_stranger:  # under a flood what it wants is there by now
                self._turn(client)

    def _expendable(self) -> _Client:
        """The oldest of the strangers, else of our own; only at last one that waits for its session."""
        clients = self._clients.values()
        idle = (client for client in clients if not client.is_waiting)
        oldest = next(idle, None)
        if oldest is None:
            return next(iter(clients))
        return oldest if oldest.is_stranger else next((client for client in idle if client.is_stranger), oldest)

    def _turn(self, client: _Client) -> None:
        import h11

        try:
            if client.turn():
                events = selectors.EVENT_WRITE if client.unsent else selectors.EVENT_READ
                self._selector.modify(client.channel, events)
            else:
                self._drop(client)
        except BlockingIOError:
            pass
        except (OSError, h11.ProtocolError):  # it has gone, or goes on sending what is no request
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        self._selector.unregister(client.channel)
        del self._clients[client.channel.fileno()]
        client.channel.close()

    def _reply(self, request: h11.Request) -> Reply | None:
        """The cheapest refusals first; only holders of the token get an answer."""
        headers = dict(request.headers)
        if headers.get(b"host", b"").lower() not in self._hosts:
            return refusal(403, "WrongHost", f"ask for {HOST}:{self.port}")
        if any(name in FOREIGN or name.startswith(FOREIGN_PREFIXES) for name in headers):
            return refusal(403, "Forbidden", "requests of browsers and proxies are refused")
        if request.method != b"GET":
            return refusal(405, "MethodNotAllowed", "GET only")
        if b"content-length" in headers or b"transfer-encoding" in headers:
            return refusal(400, "BadRequest", "a request has no body")
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._token):
            return refusal(401, "Unauthorized", WRONG if headers.get(b"authorization") else MISSING)
        return self._answer(request.target.decode("ascii"))


class _Client:
    """One connection: a request, an answer, the end."""

    def __init__(self, channel: socket.socket, reply: Callable[[h11.Request], Reply | None], is_stranger: bool) -> None:
        """`is_stranger`: another account has opened it. It may still hold the token: a sidecar's job, say."""
        import h11

        self.channel = channel
        self.is_stranger = is_stranger
        self.deadline = time.monotonic() + PATIENCE
        self.unsent = b""
        self._reply = reply
        self._request: h11.Request | None = None
        self._awaited_until = self._again_at = 0.0
        self._h11 = h11
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADERS)
        self._answered = self._head_only = False

    @property
    def is_waiting(self) -> bool:
        """Whether it holds the token, and its session is under renewal."""
        return self._request is not None

    def due(self) -> float:
        """When it has to be served again, by the monotonic clock."""
        return self.deadline if self._request is None else min(self.deadline, self._again_at)

    def turn(self) -> bool:
        """Go on: the socket is ready, or time is; False when this is the end. Raises OSError, h11.ProtocolError."""
        if self.unsent:
            self._flush()
            return True
        if self._request is not None and self._again_at <= time.monotonic():
            self._try(self._request)
            return True
        received = self.channel.recv(65536)
        if self._answered or self._request is not None or not received:
            return bool(received)
        self._http.receive_data(received)
        try:
            event = self._http.next_event()
        except self._h11.RemoteProtocolError as error:
            self._send(refusal(error.error_status_hint, "BadRequest", "not an HTTP request"))
            return True
        if isinstance(event, self._h11.Request):
            self._awaited_until = time.monotonic() + AWAITED
            self._try(event)
        return True

    def _try(self, request: h11.Request) -> None:
        self._head_only = request.method == b"HEAD"
        reply, now = self._reply(request), time.monotonic()
        if reply is None and now < self._awaited_until:
            self._request, self._again_at = request, now + AGAIN
            return
        self._request = None
        self._send(reply or refusal(503, "NotYet", "there is no session yet; `assumed status` says why"))

    def _send(self, reply: Reply) -> None:
        status, document = reply
        body = json.dumps(document).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ]
        send, h11 = self._http.send, self._h11
        self.unsent = send(h11.Response(status_code=status, headers=headers)) or b""
        if not self._head_only:
            self.unsent += send(h11.Data(data=body)) or b""
        self._answered = True
        with contextlib.suppress(BlockingIOError):
            self._flush()

    def _flush(self) -> None:
        self.unsent = self.unsent[self.channel.send(self.unsent) :]
        if not self.unsent:
            self.channel.shutdown(socket.SHUT_WR)
            self.deadline = min(self.deadline, time.monotonic() + LINGER)


SOCK_DIAG_BY_FAMILY, NETLINK_SOCK_DIAG, NLM_F_REQUEST = 20, 4, 1
HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
REQUEST = struct.Struct("!BBBxI HH16s16sIQ")
"""struct inet_diag_req_v2: family, protocol, extensions, states; ports, addresses, interface, cookie."""
ACCOUNT = struct.Struct("=64xI")
"""The account in a struct inet_diag_msg."""
ANY = 0xFFFFFFFF


class Peers:
    """Tells connections of other accounts from our own."""

    def __init__(self) -> None:
        self._channel: socket.socket | None = None
        self._asked = 0
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # a sandbox without netlink
                self._channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
                self._channel.setblocking(False)

    def is_stranger(self, peer: Address, here: Address) -> bool:
        """Whether another account has opened the connection from `peer` to `here`; False where that is unknown."""
        try:
            return self._account(peer, here) not in (None, os.geteuid())
        except (OSError, struct.error):
            return False

    def close(self) -> None:
        """Close the netlink socket."""
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
        while HEADER.unpack_from(answer := self._channel.recv(4096))[3] != self._asked:
            pass  # one that came too late
        if HEADER.unpack_from(answer)[1] != SOCK_DIAG_BY_FAMILY:
            return None
        return int(ACCOUNT.unpack_from(answer, HEADER.size)[0])
