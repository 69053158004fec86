"""What reaches a Visdom server, and what becomes of it without one."""

import base64
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import VISBACKENDS
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from PIL import Image

from mmdet_ext.visualization import VisdomVisBackend
from mmdet_ext.visualization.vis_backends import visdom_server, visdom_vis_backend
from mmdet_ext.visualization.vis_backends.visdom_vis_backend import curve_of

visdom = pytest.importorskip('visdom')
from mmdet_ext.visualization.vis_backends import visdom_connection  # noqa: E402 (needs visdom)


class Server(ThreadingHTTPServer):
    """Takes down what is posted to it, as ``(endpoint, message)``."""

    daemon_threads = True

    def __init__(self, port=0):
        self.posts, self.status, self.delay = [], 200, 0
        super().__init__(('127.0.0.1', port), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def drawn(self):
        return [post for post in self.posts if post[0] in ('events', 'update')]

    def stop(self):
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        time.sleep(self.server.delay)
        self.server.posts.append((self.path[1:], json.loads(body)))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b'true')

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def told(monkeypatch):
    told = []
    monkeypatch.setattr(
        visdom_vis_backend, 'print_log', lambda text, logger, level=20: told.append(text)
    )
    return told


@pytest.fixture
def offline(tmp_path, told):
    return VisdomVisBackend(str(tmp_path), env='run', offline=True)


@pytest.fixture
def make_online(tmp_path, told):
    made = []

    def make(port, **options):
        options = dict(timeout=2, retry_interval=0.2) | options
        made.append(VisdomVisBackend(str(tmp_path), port=port, env='run', **options))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


def log_of(folder, name='visdom.log'):
    return [json.loads(line) for line in Path(folder, name).read_text().splitlines()]


def points(message):
    return {trace['name']: (trace['x'], trace['y']) for trace in message['data']}


def train(backend, iteration, **values):
    backend.add_scalars(dict(values, iter=iteration, epoch=1), iteration)


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def test_curves_of_a_kind_share_a_window_that_grows(offline, tmp_path):
    train(offline, 10, loss=3.0, loss_cls=torch.tensor([1.0]), lr=0.5)
    train(offline, 20, loss=2.0, loss_cls=np.float32(0.25), lr=np.array(0.25))
    first, rates, second, _ = log_of(tmp_path)
    assert (first[0], second[0], rates[1]['win']) == (
        'events',
        'update',
        'training: learning rates',
    )
    assert {message['win'] for _, message in (first, second)} == {'training: losses'}
    assert {message['eid'] for _, message in (first, second)} == {'run'}
    assert points(first[1]) == {'loss': ([10], [3]), 'loss_cls': ([10], [1])}
    assert points(second[1]) == {'loss': ([20], [2]), 'loss_cls': ([20], [0.25])}
    assert second[1]['append'] is True
    assert first[1]['layout']['title'] == 'training: losses'


def test_a_curve_that_comes_later_is_added_to_its_window(offline, tmp_path):
    train(offline, 1, loss=3.0)
    train(offline, 2, loss=2.0, loss_aux=1.0)
    train(offline, 3, loss=1.0, loss_aux=0.5)
    later = log_of(tmp_path)[1:]
    assert [message.get('name') for _, message in later] == ['loss', 'loss_aux', None]
    assert [points(message) for _, message in later] == [
        {'loss': ([2], [2])}, {'loss_aux': ([2], [1])},
        {'loss': ([3], [1]), 'loss_aux': ([3], [0.5])},
    ]  # fmt: skip


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_what_is_no_number_is_a_gap_and_valid_json(offline, tmp_path, value):
    train(offline, 1, loss=value)
    text = (tmp_path / 'visdom.log').read_text()
    (_, message), = [json.loads(text, parse_constant=pytest.fail)]  # fmt: skip
    assert points(message) == {'loss': ([1], [None])}


def test_values_that_are_no_single_number_are_left_out(offline, tmp_path):
    offline.add_scalars({'classwise': [0.1, 0.2], 'map': torch.ones(2), 'name': 'x', 'f1': 0.5}, 4)
    ((_, message),) = log_of(tmp_path)
    assert points(message) == {'f1': ([4], [0.5])}


