"""tools/dataset/split.py: any COCO file in, parts of it out."""

import json

import numpy as np
import pytest

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, write_parking_slot_coco
from mmdet_ext.datasets.parking_slot_dataset import ParkingSlotDataset


@pytest.fixture
def split(tool):
    return tool('dataset/split').main


@pytest.fixture
def parking(tmp_path):
    """Parking-slot COCO of 20 images, two points each, slots in half of them, four groups."""
    square = np.array([[[8.0, 2.0], [2.0, 2.0], [2.0, 8.0], [8.0, 8.0]]])
    records = [
        ParkingImage(
            f'site{i % 4}/{i}.jpg',
            10,
            10,
            points=np.array([[8.0, 2.0], [2.0, 2.0]]),
            directions=np.full((2, 2), np.nan),
            shapes=np.array([0, 1]),
            corners=square if i < 10 else np.zeros((0, 4, 2)),
            slot_types=np.array([i % 2] if i < 10 else [], int),
            occupied=np.array([1] if i < 10 else [], int),
            slot_points=np.array([[0, 1]] if i < 10 else np.zeros((0, 2)), int),
            group=f'site{i % 4}',
            condition='night' if i % 5 == 0 else 'day',
        )
        for i in range(20)
    ]
    path = tmp_path / 'all.json'
    write_parking_slot_coco(path, records, ['marking_points', 'slots'], 'd', derived=['slots'])
    content = json.loads(path.read_text())
    content |= {'licenses': [{'id': 7, 'name': 'free'}], 'more': {'kept': [1, 2]}}
    path.write_text(json.dumps(content))
    return path


def load(path):
    return json.loads(path.read_text())


def ids(content, key='images'):
    return [entry['id'] for entry in content[key]]


def test_parts_keep_ids_and_everything_else_and_lose_nothing(split, parking, tmp_path):
    split([str(parking), str(tmp_path / 'out'), '--ratios', '6:2:2'])
    whole = load(parking)
    parts = [load(tmp_path / 'out' / f'{name}.json') for name in ('train', 'val', 'test')]
    assert [len(part['images']) for part in parts] == [12, 4, 4]
    for key in ('images', 'annotations', 'marking_points'):
        entries = sorted((e for part in parts for e in part[key]), key=lambda e: e['id'])
        assert entries == sorted(whole[key], key=lambda e: e['id'])
    for part in parts:
        assert {e['image_id'] for e in part['marking_points']} == set(ids(part))
        assert {e['image_id'] for e in part['annotations']} <= set(ids(part))
        for key in ('info', 'licenses', 'categories', 'more'):
            assert part[key] == whole[key]


def test_a_part_of_parking_slot_coco_is_read_by_the_dataset(split, parking, tmp_path):
    split([str(parking), str(tmp_path), '--ratios', '1:1', '--names', 'mine', 'yours'])
    for image in load(tmp_path / 'mine.json')['images']:
        path = tmp_path / image['file_name']
        path.parent.mkdir(exist_ok=True)
        path.touch()
    options = dict(data_root=str(tmp_path), ann_file='mine.json', data_prefix=dict(img=''))
    dataset = ParkingSlotDataset(**options, pipeline=[])
    assert len(dataset) == 10
    assert dataset[0]['label_kinds'] == ('marking_points', 'slots')
    assert len(dataset[0]['parking']['points']) == 2


def test_plain_coco_without_info_licenses_or_annotations_is_split(split, tmp_path):
    images = [{'id': f'x{i}', 'file_name': f'{i}.jpg'} for i in range(4)]
    (tmp_path / 'a.json').write_text(json.dumps({'images': images}))
    split([str(tmp_path / 'a.json'), str(tmp_path / 'out'), '--ratios', '3:1'])
    assert len(load(tmp_path / 'out/train.json')['images']) == 3
    assert load(tmp_path / 'out/train.json').keys() == {'images'}


@pytest.mark.parametrize('group', ['group', r'^(site\d)/', r'site\d'])
def test_folds_never_cut_through_groups_by_key_or_file_name(split, parking, tmp_path, group):
    split([str(parking), str(tmp_path), '--folds', '4', '--group', group])
    seen = []
    for fold in range(4):
        train, val = (load(tmp_path / f'fold_{fold}/{part}.json') for part in ('train', 'val'))
        groups = [{image['group'] for image in part['images']} for part in (train, val)]
        assert not groups[0] & groups[1]
        assert sorted(ids(train) + ids(val)) == list(range(20))
        seen += ids(val)
    assert sorted(seen) == list(range(20))


def test_conditions_and_classes_are_shared_out_evenly(split, parking, tmp_path):
    split([str(parking), str(tmp_path), '--ratios', '1:1', '--stratify', 'condition', 'class'])
    for part in ('train', 'val'):
        content = load(tmp_path / f'{part}.json')
        assert sum(image['condition'] == 'night' for image in content['images']) == 2
        by_class = [annotation['category_id'] for annotation in content['annotations']]
        assert sorted(map(by_class.count, (1, 2))) in ([2, 2], [2, 3], [3, 3])


