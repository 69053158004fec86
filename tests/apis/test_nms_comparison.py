"""The comparison of NMS variants: one pass of the detector, each variant on the same boxes."""

import json

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_ext.apis import nms_comparison
from mmdet_ext.apis.nms_comparison import NMSResult, compare_nms, comparison_table

CONFIG = 'ext/retinanet_parking_slots.py'


@pytest.fixture
def detections(monkeypatch, tmp_path):
    """One object, found well, found again a little off, and a box elsewhere; the number of passes."""
    passes = []
    annotation = dict(id=1, image_id=7, category_id=1, bbox=[10, 10, 50, 50], area=2500, iscrowd=0)
    truth = dict(
        images=[dict(id=7, width=200, height=200, file_name='a.jpg')],
        annotations=[annotation],
        categories=[dict(id=1, name='perpendicular')],
    )
    (tmp_path / 'val.json').write_text(json.dumps(truth))

    def detect(cfg, checkpoint, device):
        assert cfg.model.test_cfg.nms is None
        passes.append(checkpoint)
        sample = DetDataSample(metainfo=dict(img_id=7, ori_shape=(200, 200)))
        boxes = [[10, 10, 60, 60], [12, 10, 62, 60], [100, 100, 150, 150]]
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor(boxes).float(),
            scores=torch.tensor([0.9, 0.8, 0.3]),
            labels=torch.zeros(3, dtype=torch.int64),
        )
        return [sample], dict(classes=('perpendicular',))

    monkeypatch.setattr(nms_comparison, '_detect', detect)
    monkeypatch.setattr(nms_comparison, 'prepare_data', lambda cfg: None)
    options = {'test_evaluator.ann_file': str(tmp_path / 'val.json')}
    return lambda variants, **more: (
        compare_nms(CONFIG, 'a.pth', variants, cfg_options=options, **more),
        passes,
    )


def test_all_variants_get_the_boxes_of_one_pass(detections):
    results, passes = detections(['nms', 'weighted_nms', 'matrix_nms'])
    assert passes == ['a.pth']
    nms, weighted, matrix = results
    assert (nms.ap, nms.ap50, nms.ar, nms.boxes) == (1, 1, 1, 2)
    # The mean of the two boxes is off by 0.9 px: IoU 0.96, still above all of COCO's thresholds.
    assert (weighted.ap, weighted.boxes) == (1, 2)
    assert matrix.boxes == 3


def test_as_many_boxes_are_kept_as_asked_for_the_best_ones(detections):
    (nms,), _ = detections(['nms'], max_per_img=1)
    assert (nms.ap, nms.boxes) == (1, 1)


def test_a_higher_threshold_leaves_duplicates(detections):
    (nms,), _ = detections(['nms'], iou_threshold=0.95)
    assert nms.boxes == 3


def test_unknown_names_and_detectors_without_nms_are_said(detections):
    with pytest.raises(ValueError, match=r"'clusternms' is unknown \(did you mean cluster_nms"):
        detections(['clusternms'])
    with pytest.raises(
        ValueError, match=r'`test_evaluator` of ext/psd_yolo\.py must be one CocoMe'
    ):
        compare_nms('ext/psd_yolo.py', 'a.pth')


def test_the_table_has_a_row_for_each():
    table = comparison_table([NMSResult('nms', 0.5, 0.7, 0.6, 0.8, 12.34)])
    assert [next(iter(column.cells)) for column in table.columns] == [
        'nms',
        '0.500',
        '0.700',
        '0.600',
        '0.800',
        '12.3',
    ]
