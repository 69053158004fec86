"""What is looked at, in which order, and how each kind of file is read."""

import io
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from mmdet_ext.apis.frame_sources import decode_image, load_or_reason, open_frames, to_bgr
from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, write_parking_slot_coco

RGB = np.zeros((20, 30, 3), np.uint8)
RGB[:] = (200, 60, 20)
RGB[:10, :15] = (20, 200, 90)  # the upper left quarter
BGR = RGB[..., ::-1]


def encoded(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def with_orientation(value):
    exif = Image.Exif()
    exif[274] = value
    return exif


def write_image(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((8, 12, 3), value, np.uint8))
    return path


def write_video(path, frames=20, fps=10.0, size=(64, 48), codec='mp4v'):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, size)
    for i in range(frames):
        writer.write(np.full((size[1], size[0], 3), 10 * i, np.uint8))
    writer.release()
    return path


def names(source):
    return [frame.name for frame in source.frames]


def reasons(source):
    """Names and sentences of the frames that cannot be read."""
    tried = {frame.name: load_or_reason(frame) for frame in source.frames}
    return {name: reason for name, (image, reason) in tried.items() if image is None}


def test_a_folder_gives_its_images_and_those_below_sorted_and_nothing_else(tmp_path):
    for name in ('b.png', 'a.JPG', 'sub/c.bmp', '.hidden.jpg', 'results/old.jpg', '.git/x.jpg'):
        write_image(tmp_path / name.lower()).rename(tmp_path / name)
    (tmp_path / 'notes.md').write_text('no image')
    source = open_frames(str(tmp_path), left_out=tmp_path / 'results')
    assert (source.total, source.live, source.folder) == (3, False, tmp_path)
    assert names(source) == ['a.JPG', 'b.png', 'sub/c.bmp']


def test_several_inputs_are_named_from_the_folder_they_share_and_looked_at_once(tmp_path):
    a, b = write_image(tmp_path / 'one/x.png'), write_image(tmp_path / 'two/x.png')
    source = open_frames([str(tmp_path / 'one'), b, str(a)])
    assert (names(source), source.folder) == (['one/x.png', 'two/x.png'], tmp_path)


def test_a_glob_and_a_list_give_what_they_name(tmp_path, monkeypatch):
    for name in ('a1.png', 'a2.png', 'b1.png', 'deep/a3.png', 'a4.txt'):
        write_image(tmp_path / 'in/x.png').rename(tmp_path / 'in' / name.replace('/', '_'))
    assert names(open_frames(str(tmp_path / 'in/a*'))) == ['a1.png', 'a2.png']
    write_image(tmp_path / 'elsewhere/b1.png')
    (tmp_path / 'in/list.txt').write_text(
        '\ufeffb1.png\n\n  a1.png  \nelsewhere/b1.png\ngone.png\n'
    )
    monkeypatch.chdir(tmp_path)
    listed = open_frames('in/list.txt')
    expected = ['in/b1.png', 'in/a1.png', 'elsewhere/b1.png', 'in/gone.png']
    assert names(listed) == expected
    assert list(reasons(open_frames('in/list.txt'))) == ['in/gone.png']


def test_labelled_images_know_their_metres_per_pixel_and_never_lead_out_of_the_folder(tmp_path):
    write_image(tmp_path / 'data/val/a.png')
    records = [
        ParkingImage('val/a.png', 12, 8, metres_per_pixel=0.02),
        ParkingImage('../b.png', 12, 8),
    ]
    write_parking_slot_coco(tmp_path / 'data/val.json', records, ['slots'])
    frames = list(open_frames(tmp_path / 'data/val.json').frames)
    assert [(f.name, f.metres_per_pixel) for f in frames] == [('val/a.png', 0.02), ('b.png', None)]


def test_arrays_are_frames(tmp_path):
    source = open_frames([np.zeros((4, 6), np.uint8), np.ones((4, 6, 3), np.uint8)])
    first, second = source.frames
    assert (first.name, second.name, source.folder) == ('array_000000', 'array_000001', None)
    assert (first.load().shape, second.load().max()) == ((4, 6, 3), 1)


