"""A local Visdom server that ends with the process that started it.

Run as a script in the server's process, so it imports nothing of ours.
"""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path


class LocalVisdomServer:
    """A Visdom server on this machine alone, as a subprocess.

    The first start of Visdom's own command downloads the scripts of its page, and without a network
    it dies of that. Here it serves at once and downloads aside: charts are kept either way, and the
    page shows them as soon as the scripts are there.

    Args:
        port: Port to serve on.
        log_file: File for what the server says.
    """

    def __init__(self, port: int, log_file: Path) -> None:
        self.log_file = log_file
        command = [sys.executable, __file__, '-port', str(port), '-bind_local']
        command += ['-logging_level', 'WARNING']  # not every request
        with log_file.open('wb') as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # closed when we end, in whatever way
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the training
            )

    def ended(self) -> str | None:
        """Return the last thing it said if it has ended, None while it runs."""
        if self._process.poll() is None:
            return None
        lines = self.log_file.read_text(errors='replace').split('\n')
        return next((line for line in reversed(lines) if line.strip()), 'no message')

    def stop(self) -> None:
        """End it."""
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def is_served(port: int) -> bool:
    """Tell whether something listens on a port of this machine."""
    try:
        with socket.create_connection(('localhost', port), timeout=1):
            return True
    except OSError:
        return False


def page_is_complete() -> bool:
    """Tell whether the scripts of Visdom's page have been downloaded."""
    from visdom.utils.shared_utils import get_visdom_path  # noqa: PLC0415 (an extra)

    return Path(get_visdom_path('static'), 'version.built').is_file()


def _download() -> None:
    from visdom.server.build import download_scripts  # noqa: PLC0415 (an extra)

    try:
        download_scripts()
    except Exception as error:  # no network, a read-only folder
        print(f'The scripts of the page were not downloaded: {error}', flush=True)


def _end_with_parent() -> None:
    os.read(0, 1)  # returns when the other end is closed
    os._exit(0)


def _serve() -> None:
    sys.modules['torch'] = None  # visdom imports it if it can; the server has no use for it
    from tornado.web import StaticFileHandler  # noqa: PLC0415 (an extra)
    from visdom.server.app import tornado_settings  # noqa: PLC0415
    from visdom.server.run_server import main  # noqa: PLC0415

    class UnversionedFiles(StaticFileHandler):
        """Tornado 6.6 answers 403 when asked for the version of a file that visdom has elsewhere."""

        @classmethod
        def get_version(cls, settings: dict, path: str) -> None:
            return None

    tornado_settings['static_handler_class'] = UnversionedFiles
    for task in (_download, _end_with_parent):
        threading.Thread(target=task, daemon=True).start()
    main()


if __name__ == '__main__':
    _serve()
