"""Contact sheets of data: the right pictures, in their place, the same on every run."""

import itertools
import json

import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope

from mmdet_ext.apis import browse as browse_module
from mmdet_ext.apis import browse_sources
from mmdet_ext.apis.browse import browse
from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, write_parking_slot_coco
from mmdet_ext.visualization.drawing import HIDDEN_COLOUR, POINT_COLOUR

SIZE = (100, 80)
PARKING_CONFIG = """
default_scope = 'mmdet'
load = [dict(type='LoadParkingSlotImage'), dict(type='LoadParkingSlotAnnotations')]
train_pipeline = [
    *load,
    dict(type='ParkingSlotAffine', size=(64, 64), rotation=(0, 360), flip_prob=0.5),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='PackParkingSlotInputs'),
]
tta_pipeline = [
    *load,
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='ParkingSlotAffine', size=(64, 64), flip_prob=p) for p in (0, 1)],
            [dict(type='PackParkingSlotInputs')],
        ],
    ),
]
dataset = dict(
    type='ParkingSlotDataset', data_root='.', ann_file='train.json', data_prefix=dict(img=''))
train_dataloader = dict(batch_size=1, num_workers=0, dataset=dict(pipeline=train_pipeline, **dataset))
"""
STOCK_CONFIG = """
default_scope = 'mmdet'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='CachedMosaic', img_scale=(40, 40)),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    batch_size=1,
    num_workers=0,
    dataset=dict(
        type='CocoDataset', data_root='.', ann_file='boxes.json', data_prefix=dict(img=''),
        metainfo=dict(classes=('car', 'van')), pipeline=train_pipeline))
"""


