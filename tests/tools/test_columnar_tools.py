"""tools/dataset/to_columnar.py and tools/analysis/dataset_memory.py."""

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mmdet_ext.apis import dataset_memory
from mmdet_ext.apis.dataset_memory import Footprint, compare, footprint_table
from mmdet_ext.datasets.columnar.arrow_file import ArrowFile

MEBIBYTE = 1 << 20
LIBRARIES = Footprint(
    images=10,
    first_batch=1.0,
    peak=900 * MEBIBYTE,
    total=800 * MEBIBYTE,
    worker=15 * MEBIBYTE,
    file_pages=0,
    shuffle=0.001,
    item=1e-5,
)


def test_a_file_is_converted_and_counted(tool, tmp_path, capsys):
    content = dict(
        images=[dict(id=4, file_name='a.jpg', width=8, height=8)],
        annotations=[
            dict(id=i, image_id=i, category_id=1, bbox=[0, 0, 4, 4], area=16) for i in (4, 5)
        ],
        categories=[dict(id=1, name='car')],
    )
    (tmp_path / 'a.json').write_text(json.dumps(content))
    target = tmp_path / 'new' / 'a.arrow'
    tool('dataset/to_columnar').main([str(tmp_path / 'a.json'), str(target)])
    out = capsys.readouterr().out
    assert '1 images, kind coco' in out
    assert 'left out: 1 annotations' in out
    assert ArrowFile(target).row(0)['bbox'].tolist() == [[0, 0, 4, 4]]


def test_a_wrong_source_gets_one_sentence(tool, tmp_path, error_of):
    (tmp_path / 'a.json').write_text('[]')
    main = tool('dataset/to_columnar').main
    sentence = error_of(main, str(tmp_path / 'a.json'), str(tmp_path / 'a.arrow'))
    assert sentence.endswith('write the file again.')


@pytest.fixture
def measured(monkeypatch):
    """What would be measured, instead of ten processes."""
    calls = []

    def measure(dataset, ranks, workers, batches):
        source = Path(dataset['ann_file']).with_suffix('.json')
        count = len(json.loads(source.read_text())['images'])
        calls.append((dataset['type'], count))
        return replace(LIBRARIES, images=count)

    monkeypatch.setattr(dataset_memory, 'measure', measure)
    return calls


def test_both_datasets_are_measured_on_the_same_annotations(tmp_path, measured):
    list(compare(tmp_path, images=200, boxes=2, ranks=1, workers=1, batches=2))
    assert measured == [('CocoDataset', 64), ('CocoDataset', 200), ('ColumnarDataset', 200)]
    assert ArrowFile(tmp_path / '200_images_of_2_boxes.arrow').description['kind'] == 'coco'


def test_stock_gets_the_images_that_memory_suffices_for(tmp_path, measured, monkeypatch):
    needed = dataset_memory.LIBRARY_BYTES + 150 * 2 * dataset_memory.STOCK_BYTES_PER_BOX
    monkeypatch.setattr(dataset_memory, '_available_memory', lambda: 2 * needed)
    list(compare(tmp_path, images=400, boxes=2, ranks=2, workers=1, batches=2))
    assert measured[1:] == [
        ('CocoDataset', 150),
        ('ColumnarDataset', 150),
        ('ColumnarDataset', 400),
    ]


def test_too_few_images_for_the_batches_are_refused(tmp_path):
    with pytest.raises(ValueError, match='expected at least 6400 images'):
        next(compare(tmp_path, images=1000))


def test_the_table_compares_the_two_on_equal_terms():
    stock = replace(LIBRARIES, images=99, first_batch=30.0, total=1800 * MEBIBYTE)
    ours = replace(LIBRARIES, images=99, first_batch=1.5, total=850 * MEBIBYTE)
    more = replace(ours, images=999, total=860 * MEBIBYTE)
    found = [('libraries', LIBRARIES), ('CocoDataset', stock), ('ours', ours), ('ours', more)]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(footprint_table(found, 'title'))
    lines = [line.split('│') for line in console.export_text().splitlines() if '│' in line]
    cells = {line[1].strip(): [cell.strip() for cell in line[2:-1]] for line in lines}
    assert cells['images'] == ['10', '99', '99', '999', '']
    assert cells['first batch, s'] == ['1', '30', '1.5', '1.5', '20']
    assert cells['- above libraries, MiB'] == ['0', '1,000', '50', '60', '20']


def test_memory_of_this_process_is_read_from_the_system():
    memory = dataset_memory._memory(os.getpid())
    assert 0 < memory['Pss'] <= memory['Rss']
    block = np.ones(128 << 20, np.uint8)
    grown = dataset_memory._memory(os.getpid())['Private_Dirty'] - memory['Private_Dirty']
    assert grown == pytest.approx(block.nbytes, rel=0.2)
