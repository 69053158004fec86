"""Charts and pictures of a run on a Visdom server."""

import atexit
import html
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import numpy as np
import torch
from mmdet.registry import VISBACKENDS
from mmengine.config import Config
from mmengine.logging import MessageHub, print_log
from mmengine.visualization.vis_backend import BaseVisBackend, force_init_env

from . import visdom_server

if TYPE_CHECKING:
    from .visdom_connection import VisdomConnection

_LOCAL = ('localhost', '127.0.0.1')
_UNITS = {'px': 'pixels', 'cm': 'centimetres', 'deg': 'degrees'}
_STEPS = ('epoch', 'iter', 'step')


@VISBACKENDS.register_module()
class VisdomVisBackend(BaseVisBackend):
    """Show a run on a Visdom server: curves, pictures, heat maps and the config.

    Each run is an environment of its own. Curves that belong together share a window (all losses,
    say, or the metrics of slots that are in pixels), pictures of a name share one with a slider, a
    picture of two dimensions is a heat map. Anything else Visdom draws is at hand as
    ``visualizer.get_backend('VisdomVisBackend').experiment``, a ``visdom.Visdom``.

    Training never waits for the server, nor does it fail with it: a server that is not there costs
    one warning, updates wait until it is back, and what never reached it is in
    ``visdom_unsent.log`` at the end.

    Visdom comes as a source archive that needs an old setuptools. If ``pip install
    'mmdet_ext[visdom]'`` cannot build it: ``pip install 'setuptools<82' wheel && pip install
    --no-build-isolation visdom``.

    Args:
        save_dir: Folder for files of this backend.
        server: Address of the server, without port.
        port: Its port.
        env: Name of the environment; None: the name of the experiment. A run replaces the windows
            of an earlier one in the same environment.
        start_server: Start a server on this machine if none is there, and end it with the run. Its
            environments are kept in ``~/.visdom``: the command ``visdom`` shows them again (with
            ``tornado<6.6``; newer ones refuse visdom's page, but for the server started here).
        offline: Send nothing but write all updates to ``log_to_filename``, for ``Visdom.replay_log``.
        log_to_filename: File to write all updates to, sent or not. None: ``visdom.log`` in
            ``save_dir`` if offline, else none.
        timeout: Seconds until a request to the server counts as failed.
        retry_interval: Most seconds between two attempts to reach a lost server.
        init_kwargs: Further options of ``visdom.Visdom``, such as ``username`` and ``password``.

    Raises:
        ImportError: Visdom is not installed.
        ValueError: A server is to be started on another machine.
    """

    def __init__(
        self,
        save_dir: str,
        server: str = 'http://localhost',
        port: int = 8097,
        env: str | None = None,
        *,
        start_server: bool = False,
        offline: bool = False,
        log_to_filename: str | None = None,
        timeout: float = 5,
        retry_interval: float = 30,
        init_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(save_dir)
        _require_visdom()
        host = urlparse(server if '//' in server else f'http://{server}').hostname
        if start_server and host not in _LOCAL:
            raise ValueError(
                f'VisdomVisBackend: start_server is True, but server is {server!r}, which is not '
                'this machine: start the server there, or leave `server` out.'
            )
        self._start_server = start_server and not offline
        self._patience = dict(timeout=timeout, retry_interval=retry_interval)
        self._options = dict(server=server, port=port, env=env, log_to_filename=log_to_filename)
        self._options |= dict(offline=offline) | dict(init_kwargs or {})
        self._server: visdom_server.LocalVisdomServer | None = None
        self._traces: dict[str, list[str]] = {}

    def _init_env(self) -> None:
        from .visdom_connection import VisdomConnection  # noqa: PLC0415 (an extra)

        folder = Path(self._save_dir)
        folder.mkdir(parents=True, exist_ok=True)
        options = dict(self._options)
        options['env'] = options['env'] or MessageHub.get_current_instance().instance_name
        if options['offline'] and options['log_to_filename'] is None:
            options['log_to_filename'] = str(folder / 'visdom.log')
        if self._start_server:
            self._serve(folder / 'visdom_server.log')
        self._visdom = VisdomConnection(
            folder / 'visdom_unsent.log',
            self._warn,
            grace=30 if self._server else 0,
            **self._patience,
            **options,
        )
        if not options['offline']:
            print_log(f'Charts: {self._visdom.url}/env/{self._visdom.env}', 'current')
        self._traces.clear()
        atexit.register(self.close)  # a run that fails does not close its backends

    def _serve(self, log_file: Path) -> None:
        port = self._options['port']
        if visdom_server.is_served(port):
            return
        self._server = visdom_server.LocalVisdomServer(port, log_file)
        if not visdom_server.page_is_complete():
            self._warn(
                'The scripts of the Visdom page are not there yet and are being downloaded; without '
                'a network the page stays empty, but charts are kept in ~/.visdom and show once '
                'the command `visdom` has run with a network.'
            )

    def _warn(self, sentence: str) -> None:
        ended = self._server and self._server.ended()
        if ended:
            sentence += f' The server that was started here has ended: {ended}'
        print_log(sentence, 'current', logging.WARNING)

    @property
    @force_init_env
    def experiment(self) -> 'VisdomConnection':
        """The client, a ``visdom.Visdom``."""
        return self._visdom

    @force_init_env
    def add_config(self, config: Config, **kwargs: Any) -> None:
        """Show the config as text."""
        text = f'<pre>{html.escape(config.pretty_text, quote=False)}</pre>'
        self._visdom.text(text, win='config', opts=dict(title='Config', width=480, height=360))

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Show a picture with those of the same name, or a heat map.

        Args:
            name: Window of the picture.
            image: RGB ``(H, W, 3)`` or values ``(H, W)``, which make a heat map.
            step: Stands in the title.
            kwargs: Not used.
        """
        title = f'{name}, step {step}'
        if image.ndim == 2:
            square = dict(yaxis=dict(autorange='reversed', scaleanchor='x'))
            opts = dict(title=title, layoutopts=dict(plotly=square))
            self._visdom.heatmap(np.asarray(image, float), win=name, opts=opts)
            return
        opts = dict(title=name, caption=title, store_history=True, jpgquality=90)
        self._visdom.image(np.moveaxis(image, -1, 0), win=name, opts=opts)

    @force_init_env
    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Add a point to a curve; see :meth:`add_scalars`."""
        self.add_scalars({name: value}, step)

    @force_init_env
    def add_scalars(
        self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Add a point to each of several curves.

        Args:
            scalar_dict: Values by name; those that are no single number are left out.
            step: Where on the x-axis.
            file_path: Not used.
            kwargs: Not used.
        """
        stage = 'training' if 'iter' in scalar_dict else 'validation'  # as LogProcessor puts it
        windows: dict[str, dict[str, float]] = {}
        for name, value in scalar_dict.items():
            number = _number(value)
            if name not in _STEPS and number is not None:
                window, curve = curve_of(name, stage)
                windows.setdefault(window, {})[curve] = number
        for window, points in windows.items():
            self._add_points(window, points, step)
        if stage == 'validation':
            self._visdom.save([self._visdom.env])

    def _add_points(self, window: str, points: dict[str, float], step: int) -> None:
        known = self._traces.setdefault(window, [])
        opts = dict(title=window, xlabel='step')
        if not known or list(points) == known:  # one message for all
            values = np.array([list(points.values())])
            update = 'append' if known else None
            opts['legend'] = list(points)
            self._visdom.line(
                values, np.full_like(values, step), win=window, update=update, opts=opts
            )
        else:
            for curve, value in points.items():
                at = np.array([float(step)])
                self._visdom.line(np.array([value]), at, win=window, name=curve, update='append')
        known += [curve for curve in points if curve not in known]

    def close(self) -> None:
        """Send what is left and end the server if it was started here."""
        atexit.unregister(self.close)
        if not self._env_initialized:
            return
        self._env_initialized = False  # used again, it connects again
        self._visdom.save([self._visdom.env])
        self._visdom.disconnect()
        if self._server is not None:
            self._server.stop()
            self._server = None


def curve_of(name: str, stage: str) -> tuple[str, str]:
    """Tell where a scalar is drawn.

    Args:
        name: Of the scalar, such as ``loss_cls``, ``slot/f1`` or ``slot/f1@night``, with or without
            ``train/`` or ``val/`` before it.
        stage: ``training`` or ``validation``; what stands before the name wins.

    Returns:
        The window, which related curves share, and the curve in it.
    """
    for prefix, said in (('train/', 'training'), ('val/', 'validation')):
        if name.startswith(prefix):
            name, stage = name.removeprefix(prefix), said
    metric, _, part = name.partition('@')
    kind, _, short = metric.rpartition('/')
    unit = _UNITS.get(short.rpartition('_')[2])
    if part:
        return f'{stage}: {metric} by part', part
    if 'loss' in short:
        return f'{stage}: losses', metric
    if re.search(r'(^|_|\.)lr$', short):
        return f'{stage}: learning rates', metric
    if short in ('time', 'data_time'):
        return f'{stage}: seconds', metric
    if kind:
        return f'{stage}: {kind}' + (f', {unit}' if unit else ''), short
    return f'{stage}: {short}', short


def _number(value: Any) -> float | None:
    """A finite number, NaN for one that is not (JSON knows neither), None for anything else."""
    if isinstance(value, torch.Tensor | np.ndarray):
        value = value.item() if np.prod(value.shape) == 1 else None
    if not isinstance(value, int | float | np.number):
        return None
    return float(value) if np.isfinite(value) else float('nan')


def _require_visdom() -> None:
    try:
        import visdom  # noqa: F401, PLC0415 (an extra)
    except ImportError as error:
        raise ImportError(
            "VisdomVisBackend needs visdom: pip install 'mmdet_ext[visdom]' (if that cannot build it: "
            "pip install 'setuptools<82' wheel && pip install --no-build-isolation visdom)."
        ) from error
