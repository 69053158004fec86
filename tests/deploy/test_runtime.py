"""Exported models run without torch and find what torch finds."""

import json
import subprocess
import sys

import cv2
import numpy as np
import onnx
import pytest
from mmdet.datasets.transforms import Pad, Resize

from mmdet_ext.apis.infer import infer
from mmdet_ext.apis.inferencer import ParkingSlotInferencer
from mmdet_ext.apis.torch_engine import TorchEngine, find_model
from mmdet_ext.deploy.file_format import ExportedModel
from mmdet_ext.deploy.runtime import OnnxEngine, Prepared


@pytest.fixture(scope='module')
def engine(exported):
    return OnnxEngine(exported, threads=1)


def run(code, *args):
    """Run code in a fresh interpreter; what it prints."""
    command = [sys.executable, '-W', 'ignore', '-c', code, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def changed(exported, path, **metadata):
    """A copy of a file that says other things of itself."""
    model = onnx.load(str(exported))
    known = {prop.key: prop.value for prop in model.metadata_props}
    onnx.helper.set_model_props(model, known | metadata)
    onnx.save(model, str(path))
    return path


def test_slots_and_points_are_those_of_torch_in_images_of_any_size(engine, scenes):
    torch_engine = TorchEngine.load(*find_model(None, None), device='cpu')
    for image in scenes:
        ours = engine(image)[0].above(0.1)
        theirs = torch_engine.predict([torch_engine.prepare(image)])[0].above(0.1)
        assert len(ours.scores) == len(theirs.scores)
        for name, tolerance in dict(
            corners=0.05, points=0.05, scores=1e-4, point_scores=1e-4, occupied_scores=1e-4
        ).items():
            np.testing.assert_allclose(
                getattr(ours, name), getattr(theirs, name), atol=tolerance, err_msg=name
            )
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        np.testing.assert_array_equal(ours.shapes, theirs.shapes)
        np.testing.assert_allclose(ours.directions, theirs.directions, atol=1e-3)
    assert len(ours.scores) > 0


def test_a_batch_of_several_sizes_gives_what_single_images_give(engine, scenes):
    together = engine([*scenes, scenes[0]])
    for one, image in zip(together, [*scenes, scenes[0]], strict=True):
        alone = engine(image)[0]
        np.testing.assert_allclose(one.corners, alone.corners, atol=1e-3)
        np.testing.assert_allclose(one.scores, alone.scores, atol=1e-5)


def test_an_inferencer_runs_it_in_threads(engine, scenes):
    found = ParkingSlotInferencer(engine=engine)(scenes, score_thr=0.3)['predictions']
    for one, image in zip(found, scenes, strict=True):
        np.testing.assert_allclose(one.corners, engine(image)[0].above(0.3).corners, atol=1e-3)


def test_infer_writes_the_same_files_as_with_torch(exported, scenes, tmp_path):
    cv2.imwrite(str(tmp_path / '0.png'), scenes[1])
    picture, written = str(tmp_path / '0.png'), []
    for name, checkpoint in (('onnx', str(exported)), ('torch', None)):
        infer(picture, checkpoint=checkpoint, out_dir=str(tmp_path / name), device='cpu')
        written.append(json.loads((tmp_path / name / 'predictions.json').read_text()))
        assert (tmp_path / name / 'pictures/0.png').is_file()
    ours, theirs = written
    assert list(ours) == list(theirs)
    assert len(ours['annotations']) == len(theirs['annotations']) > 0
    for one, other in zip(ours['annotations'], theirs['annotations'], strict=True):
        assert list(one) == list(other)
        np.testing.assert_allclose(one['keypoints'], other['keypoints'], atol=0.05)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(backend='tensorrt'), "the backend is 'tensorrt'; expected 'torch' or 'onnx'"),
        (dict(backend='torch', checkpoint='x.onnx'), r'x\.onnx is for the backend onnx'),
        (dict(backend='onnx'), r'needs a file that tools/export\.py wrote'),
        (dict(checkpoint='x.onnx', config='x.py'), 'leave out config, amp and device'),
        (dict(checkpoint='x.onnx', device='cuda'), 'leave out config, amp and device'),
    ],
)
def test_a_backend_that_does_not_fit_is_told(scenes, tmp_path, options, message):
    cv2.imwrite(str(tmp_path / '0.png'), scenes[1])
    with pytest.raises(ValueError, match=message):
        infer(str(tmp_path / '0.png'), out_dir=str(tmp_path / 'out'), **options)


