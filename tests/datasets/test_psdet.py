"""Reading the PSDet strips."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mmdet_ext.datasets.formats.psdet import PSDetReader
from mmdet_ext.datasets.formats.reader import ReadReport


def point(x, y, name='01_key_point', deleted=0):
    return (
        f'<object><name>{name}</name><deleted>{deleted}</deleted>'
        f'<polygon><pt><x>{x}</x><y>{y}</y></pt></polygon></object>'
    )


def write_pair(image, label, objects='', jpg_size=(96, 300), label_size=(192, 600)):
    for path in (image, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', jpg_size).save(image)
    size = f'<imagesize><nrows>{label_size[1]}</nrows><ncols>{label_size[0]}</ncols></imagesize>'
    label.write_text(f'<annotation>{objects}{size}</annotation>')


@pytest.mark.parametrize(
    ('images', 'labels', 'group'),
    [
        ('Curve/seq_L', 'Curve/seq_L_xml', 'seq_L'),
        ('Curve/seq_L', 'Curve/seq_L', 'seq_L'),
        ('Curve/day/seq_L_images', 'Curve/day/seq_L_xml', 'seq_L'),
        ('Curve/garage_img', 'Curve/garage_xml_ori', 'garage'),
    ],
)
def test_every_folder_layout_is_read(tmp_path, images, labels, group):
    write_pair(tmp_path / images / '000007.jpg', tmp_path / labels / '000007.xml', point(50, 60))
    (record,) = PSDetReader(tmp_path)
    assert record.file_name == f'{images}/000007.jpg'
    assert (record.group, record.condition) == (group, 'Curve')
    assert len(record.points) == 1


def test_labels_are_carried_from_the_frame_of_the_xml_to_the_pixels_of_the_jpg(tmp_path):
    write_pair(tmp_path / 'a/1.jpg', tmp_path / 'a/1.xml', point(0, 0) + point(191, 599))
    (record,) = PSDetReader(tmp_path)
    # The area of label pixel 0 is the upper left quarter of jpg pixel 0, whose centre is (0, 0).
    np.testing.assert_allclose(record.points, [[-0.25, -0.25], [95.25, 299.25]])
    assert (record.width, record.height) == (96, 300)
    assert np.isnan(record.directions).all()
    assert record.shapes.tolist() == [-1, -1]


def test_names_with_space_and_underscore_are_key_points(tmp_path):
    objects = (
        point(1, 1, '01 key_point') + point(2, 2, '06_key_point') + point(3, 3, '04_key_point0')
    )
    write_pair(tmp_path / 'a/1.jpg', tmp_path / 'a/1.xml', objects)
    (record,) = PSDetReader(tmp_path)
    assert len(record.points) == 3


def test_what_is_left_out_is_counted_with_its_first_example(tmp_path):
    objects = point(1, 1) + point(1, 1, deleted=1) + point(1, 1, 'car') + point(193, 1)
    write_pair(tmp_path / 'Open/a/1.jpg', tmp_path / 'Open/a/1.xml', objects)
    write_pair(tmp_path / 'Open/a/2.jpg', tmp_path / 'Open/a/2.xml')
    write_pair(tmp_path / 'Open/a/3.jpg', tmp_path / 'Open/a/3.xml')
    (tmp_path / 'Open/a/3.xml').unlink()
    write_pair(tmp_path / 'Open/a/4.jpg', tmp_path / 'Open/a/4.xml')
    (tmp_path / 'Open/a/4.jpg').unlink()
    write_pair(tmp_path / 'Open/a/5.jpg', tmp_path / 'Open/a/5.xml', '<object>')
    write_pair(tmp_path / 'Open/a/6.jpg', tmp_path / 'Open/a/6.xml')
    (tmp_path / 'Open/a/6.jpg').write_bytes(b'no image')
    write_pair(tmp_path / 'Open/a/7.jpg', tmp_path / 'Open/a/7.xml', label_size=(0, 600))
    write_pair(tmp_path / 'Open/a/8.jpg', tmp_path / 'Open/a/8.xml', point('x', 1))
    report = ReadReport()
    records = list(PSDetReader(tmp_path).iterate(report))
    assert [len(record.points) for record in records] == [1, 0]
    assert report.counts == {
        'deleted object left out': 1,
        'object of another name left out': 1,
        'point outside the image left out': 1,
        'image without points (kept)': 1,
        'image without xml left out': 1,
        'xml without image left out': 1,
        'broken xml (image left out)': 1,
        'unreadable image (left out)': 1,
        'xml without a positive imagesize (image left out)': 1,
        'xml with a number that cannot be read (image left out)': 1,
    }
    assert report.by_condition['Open', 'unreadable image (left out)'] == 1
    assert 'Open/a/5.jpg' in report.examples['broken xml (image left out)']
    assert '2 key_point' not in str(report.lines())
    assert "1 object of another name left out, first a/1.xml ('car')" in report.lines()


def test_a_folder_without_strips_is_one_clear_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match='no folder with jpg files'):
        list(PSDetReader(tmp_path))


def paint_dots(path, points):
    image = Image.open(path)
    for x, y in points:
        ImageDraw.Draw(image).ellipse((x - 3, y - 3, x + 3, y + 3), fill=(0, 255, 0))
    image.save(path, quality=80)


def test_pictures_that_show_their_labels_are_left_out_unless_asked_for(tmp_path):
    for name in ('dots', 'clean'):
        image = tmp_path / f'Brick/a/{name}.jpg'
        write_pair(image, image.with_suffix('.xml'), point(60, 100) + point(100, 400))
    paint_dots(tmp_path / 'Brick/a/dots.jpg', [(30, 50), (50, 200)])
    report = ReadReport()
    assert [r.file_name for r in PSDetReader(tmp_path).iterate(report)] == ['Brick/a/clean.jpg']
    assert report.by_condition['Brick', 'labels painted into the picture (image left out)'] == 1
    assert len(list(PSDetReader(tmp_path, painted=True))) == 2


def test_green_elsewhere_is_no_painted_label(tmp_path):
    image = tmp_path / 'Grass/a/1.jpg'
    write_pair(image, image.with_suffix('.xml'), point(60, 100) + point(100, 400))
    paint_dots(image, [(10, 10), (80, 250), (30, 50)])  # one of them happens to be on a point
    assert len(list(PSDetReader(tmp_path))) == 1