@pytest.mark.parametrize(
    ('given', 'sentence'),
    [
        ('nowhere.jpg', 'nowhere.jpg does not exist: name an image, a folder'),
        ('*.jpg', r'no image and no video matches \*.jpg: correct the pattern'),
        ('empty', 'empty has no image and no video in it: name another folder'),
        ('empty.txt', 'empty.txt is empty: write the path of an image per line'),
        ('net.py', 'net.py is nothing to look at: name it with --config'),
        ('net.pth', 'net.pth is nothing to look at: name it with --checkpoint'),
    ],
)
def test_nothing_to_look_at_gets_a_sentence(tmp_path, monkeypatch, given, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    for name in ('empty.txt', 'net.py', 'net.pth'):
        (tmp_path / name).touch()
    with pytest.raises((FileNotFoundError, ValueError), match=sentence):
        open_frames(given)


PICTURE = Image.fromarray(RGB)
TRANSPARENT = Image.fromarray(np.dstack([RGB, np.full((20, 30), 7, np.uint8)]))
GREY = np.asarray(PICTURE.convert('L'))


@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        (encoded(PICTURE, 'PNG'), BGR),
        (encoded(PICTURE, 'JPEG', quality=100, subsampling=0), BGR),
        (encoded(PICTURE.convert('L'), 'PNG'), np.dstack([GREY] * 3)),
        (encoded(TRANSPARENT, 'PNG'), BGR),
        (encoded(TRANSPARENT.convert('LA'), 'PNG'), np.dstack([GREY] * 3)),
        (encoded(PICTURE.quantize(2), 'PNG'), BGR),
        (encoded(PICTURE.quantize(2), 'GIF'), BGR),
        (encoded(PICTURE.convert('CMYK'), 'JPEG', quality=100, subsampling=0), BGR),
        (encoded(PICTURE.convert('CMYK'), 'TIFF'), BGR),
        (encoded(PICTURE, 'WEBP', lossless=True), BGR),
        (cv2.imencode('.png', BGR.astype(np.uint16) * 257)[1].tobytes(), BGR),
        (cv2.imencode('.tiff', BGR.astype(np.uint16) * 257)[1].tobytes(), BGR),
        (encoded(Image.fromarray(GREY.astype(np.uint16) * 257), 'PNG'), np.dstack([GREY] * 3)),
    ],
    ids=[
        *('png', 'jpeg', 'grey', 'rgba', 'grey-alpha', 'palette', 'gif', 'cmyk-jpeg', 'cmyk-tiff'),
        *('webp', 'png16', 'tiff16', 'grey16'),
    ],
)
def test_every_kind_of_picture_has_the_colours_that_a_viewer_shows(content, expected):
    image = decode_image(content, 'x')
    assert (image.dtype, image.shape, image.flags['C_CONTIGUOUS']) == (np.uint8, (20, 30, 3), True)
    assert np.abs(image.astype(int) - expected)[2:-2, 2:12].max() <= 3
    assert np.abs(image.astype(int) - expected)[12:-2, 18:-2].max() <= 3


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF'])
@pytest.mark.parametrize(
    ('orientation', 'turned'),
    [(3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1)), (8, np.rot90)],
)
def test_pictures_are_turned_as_their_exif_data_say(kind, orientation, turned):
    lossless = {'WEBP': dict(lossless=True), 'JPEG': dict(quality=100, subsampling=0)}
    content = encoded(PICTURE, kind, exif=with_orientation(orientation), **lossless.get(kind, {}))
    image, expected = decode_image(content, 'x'), turned(BGR)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 3


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        (np.array([[0, 2048, 4095]], np.uint16), [0, 128, 255]),  # a 12-bit camera
        (np.array([[0, 512, 1000]], np.uint16), [0, 128, 249]),  # 10 bits
        (np.array([[0, 100, 255]], np.uint16), [0, 100, 255]),  # 8 bits in 16
        (np.array([[0, 257, 65535]], np.uint16), [0, 1, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[-5.0, np.nan, 255.0]], np.float32), [0, 0, 255]),
        (np.array([[False, True, True]]), [0, 255, 255]),
        (np.array([[0, 0, 0]], np.uint16), [0, 0, 0]),
    ],
)
def test_more_than_8_bits_are_scaled_by_the_range_they_use(values, expected):
    assert to_bgr(values)[0, :, 0].tolist() == expected