def test_positions_go_back_through_the_letterbox():
    image = Prepared(
        np.zeros((4, 4, 3), np.uint8), 40, 20, factor=(0.1, 0.05), offset=(-0.45, 0.55)
    )
    np.testing.assert_allclose(image.back(np.array([[1.55, 1.55]])), [[20, 20]], rtol=1e-6)


@pytest.mark.parametrize('keep_ratio', [True, False])
def test_images_of_stock_detectors_are_placed_as_mmdet_does(exported, tmp_path, keep_ratio):
    placement = '"top_left"' if keep_ratio else '"stretch"'
    said = {'mmdet_ext.placement': placement, 'mmdet_ext.padding': '[1, 2, 3]'}
    engine = OnnxEngine(changed(exported, tmp_path / 'x.onnx', **said))
    image = np.random.default_rng(0).integers(0, 256, (102, 203, 3), dtype=np.uint8)
    results = Resize(scale=(320, 320), keep_ratio=keep_ratio)(dict(img=image.copy()))
    results = Pad(size=(320, 320), pad_val=dict(img=(1, 2, 3)))(results)
    prepared = engine.prepare(image)
    np.testing.assert_array_equal(prepared.pixels, results['img'])
    np.testing.assert_allclose(prepared.factor, results['scale_factor'])
    box = np.array([[50.0, 20, 150, 90]]) * np.tile(results['scale_factor'], 2)
    np.testing.assert_allclose(
        prepared.back(box.reshape(-1, 2, 2)), [[[50, 20], [150, 90]]], rtol=1e-6
    )


def test_slots_entered_from_outside_the_image_are_none(engine):
    width, height = 100, 60
    inside = [[0, 0], [100, 0], [50, -90], [0, -90]]
    outside = [[0, 0], [101, 0], [50, 50], [0, 50]]  # 0.5 px, 5 of 600, are let pass
    outputs = [
        np.array([inside, outside], np.float32),
        np.array([0, 1]),
        np.array([0.9, 0.8], np.float32),
        np.array([0.5, 0.5], np.float32),
        np.zeros((0, 2), np.float32),
        np.zeros(0, np.float32),
        np.zeros((0, 2), np.float32),
        np.zeros(0, int),
    ]
    found = engine.finish(outputs, Prepared(np.zeros((1, 1, 3), np.uint8), width, height))
    np.testing.assert_array_equal(found.labels, [0])


def test_neither_torch_nor_mmdet_is_imported(exported):
    code = (
        'import sys; from mmdet_ext.deploy.runtime import OnnxEngine; import numpy; '
        'OnnxEngine(sys.argv[1])(numpy.zeros((9, 9, 3), "u1")); '
        'import mmdet_ext.apis.infer, mmdet_ext.apis.inferencer; '
        'print({"torch", "mmdet", "mmcv", "mmengine"} & set(sys.modules))'
    )
    assert run(code, exported).strip() == 'set()'


def test_import_load_and_the_first_result_take_less_than_a_second(exported):
    code = (
        'import time; start = time.perf_counter(); import sys, numpy; '
        'from mmdet_ext.deploy.runtime import OnnxEngine; '
        'OnnxEngine(sys.argv[1])(numpy.zeros((512, 512, 3), "u1")); '
        'print(time.perf_counter() - start)'
    )
    assert min(float(run(code, exported)) for _ in range(3)) < 1


@pytest.mark.parametrize(
    ('image', 'message'),
    [
        (np.zeros((4, 4, 3)), 'float64 of shape'),
        (np.zeros((4, 4), np.uint8), 'an image is'),
        (np.zeros((4, 4, 4), np.uint8), r'\(4, 4, 4\)'),
        (np.zeros((0, 4, 3), np.uint8), r'\(0, 4, 3\)'),
        ('picture.jpg', 'an image is str'),
    ],
)
def test_an_image_of_another_type_or_shape_is_told(engine, image, message):
    with pytest.raises(ValueError, match=message):
        engine([image])