def test_the_table_has_shares_and_a_class_missing_from_a_part_is_warned_of(
    split, parking, tmp_path, capsys
):
    content = load(parking)
    content['annotations'] = [{**content['annotations'][0], 'category_id': 3}]
    parking.write_text(json.dumps(content))
    split([str(parking), str(tmp_path), '--ratios', '3:1', '--names', 'train', 'val'])
    out, err = capsys.readouterr()
    row = next(line for line in out.splitlines() if 'images' in line and '%' in line)
    assert all(cell in row for cell in ('20', '15 (75.0%)', '5 (25.0%)'))
    row = next(line for line in out.splitlines() if 'slanted' in line)
    assert '1 (100.0%)' in row
    assert '0 (0.0%)' in row
    assert 'none of the 1 images with slanted' in err
    assert 'images of one `group` may be in several parts' in err


def test_subsets_for_a_learning_curve_are_nested(split, parking, tmp_path):
    split([str(parking), str(tmp_path), '--fractions', '0.1', '0.5', '--seed', '3'])
    small, large = (ids(load(tmp_path / f'subset_{f}.json')) for f in (0.1, 0.5))
    assert (len(small), len(large)) == (2, 10)
    assert set(small) < set(large)


def test_resampled_sets_are_balanced_and_differ_in_frequent_images(split, parking, tmp_path):
    split([str(parking), str(tmp_path), '--resamples', '4', '--stratify', 'condition'])
    sets = [load(tmp_path / f'resample_{i}.json')['images'] for i in range(4)]
    nights = [[i['id'] for i in images if i['condition'] == 'night'] for images in sets]
    assert nights == [[0, 5, 10, 15]] * 4
    days = [i['id'] for images in sets for i in images if i['condition'] == 'day']
    assert len(days) == len(set(days)) == 16
    split(
        [str(parking), str(tmp_path), '--resamples', '1', '--cap', '6', '--stratify', 'condition']
    )
    assert len(load(tmp_path / 'resample_0.json')['images']) == 10


def test_tomek_links_are_listed_by_file_name(split, parking, tmp_path):
    embeddings = np.arange(20.0)[:, None] * 10
    embeddings[7] = 101  # by day, nearest to image 10, which is by night
    np.save(tmp_path / 'e.npy', embeddings)
    options = ['--tomek-links', str(tmp_path / 'e.npy'), '--stratify', 'condition']
    split([str(parking), str(tmp_path), *options])
    assert 'site3/7.jpg' in (tmp_path / 'tomek_links.txt').read_text().splitlines()


def change(path, **entries):
    content = load(path)
    content.update(entries)
    path.write_text(json.dumps(content))


def test_mistakes_end_with_one_sentence(split, parking, tmp_path, error_of):
    out = str(tmp_path / 'out')

    def error(*options, path=parking):
        return error_of(split, str(path), out, *(options or ('--ratios', '1:1')))

    assert 'no image has `conditon` (did you mean condition?)' in error(
        '--ratios', '1:1', '--stratify', 'conditon'
    )
    assert '20 of 20 images, first site0/0.jpg, belong to no group by' in error(
        '--folds', '2', '--group', 'x(.)'
    )
    assert 'is no regular expression' in error('--folds', '2', '--group', '(')
    assert 'expected positive numbers such as 6:2:2' in error('--ratios', '6-2-2')
    assert "2 parts are asked for, but named ['a']" in error('--ratios', '1:1', '--names', 'a')
    assert '9.npy do not exist' in error('--tomek-links', '9.npy')
    assert 'does not exist' in error(path=tmp_path / 'none.json')
    change(parking, annotations=[{'id': 1, 'image_id': 99}])
    assert (
        '1 entries of `annotations` are of no image in `images`, first with image_id 99' in error()
    )
    change(parking, annotations=[{'id': 1}])
    assert 'first with image_id None' in error()
    change(parking, images=[{'id': 1}, {'id': 1}], annotations=[], marking_points=[])
    assert '1 of 2 images have the `id` of another' in error()
    change(parking, images=[])
    assert 'no list `images`' in error()
    parking.write_text('{')
    assert 'not valid JSON' in error()


def test_the_file_itself_is_never_overwritten(split, parking, error_of):
    source = parking.rename(parking.with_name('train.json'))
    before = source.read_text()
    message = error_of(split, str(source), str(source.parent), '--ratios', '1:1')
    assert 'write to another folder' in message
    assert source.read_text() == before


def test_options_of_another_mode_are_refused(tool, capsys):
    with pytest.raises(SystemExit):
        tool('dataset/split').parse_args(['a', 'b', '--folds', '2', '--names', 'x'])
    assert '--names goes with --ratios only' in capsys.readouterr().err