@pytest.mark.parametrize('shape', [(4,), (4, 6, 2), (0, 6, 3), (2, 4, 6, 3)])
def test_an_array_of_another_shape_gets_a_sentence(shape):
    with pytest.raises(ValueError, match=re.escape(f'has shape {shape}; expected an image')):
        to_bgr(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        (encoded(PICTURE, 'JPEG')[:-200], 'is truncated'),
        (encoded(PICTURE, 'PNG')[:-20], 'is truncated'),
        (b'', r'x \(0 bytes\) cannot be decoded as an image'),
        (b'hello', r'x \(5 bytes\) cannot be decoded as an image'),
        (encoded(PICTURE, 'WEBP')[:40], 'cannot be decoded as an image'),
        (encoded(PICTURE, 'BMP')[:60], 'cannot be decoded as an image'),
    ],
)
def test_what_is_no_whole_picture_is_refused(content, sentence):
    with pytest.raises(ValueError, match=sentence):
        decode_image(content, 'x')


def test_a_video_gives_its_frames_with_rate_and_number(tmp_path):
    source = open_frames(write_video(tmp_path / 'clip.mp4', 20, 12.5))
    assert source.total == 20
    frames = list(source.frames)
    assert [frame.name for frame in frames] == [f'clip.mp4/{i:06d}' for i in range(20)]
    assert [frame.index for frame in frames] == list(range(20))
    assert {(frame.video.name, frame.video.fps) for frame in frames} == {('clip.mp4', 12.5)}
    assert [round(frame.load().mean() / 10) for frame in frames] == list(range(20))


def test_a_damaged_frame_of_a_video_is_named_and_the_rest_is_read(tmp_path):
    path = write_video(tmp_path / 'clip.avi', codec='MJPG')
    content = bytearray(path.read_bytes())
    fifth = [found.start() for found in re.finditer(b'00dc', bytes(content))][5]
    content[fifth + 8 : fifth + 200] = bytes(192)
    path.write_bytes(content)
    found = reasons(open_frames(path))
    assert len(found) == 1
    (name, sentence), *_ = found.items()
    assert re.fullmatch(r'clip.avi/00000[45]', name)
    assert re.match(rf'frame [45] of {path} cannot be decoded', sentence)


def test_a_video_that_ends_early_says_so_after_the_frames_it_has(tmp_path):
    path = write_video(tmp_path / 'clip.avi', codec='MJPG')
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])
    source = open_frames(path)
    frames = list(source.frames)
    whole = [frame for frame in frames if frame.video and frame.name != 'clip.avi']
    assert 0 < len(whole) < 20
    sentence = f'{path} ended after {len(whole)} frames of the 20 that it announces'
    assert reasons(open_frames(path))['clip.avi'].startswith(sentence)


def test_a_file_that_is_no_video_is_one_unreadable_frame(tmp_path):
    (tmp_path / 'clip.mp4').write_text('hello')
    found = reasons(open_frames(tmp_path / 'clip.mp4'))
    assert found == {
        'clip.mp4': f'{tmp_path}/clip.mp4 (5 bytes) cannot be opened as a video: copy or convert the '
        'file again.'
    }


def test_a_camera_that_is_not_there_is_one_unreadable_frame():
    source = open_frames('97')
    assert (source.live, source.total) == (True, None)
    (name, sentence), *_ = reasons(source).items()
    assert name == 'camera_97'
    assert sentence.startswith('camera 97 cannot be opened (')


def test_the_password_of_a_stream_is_never_shown():
    source = open_frames('rtsp://me:secret@127.0.0.1:1/live/one')
    assert source.live
    found = reasons(source)
    assert found == {
        '127.0.0.1_live_one': 'rtsp://127.0.0.1:1/live/one cannot be opened: correct the address, or '
        'see whether it answers.'
    }


def test_a_file_named_like_a_camera_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / 'x.png').rename('0')
    frame, *_ = open_frames('0').frames
    assert (frame.name, frame.load().shape) == ('0', (8, 12, 3))


def test_a_list_may_hold_addresses(tmp_path):
    (tmp_path / 'list.txt').write_text('http://127.0.0.1:1/a.jpg\n')
    source = open_frames(tmp_path / 'list.txt')
    assert (source.live, source.total) == (False, 1)
    assert list(reasons(source)) == ['127.0.0.1_a.jpg']
