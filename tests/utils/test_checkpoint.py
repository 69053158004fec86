"""A checkpoint that does not belong to the model is refused before it is loaded."""

import pytest
import torch
from torch import nn

from mmdet_ext.utils.checkpoint import check_checkpoint


def model(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 2))


@pytest.fixture
def save(tmp_path):
    def save(content, name='epoch_1.pth'):
        path = tmp_path / name
        torch.save(content, path)
        return str(path)

    return save


def test_the_models_own_checkpoint_matches_in_every_parameter(save):
    path = save({'state_dict': model().state_dict(), 'meta': {}})
    assert check_checkpoint(model(), path) == (4, 4)


def test_a_distributed_runs_prefix_does_not_matter(save):
    path = save({'state_dict': {f'module.{k}': v for k, v in model().state_dict().items()}})
    assert check_checkpoint(model(), path) == (4, 4)


def test_another_width_is_refused_with_count_key_shapes_and_the_run_it_came_from(save):
    path = save({'state_dict': model(8).state_dict(), 'meta': {'experiment_name': 'wide_2026'}})
    with pytest.raises(ValueError, match=r"1 of the model's 4 parameters match") as caught:
        check_checkpoint(model(), path)
    assert '`0.weight` (and 2 more) has shape (8, 3) instead of (4, 3)' in str(caught.value)
    assert 'wide_2026' in str(caught.value)


def test_missing_and_unexpected_keys_are_named(save):
    weights = model().state_dict()
    weights['3.bias'] = weights.pop('2.bias')
    with pytest.raises(ValueError, match=r'lacks `2\.bias`, the model has no `3\.bias`'):
        check_checkpoint(model(), save({'state_dict': weights}))


def test_fine_tuning_is_content_with_some_parameters_but_not_with_none(save):
    assert check_checkpoint(model(), save(model(8).state_dict()), partial=True) == (1, 4)
    with pytest.raises(ValueError, match='0 of'):
        check_checkpoint(model(), save({'other': torch.zeros(1)}), partial=True)


def test_a_missing_file_is_answered_with_the_ones_that_are_there(save, tmp_path):
    save(model().state_dict(), 'epoch_12.pth')
    with pytest.raises(FileNotFoundError, match=r'epoch_9\.pth does not exist.*epoch_12\.pth'):
        check_checkpoint(model(), str(tmp_path / 'epoch_9.pth'))


@pytest.mark.parametrize(
    ('content', 'reason'),
    [(b'PK\x03\x04 cut off', '[^\\n]+'), (b'# A text\n', 'no pickle of tensors')],
)
def test_a_damaged_file_is_said_to_be_unreadable(tmp_path, content, reason):
    path = tmp_path / 'epoch_1.pth'
    path.write_bytes(content)
    sentence = rf'epoch_1\.pth cannot be read as a checkpoint \({reason}\): it is damaged'
    with pytest.raises(ValueError, match=sentence):
        check_checkpoint(model(), str(path))


def test_a_file_without_weights_is_refused(save):
    with pytest.raises(ValueError, match='holds no weights'):
        check_checkpoint(model(), save({'state_dict': {}}))