@pytest.mark.parametrize(('name', 'stage', 'expected'), [
    ('loss', 'training', ('training: losses', 'loss')),
    ('d0.loss_cls', 'training', ('training: losses', 'd0.loss_cls')),
    ('train/loss_cls', 'validation', ('training: losses', 'loss_cls')),
    ('base_lr', 'training', ('training: learning rates', 'base_lr')),
    ('generator.lr', 'training', ('training: learning rates', 'generator.lr')),
    ('data_time', 'validation', ('validation: seconds', 'data_time')),
    ('grad_norm', 'training', ('training: grad_norm', 'grad_norm')),
    ('slot/f1', 'validation', ('validation: slot', 'f1')),
    ('val/slot/f1', 'training', ('validation: slot', 'f1')),
    ('slot/corner_error_px', 'validation', ('validation: slot, pixels', 'corner_error_px')),
    ('slot/angle_error_deg', 'validation', ('validation: slot, degrees', 'angle_error_deg')),
    ('slot/f1@night', 'validation', ('validation: slot/f1 by part', 'night')),
    ('coco/bbox_mAP_m', 'validation', ('validation: coco', 'bbox_mAP_m')),
    ('accuracy', 'validation', ('validation: accuracy', 'accuracy')),
])  # fmt: skip
def test_curves_are_drawn_where_their_kin_is(name, stage, expected):
    assert curve_of(name, stage) == expected


def test_pictures_of_a_name_share_a_window_with_a_slider(offline, tmp_path):
    y, x = np.mgrid[:40, :60]
    picture = np.stack([x * 4, y * 6, 0 * x], -1).astype(np.uint8)
    offline.add_image('val_img', picture, 7)
    offline.add_image('val_img', picture[::-1], 8)
    (first, message), (second, turned) = log_of(tmp_path)
    assert (first, second) == ('events', 'update')
    assert {m['data'][0]['type'] for m in (message, turned)} == {'image_history'}
    content = message['data'][0]['content']
    assert content['caption'] == 'val_img, step 7'
    sent = np.asarray(Image.open(io.BytesIO(base64.b64decode(content['src'].partition(',')[2]))))
    assert sent.shape == (40, 60, 3)
    assert np.abs(sent.astype(int) - picture).mean() < 5


def test_a_picture_of_two_dimensions_is_a_heat_map_with_its_first_row_on_top(offline, tmp_path):
    offline.add_image('features', np.array([[1, 2, 3], [4, 5, 6]]), 2)
    ((_, message),) = log_of(tmp_path)
    (drawn,) = message['data']
    assert (drawn['type'], drawn['z']) == ('heatmap', [[1, 2, 3], [4, 5, 6]])
    assert message['layout']['yaxis']['autorange'] == 'reversed'


def test_the_config_is_shown_as_it_is_written(offline, tmp_path):
    offline.add_config(Config(dict(a='<b>')))
    ((_, message),) = log_of(tmp_path)
    assert message['data'] == [{'content': "<pre>a = '&lt;b&gt;'\n</pre>", 'type': 'text'}]


def test_everything_else_visdom_draws_is_at_hand(offline, tmp_path):
    offline.experiment.bar(X=np.array([1.0, 2.0]), win='mine')
    ((_, message),) = log_of(tmp_path)
    assert (message['win'], message['data'][0]['y']) == ('mine', [1, 2])
    assert isinstance(offline.experiment, visdom.Visdom)


def test_the_environment_is_the_experiment_unless_named(tmp_path, told):
    MessageHub.get_instance('visdom_experiment')
    backend = VisdomVisBackend(str(tmp_path), offline=True)
    backend.add_scalar('f1', 0.5, 1)
    assert log_of(tmp_path)[0][1]['eid'] == 'visdom_experiment'
    MessageHub._instance_dict.pop('visdom_experiment')


def test_a_visualizer_can_have_it_from_a_config(tmp_path, told):
    backend = dict(type='VisdomVisBackend', offline=True, env='cfg')
    with DefaultScope.overwrite_default_scope('mmdet'):
        visualizer = Visualizer(vis_backends=[backend], save_dir=str(tmp_path))
    visualizer.add_scalar('f1', 0.5, 3)
    visualizer.close()
    ((_, message),) = log_of(tmp_path / 'vis_data')
    assert (message['eid'], points(message)) == ('cfg', {'f1': ([3], [0.5])})


