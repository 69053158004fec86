"""Whatever happens, there is a whole checkpoint to go on from."""

import errno
import signal
import zipfile

import pytest
import torch
from test_exact_resume import Stop, fresh_globals, interrupted, last_state, run  # noqa: F401
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler
from toy_training import toy_config

from mmdet_ext.apis import run as run_module
from mmdet_ext.engine.loops.resumable_train_loop import batches_from
from mmdet_ext.utils import config_text
from mmdet_ext.utils.atomic_backend import AtomicBackend
from mmdet_ext.utils.checkpoint_files import damage_of, find_intact_checkpoint


def save(path, values=1000):
    torch.save({'state_dict': {'weight': torch.arange(float(values))}}, path)
    return path


def fail_from(monkeypatch, count, code=errno.ENOSPC):
    """Let the writing of checkpoints fail from the `count`-th on, half-way through."""
    written = []

    def put(self, content, path):
        written.append(path)
        if len(written) >= count:
            raise OSError(code, 'No space left on device', path)
        original(self, content, path)

    original = AtomicBackend.put
    monkeypatch.setattr(AtomicBackend, 'put', put)


def test_a_file_that_cannot_be_completed_leaves_the_one_before(tmp_path, monkeypatch):
    backend, path = AtomicBackend(), tmp_path / 'a.pth'
    backend.put(b'old', path)

    def no_space(descriptor):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('os.fsync', no_space)
    with pytest.raises(OSError, match='No space left'):
        backend.put(b'new', path)
    assert [file.name for file in tmp_path.iterdir()] == ['a.pth']
    assert path.read_bytes() == b'old'


def test_older_checkpoints_go_only_when_the_new_one_is_on_the_disk(tmp_path, monkeypatch):
    # Each epoch writes its checkpoint, the best, and its checkpoint again: the ninth is the third's last.
    fail_from(monkeypatch, 8)
    with pytest.raises(OSError, match='No space left'):
        run(tmp_path)
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == [
        'best_score_epoch_2.pth',
        'epoch_2.pth',
        'epoch_3.pth',
    ]
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_3.pth')


def test_the_last_two_checkpoints_and_the_best_are_kept(tmp_path):
    scores = [0.1, 0.8, 0.3, 0.2]
    run(tmp_path, val_evaluator=dict(type='ScriptedToyMetric', scores=scores))
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == [
        'best_score_epoch_2.pth',
        'epoch_3.pth',
        'epoch_4.pth',
    ]


def test_what_a_killed_process_left_half_written_is_cleared_away(tmp_path):
    leftover = tmp_path / '.epoch_9.pth.123.part'
    leftover.write_bytes(b'half')
    run(tmp_path, epochs=1)
    assert not leftover.exists()


def flip_a_byte(path):
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + 2000] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ('spoil', 'problem'),
    [
        (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), 'cut off'),
        (lambda path: path.write_bytes(b''), 'cut off'),
        (flip_a_byte, 'checksum'),
        (lambda path: path.unlink(), 'is not there'),
    ],
)
def test_resuming_passes_over_a_damaged_checkpoint(tmp_path, spoil, problem):
    older, newest = save(tmp_path / 'epoch_1.pth'), save(tmp_path / 'epoch_2.pth')
    save(tmp_path / 'best_score_epoch_1.pth')
    (tmp_path / 'last_checkpoint').write_text(str(newest))
    assert find_intact_checkpoint(tmp_path) == (str(newest), [])
    spoil(newest)
    found, problems = find_intact_checkpoint(tmp_path)
    assert found == str(older)
    assert len(problems) == 1
    assert str(newest) in problems[0]
    assert problem in problems[0]
    assert problem in damage_of(newest)


def test_a_folder_that_was_moved_is_resumed_from_where_it_is(tmp_path):
    save(tmp_path / 'epoch_2.pth')
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_2.pth')
    assert find_intact_checkpoint(tmp_path) == (str(tmp_path / 'epoch_2.pth'), [])


def test_nothing_to_resume_from_starts_anew_and_nothing_intact_is_said(tmp_path):
    assert find_intact_checkpoint(tmp_path) == (None, [])
    (tmp_path / 'epoch_1.pth').write_bytes(b'half')
    with pytest.raises(
        ValueError, match=r'none of the checkpoints .* can be resumed from: .*epoch_1.pth'
    ):
        find_intact_checkpoint(tmp_path)


