"""Columnar files: what is written is what is read, whatever the source looks like."""

import io
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_ext.datasets.columnar import arrow_file, json_members
from mmdet_ext.datasets.columnar.arrow_file import ArrowFile, write_rows
from mmdet_ext.datasets.columnar.coco import write_coco
from mmdet_ext.datasets.columnar.convert import Conversion, convert_json
from mmdet_ext.datasets.columnar.json_members import iterate_members
from mmdet_ext.datasets.columnar.synthetic_coco import write_synthetic_coco

CATEGORIES = [dict(id=1, name='car')]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(arrow_file, 'BATCH_ROWS', 3)
    monkeypatch.setattr(arrow_file, 'OPEN_BATCHES', 2)


def image(index, **changes):
    return dict(id=index, file_name=f'{index}.jpg', width=64, height=48) | changes


def box(index, image_id, **changes):
    area = dict(bbox=[1, 2, 30.5, 4], area=122)
    return dict(id=index, image_id=image_id, category_id=1, **area) | changes


def coco(tmp_path, images=(), annotations=(), **more):
    path = tmp_path / 'source.json'
    content = dict(images=list(images), annotations=list(annotations), categories=CATEGORIES)
    path.write_text(json.dumps(content | more))
    return path


def rows_of(path):
    file = ArrowFile(path)
    return [file.row(i) for i in range(len(file))]


def convert(source):
    target = source.with_suffix('.arrow')
    return convert_json(source, target), rows_of(target)


# ---- rows


@pytest.mark.parametrize('count', [0, 1, 2, 3, 4, 6, 7, 20])
def test_rows_are_read_as_written_at_every_batch_boundary(tmp_path, count):
    rows = [{'name': f'ä{i}', 'xy': [[i, j] for j in range(i % 4)]} for i in range(count)]
    columns = {'name': pa.string(), 'xy': pa.list_(pa.list_(pa.int64(), 2))}
    assert write_rows(tmp_path / 'a.arrow', rows, columns, {'kind': 'test'}) == count
    found = rows_of(tmp_path / 'a.arrow')
    assert [{'name': row['name'], 'xy': row['xy'].tolist()} for row in found] == rows
    assert all(row['xy'].shape == (i % 4, 2) for i, row in enumerate(found))


def test_an_array_that_was_read_can_be_changed_without_changing_the_file(tmp_path):
    write_rows(tmp_path / 'a.arrow', [{'x': [1.0, 2]}], {'x': pa.list_(pa.float64())}, {})
    file = ArrowFile(tmp_path / 'a.arrow')
    file.row(0)['x'][:] = 9
    np.testing.assert_array_equal(file.row(0)['x'], [1, 2])


def test_reading_copies_no_batch_into_memory(tmp_path):
    columns = {'x': pa.list_(pa.float64())}
    write_rows(tmp_path / 'a.arrow', ({'x': [0.5] * 1000} for _ in range(50)), columns, {})
    before = pa.total_allocated_bytes()
    file = ArrowFile(tmp_path / 'a.arrow')
    assert sum(file.row(i)['x'].sum() for i in range(50)) == 25_000
    assert pa.total_allocated_bytes() == before


def test_no_more_batches_stay_open_than_allowed(tmp_path):
    write_rows(tmp_path / 'a.arrow', ({'x': i} for i in range(30)), {'x': pa.int64()}, {})
    file = ArrowFile(tmp_path / 'a.arrow')
    assert [file.row(i)['x'] for i in (29, 0, 15, 3, 29)] == [29, 0, 15, 3, 29]
    assert file._opened().columns_of.cache_info().currsize == 2


def test_a_source_that_fails_half_way_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / 'a.arrow'
    write_rows(path, [{'x': 1}], {'x': pa.int64()}, {})

    def failing():
        for i in range(10):
            yield {'x': i}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rows(path, failing(), {'x': pa.int64()}, {})
    assert [row['x'] for row in rows_of(path)] == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_value_of_another_type_is_named_with_its_column_and_images(tmp_path):
    rows = [{'x': 1}] * 4 + [{'x': 'one'}]
    with pytest.raises(
        ValueError, match=r'a\.arrow: a value of `x` in the images 3 to 4 is not .* int64'
    ):
        write_rows(tmp_path / 'a.arrow', rows, {'x': pa.int64()}, {})


@pytest.mark.parametrize('content', [b'', b'{"images": []}', b'ARROW1\0\0 cut off'])
def test_any_other_file_is_refused_with_the_command_that_makes_one(tmp_path, content):
    path = tmp_path / 'a.arrow'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'not a \(whole\) columnar .*to_columnar\.py'):
        len(ArrowFile(path))


def test_an_arrow_file_of_something_else_is_refused(tmp_path):
    table = pa.table({'x': [1]})
    with pa.ipc.new_file(str(tmp_path / 'a.arrow'), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ValueError, match=r'not a .* columnar annotation file'):
        len(ArrowFile(tmp_path / 'a.arrow'))


def test_a_file_of_a_later_version_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as later:
        later.setattr(arrow_file, '_VERSION', 2)
        write_rows(tmp_path / 'a.arrow', [], {'x': pa.int64()}, {})
    with pytest.raises(ValueError, match=r'of version 2, this mmdet_ext reads version 1'):
        len(ArrowFile(tmp_path / 'a.arrow'))