def test_a_file_that_cannot_be_used_is_told(exported, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r'no file .*x\.onnx: tools/export\.py writes one'):
        OnnxEngine(tmp_path / 'x.onnx')
    (tmp_path / 'x.onnx').write_bytes(b'no model')
    with pytest.raises(ValueError, match='cannot be opened as an ONNX file'):
        OnnxEngine(tmp_path / 'x.onnx')
    onnx.save(onnx.parser.parse_model(FOREIGN), str(tmp_path / 'x.onnx'))
    with pytest.raises(ValueError, match='says nothing of where it comes from'):
        OnnxEngine(tmp_path / 'x.onnx')
    other = changed(exported, tmp_path / 'y.onnx', **{'mmdet_ext.format_version': '7'})
    with pytest.raises(ValueError, match='is in format 7, but this runtime reads format 1'):
        OnnxEngine(other)
    raw = changed(exported, tmp_path / 'z.onnx', **{'mmdet_ext.kind': '"raw"'})
    with pytest.raises(ValueError, match='decodes nothing: export without --raw'):
        OnnxEngine(raw)
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(ImportError, match=r"pip install 'mmdet_ext\[deploy\]'"):
        OnnxEngine(exported)


def test_a_description_survives_the_file():
    said = ExportedModel(
        'parking_slots', ('a',), [(1, 2, 3)], None, (8, 4), 0.1, label_kinds=('x',)
    )
    read = ExportedModel.from_metadata(said.to_metadata(), 'x.onnx')
    assert (read.classes, read.input_size, read.network_size) == (['a'], None, [8, 4])
    assert (read.score_threshold, read.label_kinds, read.precision) == (0.1, ['x'], 'fp32')


FOREIGN = """
<ir_version: 8, opset_import: ["" : 17]>
agraph (float[N] x) => (float[N] y) { y = Relu(x) }
"""


@pytest.fixture
def boxes_engine(monkeypatch, exported, tmp_path):
    """Of a file that says that it finds boxes; it finds one in each image."""
    said = {'mmdet_ext.kind': '"boxes"', 'mmdet_ext.score_threshold': '0.0'}
    found = np.array([[[8, 8, 40, 24.0]]]), np.array([[0.75]]), np.array([[2]])
    monkeypatch.setattr(OnnxEngine, 'run', lambda self, images: list(found))
    return OnnxEngine(changed(exported, tmp_path / 'boxes.onnx', **said))


def test_infer_lists_and_draws_the_boxes_of_exported_detectors(boxes_engine, tmp_path):
    cv2.imwrite(str(tmp_path / '0.png'), np.full((160, 320, 3), 128, np.uint8))
    done = infer(
        str(tmp_path / '0.png'),
        checkpoint=str(tmp_path / 'boxes.onnx'),
        out_dir=str(tmp_path / 'out'),
    )
    assert (done.frames, done.found, done.kind) == (1, 1, 'boxes')
    listed = json.loads((tmp_path / 'out/predictions.json').read_text())['0.png']
    prepared = boxes_engine.prepare(np.full((160, 320, 3), 128, np.uint8))
    expected = prepared.back(np.array([[8, 8], [40, 24.0]])).clip(0).reshape(-1)
    np.testing.assert_allclose(listed['bboxes'], [expected], atol=1e-4)
    assert (listed['scores'], listed['labels']) == ([0.75], [2])
    drawn = cv2.imread(str(tmp_path / 'out/pictures/0.png'))
    colour = np.array(boxes_engine.palette[2][::-1])
    left, _, _, bottom = expected.round().astype(int)
    assert (drawn[min(bottom, 159), left + 2] == colour).all() or (drawn[:, left] == colour).all(
        -1
    ).any()
    nothing = infer(
        str(tmp_path / '0.png'),
        checkpoint=str(tmp_path / 'boxes.onnx'),
        out_dir=str(tmp_path / 'out'),
        score_thr=0.8,
    )
    assert nothing.found == 0
