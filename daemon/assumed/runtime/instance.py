"""The one daemon of a state directory: its lock and its socket, taken again when they have been removed.

Without that, `rm -r ~/.aws/assumed` would leave a daemon that nobody can ask, beside which a second one could start.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from assumed.errors import AssumedError, FileRefused
from assumed.paths import real_path
from assumed.state import claim, make_state_dir

from .control import Answer, ControlServer, Request, place_socket
from .lock import InstanceLock


class Instance:
    """Held from construction to `release`. Raises AlreadyRunning where another daemon holds it."""

    def __init__(self, credentials_file: Path) -> None:
        self._credentials_file = credentials_file
        self._real = real_path(credentials_file)
        self.directory = claim(credentials_file)
        self._lock = InstanceLock(self.directory / "lock", self._real)
        self._control: ControlServer | None = None
        self._answer: Callable[[Request], Answer] | None = None

    def listen(self, answer: Callable[[Request], Answer]) -> None:
        """Answer requests on the control socket from now on."""
        self._answer = answer
        self._control = ControlServer(place_socket(self.directory), answer)
        self._control.start()

    def _reclaim(self) -> bool:
        if real_path(self._credentials_file) != self._real:
            raise AssumedError(f"{self._credentials_file} leads to another file than at the start; start assumed again")
        lost_lock = not self._lock.is_in_place()
        if lost_lock:
            make_state_dir(self.directory)
            lock = InstanceLock(self.directory / "lock", self._real)
            self._lock.release()
            self._lock = lock
        if self._control is None or self._answer is None or self._control.is_in_place():
            return lost_lock
        control, self._control = self._control, None
        control.stop()
        self.listen(self._answer)
        return True

    def reclaim(self) -> tuple[bool, FileRefused | None]:
        """Take lock and socket again where they have been removed: (whether they had to be, why they could not be).

        Raises AlreadyRunning when another daemon has taken them meanwhile, and AssumedError when the credentials
        file is another one now: its link has been pointed elsewhere, and with it every reader's state directory.
        """
        try:
            return self._reclaim(), None
        except FileRefused as refusal:
            return False, refusal

    def release(self) -> None:
        """Close the socket, then let go of the lock."""
        if self._control is not None:
            self._control.stop()
        self._lock.release()