# ---- JSON

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=100)
@given(
    content=st.dictionaries(st.text(max_size=3), VALUES, max_size=4),
    chunk=st.integers(1, 40),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 2]),
)
def test_members_and_where_they_lie_do_not_depend_on_how_the_file_is_cut(
    content, chunk, ascii_only, indent
):
    data = json.dumps(content, ensure_ascii=ascii_only, indent=indent).encode()
    expected = []
    for key, value in content.items():
        expected += [(key, entry) for entry in (value if isinstance(value, list) else [value])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_members, 'CHUNK_BYTES', chunk)
        found = list(iterate_members(io.BytesIO(data), 'a.json'))
    assert [(member.key, member.value) for member in found] == expected
    lying = [json.loads(data[m.start : m.start + m.length]) for m in found]
    assert lying == [member.value for member in found]


@pytest.mark.parametrize(
    ('text', 'problem'),
    [
        ('', 'expected a COCO object'),
        ('[{"id": 1}]', 'expected a COCO object'),
        ('{"images": [{"id": 1}', 'at byte 12 .the file ends too early'),
        ('{"images": [{"id": 1} {"id": 2}]}', "at byte 22 .*expected a comma or ']'"),
        ('{"images": [{"id": }]}', 'not valid JSON at byte 12 .*Expecting value'),
        ('{"images"}', 'expected a colon'),
    ],
)
def test_a_broken_json_file_is_refused_with_the_place(tmp_path, text, problem):
    path = tmp_path / 'a.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=problem):
        convert_json(path, tmp_path / 'a.arrow')
    assert not (tmp_path / 'a.arrow').exists()


# ---- COCO


def test_annotations_in_any_order_come_with_their_image_in_the_order_of_the_file(tmp_path):
    annotations = [box(i, image_id, area=i) for i, image_id in enumerate([7, 5, 7, 9, 5])]
    done, rows = convert(coco(tmp_path, [image(9), image(5), image(6), image(7)], annotations))
    assert done == Conversion('coco', images=4, left_out=0)
    assert [row['id'] for row in rows] == [9, 5, 6, 7]
    assert [row['area'].tolist() for row in rows] == [[3], [1, 4], [], [0, 2]]


def test_annotations_without_an_image_are_counted(tmp_path):
    done, rows = convert(coco(tmp_path, [image(1)], [box(0, 1), box(1, 2), box(2, 3)]))
    assert done.left_out == 2
    assert len(rows[0]['area']) == 1


def test_images_without_an_annotation_list_are_images_without_boxes(tmp_path):
    path = coco(tmp_path)
    path.write_text(json.dumps(dict(categories=CATEGORIES, images=[image(1)])))
    assert convert(path)[1][0]['bbox'].shape == (0, 4)


def test_ids_may_be_strings(tmp_path):
    done, rows = convert(coco(tmp_path, [image('ä'), image('b')], [box(0, 'b'), box(1, 'ä')]))
    assert [row['id'] for row in rows] == ['ä', 'b']
    assert done.left_out == 0


@pytest.mark.parametrize(
    ('images', 'annotations', 'sentence'),
    [
        ([], [], r'found 0 `images` and 1 `categories`'),
        ([image(1), image(2), image(2)], [], '2 images have the id 2; give each'),
        ([image(1), image('2')], [], r"images\[1\] has id '2'; expected integers throughout"),
        ([image(None)], [], r'images\[0\] has id None'),
        ([image(1)], [box(0, '1')], 'of the images is of type int64, .* string; write both'),
        ([image(1)], [7], r'annotations\[0\] has image_id None'),
        ([image(1, width='64')], [], "id 1 has width '64'; expected an integer"),
        ([image(1, height=0.5)], [], 'id 1 has height 0.5; expected an integer'),
        ([image(1)], [box(3, 1, bbox=[1, 2, 3])], r'id 3 has bbox \[1, 2, 3\]; expected \[x, y'),
        ([image(1)], [box(3, 1, area=None)], 'id 3 has area None; expected a number'),
        ([image(1)], [box(3, 1, category_id='car')], "id 3 has category_id 'car'"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, images, annotations, sentence):
    with pytest.raises(ValueError, match=rf'source\.json.*{sentence}'):
        convert(coco(tmp_path, images, annotations))


def test_records_need_no_json(tmp_path):
    records = ((image(i), [box(k, i) for k in range(i)]) for i in range(5))
    assert write_coco(tmp_path / 'a.arrow', records, CATEGORIES) == 5
    assert [len(row['bbox']) for row in rows_of(tmp_path / 'a.arrow')] == [0, 1, 2, 3, 4]


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no\.json not found'):
        convert_json(tmp_path / 'no.json', tmp_path / 'a.arrow')


def test_synthetic_annotations_have_the_boxes_asked_for(tmp_path):
    write_synthetic_coco(tmp_path / 'a.json', images=400, boxes=3)
    counts = [len(row['bbox']) for row in convert(tmp_path / 'a.json')[1]]
    assert len(counts) == 400
    assert set(counts) == set(range(7))
    assert np.mean(counts) == pytest.approx(3, abs=4 * 2 / 20)  # a uniform 0..6 spreads by 2
