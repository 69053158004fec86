"""QualitySamplingAssigner: how many priors are drawn, which, and how often."""

import pytest
import torch
from mmengine.structures import InstanceData

from mmdet_ext.models.task_modules.assigners import QualitySamplingAssigner
from mmdet_ext.models.task_modules.assigners.quality_sampling_assigner import draw


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def logarithms(*probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).log()


def test_single_draws_are_as_frequent_as_they_are_likely():
    probabilities = [0.5, 0.3, 0.15, 0.05, 0.0]
    times = 20_000
    drawn = draw(logarithms(*probabilities)[:, None].expand(-1, times), torch.ones(times))
    assert drawn.sum(0).unique().tolist() == [1]
    assert drawn.double().mean(1).tolist() == pytest.approx(probabilities, abs=0.015)


def test_pairs_are_as_frequent_as_drawing_one_after_the_other_without_replacement():
    p = [0.5, 0.3, 0.2]
    times = 20_000
    drawn = draw(logarithms(*p)[:, None].expand(-1, times), torch.full((times,), 2))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        expected = p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j])
        assert (drawn[i] & drawn[j]).double().mean() == pytest.approx(expected, abs=0.015)


def test_each_object_draws_its_own_number_and_no_more_than_there_are():
    log = logarithms(0.2, 0.2, 0.2, 0.2, 0.2)[:, None].repeat(1, 3)
    log[2:, 2] = -torch.inf
    assert draw(log, torch.tensor([1, 4, 4])).sum(0).tolist() == [1, 4, 2]


def instances(boxes, truth):
    predicted = InstanceData(bboxes=torch.tensor(boxes).reshape(-1, 4))
    labels = torch.arange(len(truth)) + 5
    return predicted, InstanceData(bboxes=torch.tensor(truth).reshape(-1, 4), labels=labels)


def test_number_of_draws_is_the_sum_of_the_best_overlaps_of_what_may_be_drawn():
    truth = [[0.0, 0, 10, 10]]
    boxes = [truth[0]] * 3 + [[0.0, 0, 5, 10]] * 3 + [truth[0]] * 2  # IoU 1, 0.5, 1
    log = logarithms(*[1 / 6] * 6, 0, 0)[:, None]
    for topk, expected in ((2, 2), (4, 3), (20, 4)):
        assigner = QualitySamplingAssigner(candidate_topk=topk)
        result = assigner.assign(*instances(boxes, truth), log_probabilities=log)
        assert (result.gt_inds > 0).sum() == expected
        assert result.gt_inds[6:].tolist() == [0, 0]


def test_prior_that_several_draw_goes_to_the_one_for_which_it_is_likeliest():
    truth = [[0.0, 0, 10, 10], [0.0, 0, 10, 5]]
    log = logarithms([0.4, 0.0], [0.6, 1.0], [0.0, 0.0])
    boxes = [[0.0, 0, 10, 10]] * 3
    result = QualitySamplingAssigner().assign(*instances(boxes, truth), log_probabilities=log)
    assert result.gt_inds.tolist() == [1, 2, 0]
    assert result.labels.tolist() == [5, 6, -1]
    assert result.max_overlaps.tolist() == pytest.approx([1, 0.5, 0])


def test_no_objects_leave_background():
    result = QualitySamplingAssigner().assign(
        *instances([[0.0, 0, 1, 1]] * 4, []), log_probabilities=torch.zeros(4, 0)
    )
    assert result.gt_inds.tolist() == [0] * 4
    assert result.num_gts == 0
