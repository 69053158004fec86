"""Ranks share one columnar file, and each reads only its own share of the rows."""

import json

import pytest
from mmengine.dataset import DefaultSampler
from ranks import run_ranks
from torch.utils.data import DataLoader

from mmdet_ext.datasets.columnar import ColumnarDataset
from mmdet_ext.datasets.columnar.arrow_file import ArrowFile
from mmdet_ext.datasets.columnar.convert import convert_json

IMAGES = 41  # one more than two ranks can share evenly


@pytest.fixture
def file(tmp_path):
    box = dict(category_id=1, bbox=[1, 2, 3, 4], area=12, iscrowd=0)
    content = dict(
        images=[dict(id=i, file_name=f'{i}.jpg', width=9, height=9) for i in range(IMAGES)],
        annotations=[dict(box, id=i, image_id=i) for i in range(IMAGES)],
        categories=[dict(id=1, name='cat')],
    )
    (tmp_path / 'a.json').write_text(json.dumps(content))
    convert_json(tmp_path / 'a.json', tmp_path / 'a.arrow')
    return str(tmp_path / 'a.arrow')


def rows_of_two_epochs(file):
    """What a rank read of the file, by epoch, and what it was given."""
    read, plain = [], ArrowFile.row

    def logged(self, index):
        read.append(index)
        return plain(self, index)

    ArrowFile.row = logged
    dataset = ColumnarDataset(ann_file=file, data_prefix=dict(img=''), pipeline=[])
    read.clear()  # it looks at the first row, for its image
    sampler = DefaultSampler(dataset, shuffle=True, seed=0)
    epochs = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        loader = DataLoader(dataset, 4, sampler=sampler, collate_fn=list)
        given = [item['img_id'] for batch in loader for item in batch]
        epochs.append((given, list(read)))
        read.clear()
    return epochs


def test_each_rank_reads_only_its_share_which_is_as_long_as_the_others_and_new_each_epoch(file):
    first, second = run_ranks(rows_of_two_epochs, file, group=True)
    for (mine, read), (others, read_there) in zip(first, second, strict=True):
        assert (mine, others) == (read, read_there)
        assert len(mine) == len(others) == 21
        assert {*mine, *others} == set(range(IMAGES))  # nothing is left out: dealt once, not twice
        assert len({*mine} & {*others}) == 1  # the one that makes the shares equal
    assert first[0] != first[1]
    assert {*first[0][0]} != {*first[1][0]}
