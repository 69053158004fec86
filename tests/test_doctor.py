"""The doctor names what is wrong with an environment and what to type."""

import copy

import pytest

from mmdet_ext import doctor
from mmdet_ext.utils.errors import clear_errors

SOUND = doctor.Facts(
    versions={
        'numpy': '1.26.4',
        'torch': '2.1.2+cu121',
        'torchvision': '0.16.2+cu121',
        'cv2': '4.11.0',
        'pycocotools.mask': '',
        'mmengine': '0.10.7',
        'mmcv': '2.1.0',
        'mmcv._ext': '',
        'mmdet': '3.3.0',
    },
    cuda={'torch': '12.1', 'torchvision': '12.1'},
    owners={'mmengine': ['mmengine'], 'mmcv': ['mmcv'], 'mmdet': ['mmdet']},
)


def wrong(**changes):
    """Diagnose the sound environment with changes: the findings that are problems."""
    facts = copy.deepcopy(SOUND)
    for name, change in changes.items():
        if name in ('gpu', 'registered'):
            setattr(facts, name, change)
            continue
        for key, value in change.items():
            getattr(facts, name)[key] = value
            if name == 'errors' and value == 'missing':
                facts.versions.pop(key, None)
    return [finding for finding in doctor.diagnose(facts) if finding.problem]


def test_a_sound_environment_has_ten_lines_and_no_problem():
    assert len(doctor.diagnose(SOUND)) == 10
    assert wrong() == []


def test_this_environment_is_sound(capsys):
    with pytest.raises(SystemExit) as stop:
        doctor.main()
    lines = capsys.readouterr().out.splitlines()
    assert stop.value.code == 0, lines
    assert [line for line in lines if line.startswith('ok')][:10] == lines[-10:]


@pytest.mark.parametrize(
    ('changes', 'name', 'problem', 'remedy'),
    [
        (
            {
                'errors': {'mmdet': 'MMCV==2.2.0 is used but incompatible'},
                'versions': {'mmcv': '2.2.0'},
            },
            'mmdet',
            'does not work with mmcv 2.2.0',
            'mmcv==2.1.0',
        ),
        ({'errors': {'mmdet': 'missing'}}, 'mmdet', 'cannot work without it', 'mmdet==3.3.0'),
        ({'versions': {'mmdet': '2.28.2'}}, 'mmdet', 'MMDetection 3 is needed', 'mmdet==3.3.0'),
        ({'versions': {'mmcv': '1.7.2'}}, 'mmcv', 'needs mmcv 2', 'mmcv==2.1.0'),
        (
            {'owners': {'mmcv': ['mmcv', 'onedl-mmcv']}},
            'mmcv',
            'one folder',
            'pip uninstall -y mmcv onedl-mmcv',
        ),
        (
            {'cuda': {'torch': None}},
            'torchvision',
            'built for CUDA 12.1, but torch for the CPU',
            '--force-reinstall',
        ),
        (
            {'errors': {'torch': 'Numpy is not available'}, 'versions': {'numpy': '2.1.0'}},
            'torch',
            'another NumPy than 2.1.0',
            'numpy<2',
        ),
    ],
)
def test_a_bad_pair_is_named_with_what_to_type(changes, name, problem, remedy):
    first = wrong(**changes)[0]
    assert first.name == name
    assert problem in first.problem
    assert remedy in first.remedy


@pytest.mark.parametrize(
    ('owners', 'errors', 'problem', 'remedy'),
    [
        (['mmcv-lite'], {}, 'mmcv-lite comes without them', 'uninstall -y mmcv-lite'),
        (
            ['mmcv'],
            {'mmcv._ext': 'x.so: undefined symbol: _ZN'},
            'another torch',
            'no-build-isolation',
        ),
        (['mmcv'], {'pkg_resources': 'missing'}, 'built without them', 'setuptools<70'),
    ],
)
def test_missing_ops_are_explained(owners, errors, problem, remedy):
    facts = copy.deepcopy(SOUND)
    del facts.versions['mmcv._ext']
    facts.errors = {'mmcv._ext': "No module named 'mmcv._ext'", **errors}
    facts.owners['mmcv'] = owners
    (finding,) = [finding for finding in doctor.diagnose(facts) if finding.problem]
    assert finding.name == 'mmcv ops'
    assert problem in finding.problem
    assert remedy in finding.remedy


def test_a_command_in_a_broken_environment_ends_with_the_first_problem(monkeypatch, capsys):
    facts = copy.deepcopy(SOUND)
    facts.versions.pop('mmdet')
    facts.errors['mmdet'] = 'missing'
    monkeypatch.setattr(doctor, 'gather', lambda: facts)
    with pytest.raises(SystemExit), clear_errors():
        raise ModuleNotFoundError("No module named 'mmdet'")
    error = capsys.readouterr().err
    assert error.startswith(
        'error: mmdet: not installed: mmdet_ext cannot work without it; `make setup`'
    )
    assert error.count('\n') == 1


def test_an_import_error_in_a_sound_environment_is_a_bug_and_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(doctor, 'gather', lambda: SOUND)
    with pytest.raises(ImportError), clear_errors():
        raise ImportError('cannot import name')