@pytest.fixture
def train(tmp_path, monkeypatch):
    """``mmdet_ext.apis.run.train`` of the toy."""
    monkeypatch.setattr(run_module, 'check_before_training', lambda cfg: None)

    def run(work_dir=tmp_path / 'work', **options):
        text = '\n'.join(f'{key} = {value!r}' for key, value in toy_config(work_dir).items())
        (tmp_path / 'toy.py').write_text(text)
        return run_module.train(str(tmp_path / 'toy.py'), work_dir=str(work_dir), **options)

    return run


def test_a_full_disk_ends_training_with_one_sentence(train, tmp_path, monkeypatch):
    fail_from(monkeypatch, 4)
    last = tmp_path / 'work/epoch_1.pth'
    with pytest.raises(
        OSError, match=f'No space left on device.: make room, then go on from {last}'
    ):
        train()
    assert damage_of(last) is None


def test_a_work_folder_that_cannot_be_written_to_is_said_first(train, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match=r'the folder .*file/work cannot be written to'):
        train(tmp_path / 'file/work')


def test_train_says_which_checkpoint_it_passed_over(train, tmp_path, monkeypatch):
    train()
    newest = tmp_path / 'work/epoch_4.pth'
    newest.write_bytes(newest.read_bytes()[:1000])
    warnings = []
    monkeypatch.setattr('logging.Logger.warning', lambda self, text, *_: warnings.append(text))
    train(resume='auto')
    assert damage_of(newest) is None
    assert any(f'{newest} is cut off' in text and 'passed over' in text for text in warnings)


def test_signals_are_left_to_others_after_training(train, monkeypatch):
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    train()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    fail_from(monkeypatch, 1)
    with pytest.raises(OSError, match='No space left'):
        train()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_how_to_go_on_is_said_when_a_signal_ends_training(tmp_path, monkeypatch, capsys):
    warnings = []
    monkeypatch.setattr('logging.Logger.warning', lambda self, text, *_: warnings.append(text))
    interrupted(tmp_path, 6, signal.SIGTERM)
    assert warnings[-1] == (
        f'SIGTERM ended the training: 1 epochs and 2 of 5 batches are in {tmp_path}/interrupted.pth; '
        'go on with --resume.'
    )
    assert 'SIGTERM: the iteration is finished' in capsys.readouterr().err


@pytest.mark.parametrize('workers', [0, 2])
def test_batches_that_are_left_out_are_not_loaded_and_come_again_in_the_next_epoch(workers):
    loaded = torch.zeros(10, dtype=torch.int64).share_memory_()

    class Counting:
        def __len__(self):
            return 10

        def __getitem__(self, index):
            loaded[index] += 1
            return index

    batches = BatchSampler(SequentialSampler(range(10)), 3, drop_last=False)
    options = dict(num_workers=workers, persistent_workers=workers > 0)
    loader = DataLoader(Counting(), batch_sampler=batches, **options)
    assert [batch.tolist() for batch in batches_from(loader, 2)] == [[6, 7, 8], [9]]
    assert loaded.tolist() == [0] * 6 + [1] * 4
    assert [batch.tolist() for batch in loader] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert list(batches_from(DataLoader(Counting(), batch_sampler=batches, **options), 4)) == []


def test_the_state_is_not_in_the_best_checkpoint_which_nobody_resumes_from(tmp_path):
    run(tmp_path, epochs=1)
    assert 'training_state' in last_state(tmp_path)
    best = torch.load(tmp_path / 'best_score_epoch_1.pth', weights_only=False)
    assert 'training_state' not in best


def test_the_config_in_checkpoints_is_formatted_once(tmp_path, monkeypatch):
    formatted = []

    def format_code(code, **options):
        formatted.append(code)
        return original(code, **options)

    original = config_text._format
    monkeypatch.setattr(config_text, '_format', format_code)
    runner = run(tmp_path)
    assert len(formatted) == 1
    assert last_state(tmp_path)['meta']['cfg'] == runner.cfg.pretty_text
