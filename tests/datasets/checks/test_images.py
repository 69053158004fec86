"""Image files: missing, unreadable, damaged, of another size, repeated; colours of all of them."""

from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from mmdet_ext.datasets.checks.images import (
    CUT_OFF,
    MISSING,
    OK,
    UNREADABLE,
    channel_statistics,
    check_first_images,
    check_images,
    image_paths,
    survey_images,
)
from mmdet_ext.datasets.checks.near_duplicates import bit_distance, near_pairs, perceptual_hash
from mmdet_ext.datasets.checks.splits import Split, check_splits


def picture(seed, width=100, height=80):
    """Smooth random colours, as unlike another seed's as two scenes."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def folder(tmp_path):
    """Write images by name, from arrays or bytes."""

    def write(**images):
        for name, content in images.items():
            path = tmp_path / f'{name}.png'
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                cv2.imwrite(str(path), content)
        return tmp_path

    return write


@pytest.fixture
def examine(read):
    """Survey and check the images of a file."""

    def run(content, where):
        file = read(content)
        paths = image_paths(file, where)
        survey = survey_images(paths, 'test', num_workers=1)
        return survey, [f for f in check_images(file, paths, survey) if f.severity != 'note']

    return run


def test_sound_images_have_no_findings(plain, examine, folder):
    survey, findings = examine(plain, folder(a=picture(0), b=picture(1)))
    assert survey.status.tolist() == [OK, OK]
    assert findings == []


def test_missing_cut_off_and_other_files_are_told_apart(plain, examine, folder):
    jpeg = cv2.imencode('.jpg', picture(0))[1].tobytes()
    plain['images'] += [
        {'id': i, 'file_name': f'{name}.png', 'width': 100, 'height': 80}
        for i, name in ((3, 'cut'), (4, 'empty'))
    ]
    where = folder(a=b'no image', cut=jpeg[: len(jpeg) // 2], empty=b'')
    survey, findings = examine(plain, where)
    assert survey.status.tolist() == [UNREADABLE, MISSING, CUT_OFF, UNREADABLE]
    assert {f.problem: (f.severity, f.count) for f in findings} == {
        'image files are not there': ('error', 1),
        'image files are cut off or damaged': ('error', 1),
        'files are no images that OpenCV can read': ('error', 2),
    }
    assert str(where / 'b.png') in findings[0].example


def test_another_size_and_exchanged_sides_are_two_findings(plain, examine, folder):
    where = folder(a=picture(0, 80, 100), b=picture(1, 50, 40))
    _, (turned, scaled) = examine(plain, where)
    assert 'exchanged' in turned.problem
    assert 'images[0] (id 1, a.png) is 80 x 100, stated [100, 80]' in turned.example
    assert 'another size' in scaled.problem
    assert '50 x 40' in scaled.example


def test_an_image_turned_by_its_exif_tag_is_seen_as_training_sees_it(plain, examine, tmp_path):
    quarter = 6  # EXIF orientation: turn by 90 degrees
    exif = Image.Exif()
    exif[0x0112] = quarter
    buffer = BytesIO()
    Image.fromarray(picture(0)).save(buffer, 'JPEG', exif=exif)
    (tmp_path / 'a.png').write_bytes(buffer.getvalue())
    cv2.imwrite(str(tmp_path / 'b.png'), picture(1))
    survey, (finding,) = examine(plain, tmp_path)
    assert survey.sizes[0].tolist() == [80, 100]
    assert 'EXIF' in finding.problem


def test_images_of_one_colour_are_found_and_not_called_alike(plain, examine, folder):
    flat = np.full((80, 100, 3), 7, np.uint8)
    survey, (finding,) = examine(plain, folder(a=flat, b=flat + 1))
    assert 'of one colour' in finding.problem
    assert finding.count == 2
    assert not survey.comparable.any()


def test_copies_and_look_alikes_are_found(plain, read, folder):
    image = picture(0)
    plain['images'].append({'id': 3, 'file_name': 'c.png', 'width': 100, 'height': 80})
    recompressed = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes()
    where = folder(a=image, b=image, c=recompressed)
    file = read(plain)
    paths = image_paths(file, where)
    copy, alike = check_images(file, paths, survey_images(paths, 'test', num_workers=1))
    assert (copy.severity, copy.count) == ('warning', 1)
    assert 'b.png' in copy.example
    assert 'a.png' in copy.example
    assert (alike.severity, alike.count) == ('note', 1)
    assert 'c.png' in alike.example


def test_channel_statistics_are_those_of_all_pixels(plain, examine, folder):
    images = [picture(0, 100, 80), picture(1, 40, 20)]
    survey, _ = examine(plain, folder(a=images[0], b=images[1]))
    mean, std = channel_statistics([survey])
    pixels = np.concatenate([image.reshape(-1, 3) for image in images])[:, ::-1]
    np.testing.assert_allclose(mean, pixels.mean(0))
    np.testing.assert_allclose(std, pixels.std(0))
    assert np.isnan(channel_statistics([])).all()


def test_a_survey_is_the_same_with_any_number_of_workers(plain, read, folder):
    paths = image_paths(read(plain), folder(a=picture(0), b=picture(1)))
    one, two = (survey_images(paths, 'test', num_workers=count) for count in (1, 2))
    for name in ('status', 'sizes', 'digests', 'hashes', 'colour_sums'):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_what_is_kept_of_an_image_is_less_than_100_bytes():
    survey = survey_images(['nowhere'] * 10, 'test', num_workers=1)
    assert sum(column.nbytes for column in vars(survey).values()) < 10 * 100


def test_before_training_a_few_images_spread_over_the_file_are_looked_for(plain, read, folder):
    plain['images'] = [
        {'id': i, 'file_name': f'{i}.png', 'width': 100, 'height': 80} for i in range(100)
    ]
    file, where = read(plain), folder()
    (finding,) = check_first_images(file, where, count=5)
    assert (finding.severity, finding.count, finding.total) == ('error', 5, 5)
    assert str(where / '0.png') in finding.example
    for i in range(99):
        (where / f'{i}.png').touch()
    (finding,) = check_first_images(file, where, count=5)
    assert (finding.count, finding.example) == (1, str(where / '99.png'))


def test_images_beside_a_linked_folder_are_found_where_the_system_finds_them(plain, read, folder):
    plain['images'] = [{'id': 0, 'file_name': '../pictures/a.png', 'width': 100, 'height': 80}]
    root = folder()
    for name in ('disk/labels', 'disk/pictures'):
        (root / name).mkdir(parents=True)
    (root / 'disk/pictures/a.png').touch()
    (root / 'data').symlink_to('disk/labels')  # from it, `..` is `disk`
    assert not list(check_first_images(read(plain), root / 'data'))


def test_the_hash_survives_scaling_light_and_recompression_and_tells_scenes_apart():
    gray = [cv2.cvtColor(picture(seed, 200, 160), cv2.COLOR_BGR2GRAY) for seed in range(20)]
    first = gray[0]
    variants = [
        cv2.resize(first, (100, 80), interpolation=cv2.INTER_AREA),
        cv2.convertScaleAbs(first, alpha=0.8, beta=10),
        cv2.imdecode(cv2.imencode('.jpg', first, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], 0),
    ]
    own = np.array([perceptual_hash(first)] * 3, np.uint64)
    assert bit_distance(own, np.array(list(map(perceptual_hash, variants)), np.uint64)).max() <= 4
    others = np.array(list(map(perceptual_hash, gray[1:])), np.uint64)
    assert bit_distance(np.full(19, own[0]), others).min() > 10


@pytest.mark.parametrize('radius', [0, 3, 4, 7])
def test_near_pairs_are_those_of_comparing_all_with_all(radius):
    rng = np.random.default_rng(radius)
    seeds = rng.integers(0, 2**63, 30, dtype=np.uint64)
    flips = [np.uint64(1) << np.uint64(bit) for bit in rng.integers(0, 64, 1500)]
    hashes = np.repeat(seeds, 20)
    for i, flip in enumerate(flips):
        hashes[i % len(hashes)] ^= flip
    hashes = np.unique(hashes)
    expected = {
        (i, j)
        for i in range(len(hashes))
        for j in range(i)
        if bin(int(hashes[i]) ^ int(hashes[j])).count('1') <= radius
    }
    found = set()
    for left, right in near_pairs(hashes, radius):
        found |= {
            (max(pair), min(pair)) for pair in zip(left.tolist(), right.tolist(), strict=True)
        }
    assert found == expected
    assert bool(expected) == (radius > 0)


def test_a_hundred_thousand_hashes_are_searched_in_seconds():
    """All pairs would be five billion comparisons."""
    hashes = np.unique(np.random.default_rng(0).integers(0, 2**63, 100_000, dtype=np.uint64))
    assert sum(len(left) for left, _ in near_pairs(hashes, 4)) == 0


@pytest.fixture
def two_splits(plain, read, folder):
    """Survey two files with one image each."""

    def make(train, val, names=('a', 'b'), groups=(None, None)):
        splits = []
        folder(**{names[0]: train, names[1]: val})
        for part, name, group in zip(('train', 'val'), names, groups, strict=True):
            image = {'id': 1, 'file_name': f'{name}.png', 'width': 100, 'height': 80}
            content = {**plain, 'images': [image | ({'group': group} if group else {})]}
            file = read(content, f'{part}.json')
            paths = image_paths(file, file.path.parent)
            splits.append(Split(file, paths, part, survey_images(paths, 'test', num_workers=1)))
        return list(check_splits(splits))

    return make


def test_splits_of_different_images_do_not_leak(two_splits):
    assert two_splits(picture(0), picture(1), groups=('north', 'south')) == []


def test_the_same_image_in_two_splits_is_an_error(two_splits):
    (finding,) = two_splits(picture(0), picture(0), names=('a', 'a'))
    assert finding.severity == 'error'
    assert 'train.json, too' in finding.problem


def test_the_same_content_under_another_name_is_an_error_that_names_both(two_splits):
    (finding,) = two_splits(picture(0), picture(0))
    assert finding.severity == 'error'
    assert finding.source.endswith('val.json')
    assert 'b.png' in finding.example
    assert 'a.png' in finding.example


def test_look_alikes_in_two_splits_are_a_warning(two_splits):
    (finding,) = two_splits(picture(0), cv2.imencode('.jpg', picture(0))[1].tobytes())
    assert finding.severity == 'warning'
    assert 'look almost like one' in finding.problem


def test_a_group_in_two_splits_is_a_warning(two_splits):
    (finding,) = two_splits(picture(0), picture(1), groups=('north', 'north'))
    assert finding.severity == 'warning'
    assert "of group 'north'" in finding.example
