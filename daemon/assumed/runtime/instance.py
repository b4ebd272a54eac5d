"""The daemon's post: the lock and the socket of one state directory, taken again when somebody has tidied them away.

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


class Post:
    """Held from construction to `leave`. Raises AlreadyRunning where another daemon stands."""

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

    def stand(self) -> bool:
        """See that lock and socket are still the ones that others meet; True when they had to be taken again.

        Raises AlreadyRunning when another daemon has taken them meanwhile, and AssumedError when the credentials
        file is another one now: its link has been pointed elsewhere, and with it every reader's state directory.
        """
        if real_path(self._credentials_file) != self._real:
            raise AssumedError(f"{self._credentials_file} leads to another file than at the start; start assumed again")
        lost_lock = not self._lock.stands()
        if lost_lock:
            make_state_dir(self.directory)
            lock = InstanceLock(self.directory / "lock", self._real)
            self._lock.release()
            self._lock = lock
        if self._control is None or self._answer is None or self._control.stands():
            return lost_lock
        control, self._control = self._control, None
        control.stop()
        self.listen(self._answer)
        return True

    def stand_if_possible(self) -> tuple[bool, FileRefused | None]:
        """`stand`, with what the disk does not allow as a value: the daemon goes on without, and tries again."""
        try:
            return self.stand(), None
        except FileRefused as refusal:
            return False, refusal

    def leave(self) -> None:
        """Close the socket, then let go of the lock."""
        if self._control is not None:
            self._control.stop()
        self._lock.release()