def test_updates_arrive_in_order_and_the_environment_is_saved(server, make_online, told):
    backend = make_online(server.port)
    for k in range(1, 30):
        train(backend, k, loss=1 / k)
    backend.close()
    assert [points(message)['loss'][0] for _, message in server.drawn()] == [
        [k] for k in range(1, 30)
    ]
    assert server.posts[0][0] == 'env/run'
    assert server.posts[-1] == ('save', {'data': ['run'], 'eid': 'run'})
    assert told == [f'Charts: http://localhost:{server.port}/env/run']


def test_drawing_does_not_wait_for_a_slow_server(server, make_online):
    server.delay = 0.5
    backend, start = make_online(server.port, timeout=0.8), time.monotonic()
    for k in range(10):
        train(backend, k, loss=1.0, lr=0.1)
    assert time.monotonic() - start < 0.5  # 20 updates
    assert len(server.drawn()) <= 1


def test_without_a_server_one_warning_and_a_log_that_can_be_replayed(
    make_online, server, told, tmp_path
):
    backend = make_online(free_port())
    for k in range(1, 4):
        train(backend, k, loss=1 / k)
        time.sleep(0.1)
    wait_until(lambda: len(told) > 1)
    backend.close()
    (lost,) = [sentence for sentence in told if 'does not answer (' in sentence]
    kept = told[-1]
    assert 'Connection refused' in lost
    assert '3 updates did not reach Visdom' in kept
    assert 'visdom_unsent.log' in kept
    visdom.Visdom(port=server.port, use_incoming_socket=False).replay_log(
        str(tmp_path / 'visdom_unsent.log')
    )
    assert [points(message)['loss'][1] for _, message in server.drawn()] == [[1], [1 / 2], [1 / 3]]


def test_a_server_that_is_lost_and_comes_back_has_all_updates_once(make_online, told):
    server = Server()
    backend = make_online(server.port)
    train(backend, 1, loss=1.0)
    wait_until(lambda: len(server.drawn()) == 1)
    server.stop()
    backend.experiment.session.close()  # the connection that is kept open
    train(backend, 2, loss=2.0)
    wait_until(lambda: len(told) == 2)
    train(backend, 3, loss=3.0)
    again = Server(server.port)
    wait_until(lambda: len(told) == 3)
    train(backend, 4, loss=4.0)
    backend.close()
    again.stop()
    assert [points(message)['loss'][1] for _, message in again.drawn()] == [[2], [3], [4]]
    assert 'does not answer' in told[1]
    assert told[2].endswith('is back: its charts go on.')
    assert len(told) == 3


def test_a_server_that_refuses_is_named_once_and_the_updates_counted(server, make_online, told):
    server.status = 404
    backend = make_online(server.port)
    for k in range(5):
        train(backend, k, loss=1.0)
    backend.close()
    _, refusal, count = told
    assert f'The server at http://localhost:{server.port} refuses an update (404' in refusal
    assert 'refused 7 updates' in count  # those, the environment and that it be saved


def test_a_server_that_hangs_delays_the_end_by_a_bounded_time(server, make_online, told, tmp_path):
    server.delay = 30
    backend = make_online(server.port, timeout=0.3)
    train(backend, 1, loss=1.0)
    start = time.monotonic()
    backend.close()
    assert time.monotonic() - start < 1.5
    assert points(log_of(tmp_path, 'visdom_unsent.log')[0][1]) == {'loss': ([1], [1])}


def test_questions_are_answered_or_not_within_the_time_limit(server, make_online):
    backend = make_online(server.port)
    train(backend, 1, loss=1.0)
    assert backend.experiment.win_exists('training: losses') is True  # known here
    assert backend.experiment.win_exists('another') is True  # says the server
    assert [post[0] for post in server.posts] == ['env/run', 'events', 'win_exists']
    start = time.monotonic()
    assert make_online(free_port()).experiment.win_exists('any') is None
    assert time.monotonic() - start < 2


def test_what_waits_is_bounded_and_goes_to_the_file(make_online, told, tmp_path, monkeypatch):
    monkeypatch.setattr(visdom_connection, '_MOST_WAITING', 20_000)
    backend = make_online(free_port())
    for k in range(100):
        train(backend, k, loss=1.0)
    waiting = sum(len(data) for _, data in backend.experiment._waiting)
    assert waiting == backend.experiment._size <= 20_000
    backend.close()
    steps = [points(message)['loss'][0] for _, message in log_of(tmp_path, 'visdom_unsent.log')]
    assert steps == [[k] for k in range(100)]