@pytest.fixture(autouse=True)
def own_scope(monkeypatch):
    monkeypatch.setattr(DefaultScope, '_instance_dict', type(DefaultScope._instance_dict)())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Five images, a slot with two points in each, as parking-slot COCO and as plain COCO."""
    monkeypatch.chdir(tmp_path)
    records = []
    for i in range(5):
        corners = np.array([[[30.0, 60], [60, 60], [60, 20], [30, 20]]]) + i
        records.append(
            ParkingImage(
                f'{i}.png',
                *SIZE,
                points=corners[0, :2],
                directions=np.array([[0.0, -1], [0, -1]]),
                shapes=np.array([0, 1]),
                corners=corners,
                slot_types=np.array([i % 3]),
                occupied=np.array([i % 2]),
                slot_points=np.array([[0, 1]]),
                condition='garage' if i < 2 else 'street',
                corner_visible=np.array([[2, 2, 1, 2]]),
            )
        )
        cv2.imwrite(f'{i}.png', np.full((80, 100, 3), 60 + i, np.uint8))
    write_parking_slot_coco('train.json', records, ['marking_points', 'slots', 'occupancy'])
    write_boxes(tmp_path / 'boxes.json')
    (tmp_path / 'parking.py').write_text(PARKING_CONFIG)
    (tmp_path / 'stock.py').write_text(STOCK_CONFIG)
    return tmp_path


def write_boxes(path):
    box = [10.0, 20, 40, 30]
    outline = [[10, 20, 50, 20, 50, 50, 10, 50]]
    annotations = [
        dict(
            id=i + 1,
            image_id=i,
            category_id=1 + i % 2,
            iscrowd=0,
            bbox=box,
            area=1200,
            segmentation=outline,
        )
        for i in range(5)
    ]
    images = [dict(id=i, file_name=f'{i}.png', width=100, height=80) for i in range(5)]
    categories = [dict(id=1, name='car'), dict(id=2, name='van')]
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))


@pytest.fixture
def pages(monkeypatch):
    """The rows of every page that is drawn."""
    seen = []
    draw_page = browse_module.draw_page

    def spy(rows, *args):
        seen.append(rows)
        return draw_page(rows, *args)

    monkeypatch.setattr(browse_module, 'draw_page', spy)
    return seen


def centre_of(cell, colour):
    found = np.argwhere((cell == colour).all(-1))
    return found.mean(0)[::-1]


@pytest.mark.parametrize('source', ['parking.py', 'train.json'])
def test_annotations_are_drawn_where_the_labels_are(folder, pages, source):
    report = browse(source, scale=2, index=[3], out='sheets')
    [[row]] = pages
    cell, labels = row.cells[0], row.labels[0]
    np.testing.assert_allclose(labels.points, [[33, 63], [63, 63]])
    assert cell.shape[1] == 200
    hidden = np.argwhere((cell[:160] == HIDDEN_COLOUR).all(-1))
    np.testing.assert_allclose(hidden.mean(0), [23 * 2 + 0.5, 63 * 2 + 0.5], atol=1)
    assert (cell[63 * 2 : 63 * 2 + 2, 80:110] == 255).all(-1).any(0).all()  # the entrance
    assert (cell[5, 5] == 63).all()
    assert (report.shown, report.total) == (1, 5)
    assert cv2.imread(str(report.files[0])).shape[2] == 3


def test_boxes_and_masks_of_plain_coco_are_drawn_where_they_are(folder, pages):
    browse('boxes.json', scale=1, index=[1], out='sheets')
    [[row]] = pages
    assert row.labels[0].boxes.tolist() == [[10, 20, 50, 50]]
    tinted = (row.cells[0][:80] != 61).any(-1)
    assert tinted[25:45, 15:45].all()
    assert not tinted[60:, :].any()
    assert not tinted[:, 60:].any()


def test_small_images_are_enlarged_and_large_ones_shrunk(folder, pages):
    browse('train.json', index=[0], out='sheets')
    assert pages[0][0].cells[0].shape[1] == round(100 * 400 / np.sqrt(8000))
    large = np.zeros((2000, 1000, 3), np.uint8)
    cv2.imwrite('0.png', large)
    content = json.loads((folder / 'boxes.json').read_text())
    content['images'][0] |= dict(width=1000, height=2000)
    (folder / 'boxes.json').write_text(json.dumps(content))
    browse('boxes.json', index=[0], out='sheets')
    assert pages[1][0].cells[0].shape[1] == round(1000 * 400 / np.sqrt(2e6))


def test_there_is_a_column_per_transform_with_its_name(folder, pages):
    browse('parking.py', 'stages', number=2, out='sheets')
    [rows] = pages
    assert len(rows) == 2
    for row in rows:
        assert row.headings == (
            '',
            '1 LoadParkingSlotImage',
            '2 LoadParkingSlotAnnotations',
            '3 ParkingSlotAffine',
            '4 YOLOXHSVRandomAug',
            '5 PackParkingSlotInputs',
        )
        assert len(row.cells) == 6


def test_stages_show_labels_from_where_they_are_loaded_on(folder, pages):
    browse('parking.py', 'stages', scale=2, number=1, out='sheets')
    has_points = [(cell == POINT_COLOUR).all(-1).sum() > 20 for cell in pages[0][0].cells]
    assert has_points == [False, False, True, True, True, True]


def test_test_time_variants_share_a_cell(folder, pages):
    browse('parking.py', 'stages', pipeline='tta_pipeline', number=1, out='sheets')
    row = pages[0][0]
    assert row.headings[-1] == '3 TestTimeAug'
    one, other = row.labels
    np.testing.assert_allclose(one.points[0, 0] + other.points[0, 0], 63, atol=1e-3)  # mirrored


def test_stock_pipelines_with_a_cache_of_images_mix_from_the_first_picture_on(folder, pages):
    browse('stock.py', 'stages', number=1, out='sheets')
    row = pages[0][0]
    assert row.headings[-1] == '4 PackDetInputs'
    [labels] = row.labels
    assert len(labels.boxes) >= 2
    assert len(labels.boxes) == len(labels.masks)


def test_a_repeat_sheet_has_n_by_n_different_cells_that_come_again_on_the_next_run(folder, pages):
    for seed in (0, 0, 1):
        browse('parking.py', 'repeat', repeat=3, index=[2], seed=seed, out='sheets')
    first, again, other = ([cell for row in page for cell in row.cells] for page in pages)
    assert [len(row.cells) for row in pages[0]] == [3, 3, 3]
    for one, two in itertools.combinations(first, 2):
        assert one.shape != two.shape or (one != two).any()
    assert all(map(np.array_equal, first, again))
    assert not any(map(np.array_equal, first, other))


def test_the_same_seed_gives_the_same_files(folder):
    contents = []
    for out in ('one', 'two'):
        files = browse('parking.py', 'stages', number=2, seed=3, out=out).files
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]


def test_what_is_drawn_of_an_image_does_not_depend_on_the_others(folder, pages):
    browse('parking.py', 'stages', index=[4], out='sheets')
    browse('parking.py', 'stages', index=[0, 4], out='sheets')
    alone, among = pages[0][0].cells, pages[1][1].cells
    assert all(map(np.array_equal, alone, among))


def test_conditions_choose_the_images(folder):
    report = browse('parking.py', conditions=['garage'], out='sheets')
    assert report.counts() == '2 of 2 images that match, of 5'
    assert browse('parking.py', classes=['slanted'], out='sheets').matching == 1


def test_pages_are_numbered_in_a_folder_or_after_the_file_named(folder):
    files = browse('parking.py', columns=2, rows=1, out='sheets').files
    assert [str(file) for file in files] == [
        f'sheets/parking_train_annotations_{k:03d}.png' for k in (1, 2, 3)
    ]
    files = browse('parking.py', columns=4, rows=1, out='new/all.png').files
    assert [str(file) for file in files] == ['new/all.png', 'new/all_002.png']


def test_an_image_that_fails_is_shown_as_such_and_counted(folder, pages):
    (folder / '3.png').write_bytes(b'no image')
    report = browse('parking.py', out='sheets')
    [(path, error)] = report.failures.items()
    assert path.endswith('3.png')
    assert 'cannot be decoded' in str(error)
    assert sum(len(row.cells) for row in pages[0]) == 5


def test_a_transform_that_fails_leaves_the_stages_before_it(folder, pages):
    broken = "dict(type='LocalContrast', clip_limit='high')"
    text = PARKING_CONFIG.replace("dict(type='YOLOXHSVRandomAug')", broken)
    (folder / 'broken.py').write_text(text)
    report = browse('broken.py', 'stages', number=1, out='sheets')
    [error] = report.failures.values()
    assert isinstance(error, TypeError)
    assert pages[0][0].headings[4] == '4 LocalContrast'
    assert len(pages[0][0].cells) == 6
    assert pages[0][0].labels[0].counts() == '1 slot, 2 points'  # of stage 3


def test_when_no_picture_can_be_drawn_the_error_is_raised(folder):
    for i in range(5):
        (folder / f'{i}.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match='cannot be decoded'):
        browse('parking.py', out='sheets')


@pytest.mark.parametrize(
    ('source', 'options', 'message'),
    [
        ('parking.py', dict(mode='stage'), "mode is 'stage'; expected one of"),
        ('parking.py', dict(scale=0), 'scale is 0; expected more than 0'),
        ('parking.py', dict(mode='repeat', repeat=0), 'repeat is 0; expected at least 1'),
        ('parking.py', dict(out='a.jpg'), 'a.jpg; sheets are PNG'),
        ('parking.py', dict(split='val'), r"no `val_dataloader`: choose a split from \['train'\]"),
        ('parking.py', dict(pipeline='x'), r"no `x`: .* from \['train_pipeline', 'tta_pipeline'\]"),
        ('parking.py', dict(images='.'), 'is a config, whose datasets know their folders'),
        ('train.json', dict(mode='stages'), 'train.json has no transforms to show'),
        ('bad.json', {}, r"bad.json has \['pictures'\]; expected COCO"),
        ('empty.json', {}, 'empty.json lists no image'),
        ('broken.json', {}, 'broken.json is not valid JSON'),
    ],
)
def test_mistakes_are_named(folder, source, options, message):
    (folder / 'bad.json').write_text('{"pictures": []}')
    (folder / 'empty.json').write_text('{"images": [], "annotations": [], "categories": []}')
    (folder / 'broken.json').write_text('{')
    with pytest.raises(ValueError, match=message):
        browse(source, **options)
    assert not (folder / 'work_dirs').exists()


def test_missing_files_are_named_with_the_remedy(folder):
    with pytest.raises(FileNotFoundError, match=r'annotation file none\.json does not exist'):
        browse('none.json')
    with pytest.raises(FileNotFoundError, match='name the folder of the images with --images'):
        browse('boxes.json', images='elsewhere')


def test_without_a_display_show_says_so_before_any_work(folder, monkeypatch):
    monkeypatch.setattr('matplotlib.pyplot.get_backend', lambda: 'agg')
    monkeypatch.setattr(browse_sources, 'load_config', None)
    with pytest.raises(ValueError, match='show needs a display, and there is none here'):
        browse('parking.py', show=True)
