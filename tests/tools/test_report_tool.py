"""tools/analysis/report.py and tools/test.py --report: what they pass on and what they answer."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import Dataset

from mmdet_ext.apis import evaluate
from mmdet_ext.apis.report import making

CONTENT = {
    'images': [dict(id=i, file_name=f'{i}.jpg', width=20, height=20) for i in (0, 1)],
    'categories': [dict(id=1, name='car'), dict(id=2, name='van')],
    'annotations': [
        dict(id=1, image_id=0, category_id=2, bbox=[0, 0, 10, 10], area=100, iscrowd=0),
        dict(id=2, image_id=1, category_id=2, bbox=[5, 5, 10, 10], area=100, iscrowd=0),
    ],
}
FOUND = dict(
    bboxes=torch.tensor([[0.0, 0, 10, 10]]), scores=torch.tensor([0.9]), labels=torch.tensor([0])
)


class ReportToyModel(BaseModel):
    """Finds the van of the first image, and it again in the second."""

    def __init__(self, data_preprocessor=None):
        super().__init__(data_preprocessor)
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return [dict(img_id=sample, pred_instances=dict(FOUND)) for sample in data_samples]


class ReportToyDataset(Dataset):
    """Two images of a COCO file, of whose two classes the model knows one."""

    metainfo = dict(classes=('bus', 'van'))

    def __init__(self, ann_file):
        self.ann_file = ann_file

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return {'inputs': torch.zeros(1), 'data_samples': index}


CONFIG = """
model = dict(type='ReportToyModel')
test_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ReportToyDataset', ann_file='{}'))
test_evaluator = []
"""


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    MODELS.register_module(module=ReportToyModel, force=True)
    DATASETS.register_module(module=ReportToyDataset, force=True)
    monkeypatch.setattr(making, 'report_plots', lambda inputs, figures: {})


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('ann.json').write_text(json.dumps(CONTENT))
    samples = [dict(img_id=i, pred_instances=dict(FOUND, labels=torch.tensor([1]))) for i in (0, 1)]
    Path('found.pkl').write_bytes(pickle.dumps(samples))
    return ['found.pkl', 'ann.json', 'out']


def results():
    return json.loads(Path('out/results.json').read_text())


def test_the_report_is_written_and_named(tool, files, capsys):
    tool('analysis/report').main(files)
    assert capsys.readouterr().out.splitlines()[-1] == 'out/report.html'
    assert results()['overall']['f1'] == 1 / 2
    assert Path('out/report.html').is_file()


def test_options_reach_the_report(tool, files):
    options = ['--iou-thr', '0.75', '--score-thr', '0.95', '--pictures', '0', '--title', 'Vans']
    tool('analysis/report').main([*files, *options])
    found = results()
    assert (found['iou_threshold'], found['score_threshold']) == (0.75, 0.95)
    assert found['overall']['recall'] == 0
    assert '<h1>Vans</h1>' in Path('out/report.html').read_text()


def test_a_mistake_ends_with_one_sentence(tool, files, error_of):
    main = tool('analysis/report').main
    assert 'none.pkl does not exist' in error_of(main, 'none.pkl', *files[1:])
    assert 'none.json does not exist' in error_of(main, files[0], 'none.json', 'out')
    assert 'has no classes' in error_of(main, *files, '--classes', 'bus')


@pytest.fixture
def checkpoint():
    torch.save({'state_dict': ReportToyModel().state_dict()}, 'model.pth')
    return 'model.pth'


def test_testing_with_a_report_writes_it_with_the_predictions(tool, config, files, checkpoint):
    tool('test').main([config(CONFIG.format('ann.json')), checkpoint, '--report', 'out'])
    assert len(pickle.loads(Path('out/predictions.pkl').read_bytes())) == 2
    found = results()
    assert [row['name'] for row in found['classes']] == ['van']  # the file has no bus
    assert (found['overall']['precision'], found['overall']['recall']) == (1 / 2, 1 / 2)
    assert '<h1>toy</h1>' in Path('out/report.html').read_text()


def test_predictions_go_where_out_says(config, files, checkpoint):
    evaluate(config(CONFIG.format('ann.json')), checkpoint, report='out', out='mine.pkl')
    assert Path('mine.pkl').is_file()
    assert not Path('out/predictions.pkl').exists()
    assert Path('out/report.html').is_file()


def test_data_that_are_not_coco_are_refused_before_the_test(
    tool, config, files, checkpoint, error_of
):
    name = config(CONFIG.format('list.txt'))
    sentence = error_of(tool('test').main, name, checkpoint, '--report', 'out')
    assert "ReportToyDataset with the annotation file 'list.txt'" in sentence
    assert not Path('out').exists()
