"""Published checkpoints: the weights, the classes, nothing else."""

import pytest
import torch
from torch import nn

from mmdet_ext.apis.publishing import publish_checkpoint
from mmdet_ext.utils.checkpoint import check_checkpoint


@pytest.fixture
def trained(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    meta = {'dataset_meta': {'classes': ('a',)}, 'experiment_name': 'x_2026', 'hook_msgs': {}}
    path = str(tmp_path / 'epoch_1.pth')
    torch.save(
        {'state_dict': model.state_dict(), 'meta': meta, 'optimizer': {'state': [1]}, 'seed': 0},
        path,
    )
    return model, path


def test_weights_and_classes_are_kept_and_the_state_of_training_is_not(trained, tmp_path):
    model, path = trained
    size = publish_checkpoint(path, tmp_path / 'out.pth')
    content = torch.load(tmp_path / 'out.pth', weights_only=True)
    assert size == (tmp_path / 'out.pth').stat().st_size
    assert set(content) == {'meta', 'state_dict'}
    assert content['meta'] == {'dataset_meta': {'classes': ('a',)}}
    for key, value in model.state_dict().items():
        assert torch.equal(content['state_dict'][key], value)


def test_halves_are_the_nearest_float16_and_counters_stay_integers(trained, tmp_path):
    model, path = trained
    publish_checkpoint(path, tmp_path / 'half.pth', half=True)
    weights = torch.load(tmp_path / 'half.pth', weights_only=True)['state_dict']
    assert weights['0.weight'].dtype == torch.float16
    assert weights['1.num_batches_tracked'].dtype == torch.int64
    expected = model[0].weight.detach().numpy().astype('float16')
    assert (weights['0.weight'].numpy() == expected).all()
    assert check_checkpoint(model, str(tmp_path / 'half.pth')) == (7, 7)


def test_a_weight_too_large_for_float16_is_named(trained, tmp_path):
    model, path = trained
    model[1].running_var[2] = 1e6
    torch.save({'state_dict': model.state_dict()}, path)
    with pytest.raises(ValueError, match=r'`1\.running_var` has values beyond 65504'):
        publish_checkpoint(path, tmp_path / 'half.pth', half=True)
    assert not (tmp_path / 'half.pth').exists()


def test_a_file_without_weights_is_refused(tmp_path):
    torch.save({'epoch': 3}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='has no `state_dict`'):
        publish_checkpoint(str(tmp_path / 'a.pth'), tmp_path / 'out.pth')
