"""Reading a folder of images without labels."""

import json

import pytest
from PIL import Image

from mmdet_ext.datasets.formats.convert import convert
from mmdet_ext.datasets.formats.image_folder import ImageFolderReader


def write_images(root, *names, size=(40, 20)):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', size).save(root / name)
    return root


def test_every_image_is_for_testing_and_has_no_label(tmp_path):
    root = write_images(tmp_path, 'b/2.PNG', 'a.jpg', 'a.png')
    (root / 'note.txt').touch()
    (root / '._a.jpg').touch()
    records = list(ImageFolderReader(root, classes='car'))
    assert [record.file_name for record in records] == ['a.jpg', 'a.png', 'b/2.PNG']
    assert {(r.width, r.height, r.split, len(r.boxes)) for r in records} == {(40, 20, 'test', 0)}


def test_the_converted_file_has_all_categories_of_the_model(tmp_path):
    write_images(tmp_path, 'in/a.jpg', 'in/b.jpg')
    (tmp_path / 'in/b.jpg').write_bytes(b'no image')
    options = {'classes': ['dog', 'cat']}
    table = convert('images', tmp_path / 'in', tmp_path / 'out', options=options, num_workers=1)
    content = json.loads((tmp_path / 'out/test.json').read_text())
    assert [c['name'] for c in content['categories']] == ['dog', 'cat']
    assert [i['file_name'] for i in content['images']] == ['../in/a.jpg']
    assert content['annotations'] == []
    assert '1 unreadable image (left out), first b.jpg' in table.caption


def test_missing_classes_are_one_clear_sentence(tmp_path):
    with pytest.raises(ValueError, match=r'give those of the model as the option `classes`'):
        list(ImageFolderReader(write_images(tmp_path, 'a.jpg')))


def test_a_folder_without_images_is_one_clear_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match='no image found'):
        list(ImageFolderReader(tmp_path, classes='car'))
