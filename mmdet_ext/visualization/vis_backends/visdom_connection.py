"""A Visdom client that neither waits for its server nor fails with it."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from requests import HTTPError, RequestException
from visdom import Visdom

_QUESTIONS = ('win_exists', 'win_data', 'win_hash', 'env_state')
_MOST_WAITING = 64 * 2**20  # characters

logging.getLogger('visdom').setLevel(logging.ERROR)  # warns that it has no socket, on purpose


class VisdomConnection(Visdom):
    """Sends from a thread of its own; what cannot be sent waits, and in the end goes to a file.

    All methods of :class:`visdom.Visdom` work. Those that draw return at once; those that ask the
    server take twice ``timeout`` seconds at most, and answer False or None if it does not.

    Args:
        unsent: File for updates that never reached the server; ``Visdom.replay_log`` reads it.
        tell: Called with sentences for the user: of a server that is lost, and of one that is back.
        timeout: Seconds until a request counts as failed.
        retry_interval: Most seconds between two attempts to reach a lost server.
        grace: Seconds in which a server that is not there is no news, for it is starting.
        options: Of :class:`visdom.Visdom`.
    """

    def __init__(
        self,
        unsent: Path,
        tell: Callable[[str], None],
        *,
        timeout: float = 5,
        retry_interval: float = 30,
        grace: float = 0,
        **options: Any,
    ) -> None:
        self.unsent, self.tell = unsent, tell
        self.timeout, self.retry_interval = timeout, retry_interval
        self._quiet_until = monotonic() + grace
        self._waiting: deque[tuple[str, str]] = deque()
        self._windows: set[tuple[str, str]] = set()
        self._changed = threading.Condition()
        self._size = self._refused = 0
        self._lost = self._told = self._closing = False
        super().__init__(use_incoming_socket=False, raise_exceptions=True, **options)
        self._thread = threading.Thread(target=self._deliver_all, name='Visdom', daemon=True)
        if not self.offline:
            self._thread.start()

    @property
    def url(self) -> str:
        """Where the server is, with the path of its pages."""
        return f'{self.server}:{self.port}{self.base_url}'

    def flush(self) -> bool:
        """Wait until all is sent, ``timeout`` seconds at most; tell whether it is."""
        with self._changed:
            self._changed.wait_for(lambda: self._lost or not self._waiting, self.timeout)
            return not self._waiting

    def disconnect(self) -> None:
        """Send what waits, for twice ``timeout`` seconds at most, and write the rest to the file."""
        if self.offline:
            return
        self.flush()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(self.timeout)
        with self._changed:
            self._write_waiting()
        if self._refused:
            self.tell(f'Visdom at {self.url} refused {self._refused} updates; they are not shown.')

    def win_exists(self, win: str, env: str | None = None) -> bool | None:
        """Tell whether there is a window; those drawn here are known without asking."""
        return (env or self.env, win) in self._windows or super().win_exists(win, env)

    def _send(self, msg: dict, endpoint: str = 'events', *args: Any, **options: Any) -> Any:
        try:
            answer = super()._send(msg, endpoint, *args, **options)
        except ConnectionError:
            return False
        if endpoint in ('events', 'update'):
            self._windows.add((msg['eid'], msg.get('win')))
            return msg.get('win')
        return answer

    def _handle_post(self, url: str, data: str) -> str:
        endpoint = url.removeprefix(f'{self.url}/')
        if endpoint in _QUESTIONS:
            if not self.flush():
                raise RequestException('the updates before this question are not through')
            return self._post(endpoint, data)
        with self._changed:
            self._waiting.append((endpoint, data))
            self._size += len(data)
            if self._size > _MOST_WAITING:
                self._write_waiting()
            self._changed.notify_all()
        return ''

    def _post(self, endpoint: str, data: str) -> str:
        answer = self.session.post(f'{self.url}/{endpoint}', data=data, timeout=self.timeout)
        answer.raise_for_status()
        return answer.text

    def _deliver_all(self) -> None:
        pause = first_pause = 0.25
        while not self._closing:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                message = self._waiting[0] if self._waiting else None
            if message is None or self._deliver(message):
                pause = first_pause
                continue
            with self._changed:
                self._changed.wait_for(lambda: self._closing, pause)
            pause = min(2 * pause, self.retry_interval)

    def _deliver(self, message: tuple[str, str]) -> bool:
        try:
            self._post(*message)
        except HTTPError as error:
            self._refuse(error)
        except (RequestException, RuntimeError) as error:  # RuntimeError: the password is wrong
            self._lose(error)
            return False
        with self._changed:
            if self._waiting and self._waiting[0] is message:  # not written to the file meanwhile
                self._waiting.popleft()
                self._size -= len(message[1])
            back, self._lost, self._told = self._told, False, False
            self._quiet_until = 0
            self._changed.notify_all()
        if back:
            self.tell(f'Visdom at {self.url} is back: its charts go on.')
        return True

    def _lose(self, error: Exception) -> None:
        with self._changed:
            self._lost = True
            self._changed.notify_all()
        if not self._told and monotonic() > self._quiet_until:
            self._told = True
            self.tell(
                f'Visdom at {self.url} does not answer ({_reason(error)}): the run goes on, and its '
                f'charts when the server is back.'
            )

    def _refuse(self, error: HTTPError) -> None:
        self._refused += 1
        if self._refused == 1:
            self.tell(
                f'The server at {self.url} refuses an update ({error}): is it a Visdom server, and '
                'does it take this user?'
            )

    def _write_waiting(self) -> None:
        """Move what waits to the file; to be called with the lock."""
        updates = [message for message in self._waiting if message[0] in ('events', 'update')]
        self._waiting.clear()
        self._size = 0
        if not updates:
            return
        try:
            with self.unsent.open('a', encoding='utf-8') as file:
                file.writelines(f'["{endpoint}", {data}]\n' for endpoint, data in updates)
        except OSError as error:
            self.tell(f'{len(updates)} updates did not reach Visdom and are lost: {error}.')
            return
        self.tell(
            f'{len(updates)} updates did not reach Visdom at {self.url}: they are in {self.unsent}, '
            f'which `visdom.Visdom().replay_log({str(self.unsent)!r})` shows.'
        )


def _reason(error: Exception) -> str:
    """What lies at the bottom of nested exceptions, which have the reason in their text only."""
    while error.args and isinstance(getattr(error.args[0], 'reason', error.args[0]), Exception):
        error = getattr(error.args[0], 'reason', error.args[0])
    return str(error).rpartition(': ')[2] or type(error).__name__