def test_a_full_disk_does_not_stop_training(make_online, told, tmp_path):
    backend = make_online(free_port())
    train(backend, 1, loss=1.0)
    (tmp_path / 'visdom_unsent.log').mkdir()
    backend.close()
    assert '1 updates did not reach Visdom and are lost' in told[-1]


def test_after_its_end_it_can_be_used_again(server, make_online):
    backend = make_online(server.port)
    train(backend, 1, loss=1.0)
    backend.close()
    train(backend, 2, loss=2.0)
    backend.close()
    assert [points(message)['loss'][0] for _, message in server.drawn()] == [[1], [2]]


def test_without_visdom_one_sentence_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'visdom', None)
    with pytest.raises(ImportError, match=r"pip install 'mmdet_ext\[visdom\]'.*setuptools<82"):
        VISBACKENDS.build(dict(type='VisdomVisBackend', save_dir=str(tmp_path)))


def test_a_server_cannot_be_started_on_another_machine(tmp_path):
    with pytest.raises(
        ValueError, match=r"server is 'http://far\.example'.*start the server there"
    ):
        VisdomVisBackend(str(tmp_path), server='http://far.example', start_server=True)


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    """A copy of visdom without network and a home of its own, for real servers."""
    here = Path(visdom.__file__).parent
    shutil.copytree(here, tmp_path / 'site/visdom', ignore=shutil.ignore_patterns('*.map'))
    monkeypatch.setenv('PYTHONPATH', str(tmp_path / 'site'))
    monkeypatch.setenv('HOME', str(tmp_path))
    for name in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'):
        monkeypatch.setenv(name, 'http://127.0.0.1:9')
    monkeypatch.setenv('no_proxy', 'localhost')
    return tmp_path


def test_a_server_is_started_without_network_and_ended(sandbox, told):
    port = free_port()
    backend = VisdomVisBackend(str(sandbox / 'out'), port=port, env='run', start_server=True)
    train(backend, 1, loss=1.0)
    train(backend, 2, loss=0.5)
    wait_until(backend.experiment.flush, 30)
    window = json.loads(backend.experiment.get_window_data('training: losses'))
    assert points({'data': window['content']['data']}) == {'loss': ([1, 2], [1, 0.5])}
    page = backend.experiment.session.get(f'http://localhost:{port}/env/run', timeout=5)
    assert (page.status_code, 'js/main.js' in page.text) == (200, True)
    backend.close()
    assert not visdom_server.is_served(port)
    saved = json.loads((sandbox / '.visdom/run.json').read_text())
    assert list(saved['jsons']) == ['training: losses']
    assert 'updates did not reach' not in ' '.join(told)


def test_a_server_ends_when_the_process_that_started_it_is_killed(sandbox):
    port = free_port()
    script = (
        f'import os, sys, time; sys.path.insert(0, {str(Path(visdom_server.__file__).parent)!r})\n'
        'from pathlib import Path; from visdom_server import LocalVisdomServer, is_served\n'
        f'LocalVisdomServer({port}, Path({str(sandbox / "log")!r}))\n'
        f'while not is_served({port}): time.sleep(0.1)\n'
        'os.kill(os.getpid(), 9)'
    )
    assert subprocess.run([sys.executable, '-c', script], check=False).returncode == -9
    wait_until(lambda: not visdom_server.is_served(port))


def test_a_server_that_cannot_start_says_why(sandbox, told):
    (sandbox / 'site/visdom/__init__.py').write_text('raise OSError("no home")')
    backend = VisdomVisBackend(str(sandbox), port=free_port(), env='run', start_server=True)
    train(backend, 1, loss=1.0)
    wait_until(backend._server.ended, 30)
    backend.close()
    assert told[-1].endswith('The server that was started here has ended: OSError: no home')


def test_a_server_that_is_there_is_used(server, tmp_path, told):
    backend = VisdomVisBackend(str(tmp_path), port=server.port, env='run', start_server=True)
    train(backend, 1, loss=1.0)
    backend.close()
    assert len(server.drawn()) == 1
    assert not (tmp_path / 'visdom_server.log').exists()


def test_the_page_is_complete_when_visdom_says_so(sandbox, monkeypatch):
    static = sandbox / 'site/visdom/static'
    monkeypatch.setattr(
        'visdom.utils.shared_utils.get_visdom_path', lambda name: os.path.join(static.parent, name)
    )
    assert not visdom_server.page_is_complete()
    (static / 'version.built').touch()
    assert visdom_server.page_is_complete()
