"""Target maps and peaks."""

import numpy as np
import pytest
import torch

from mmdet_ext.models.task_modules.dense_points import (
    assign_cells,
    cell_centres,
    find_peaks,
    gather_cells,
    suppress,
)


def assign(points, height=6, width=8, sigma=1.0, radius=1.5):
    points = torch.tensor(points, dtype=torch.float32).reshape(1, -1, 2)
    valid = torch.ones(1, points.shape[1], dtype=torch.bool)
    heat, supervised, index = assign_cells(points, valid, height, width, sigma, radius)
    return (t.reshape(height, width) for t in (heat, supervised, index))


def test_cells_are_row_major_with_centres_at_a_half():
    centres = cell_centres(2, 3, torch.zeros(()))
    assert centres.tolist()[:4] == [[0.5, 0.5], [1.5, 0.5], [2.5, 0.5], [0.5, 1.5]]


def test_confidence_is_one_in_the_cell_of_a_point_and_gaussian_elsewhere():
    heat, _, _ = assign([[3.2, 2.9]], sigma=0.8)
    for row in range(6):
        for column in range(8):
            squared = (column + 0.5 - 3.2) ** 2 + (row + 0.5 - 2.9) ** 2
            expected = 1.0 if (row, column) == (2, 3) else np.exp(-squared / (2 * 0.8**2))
            assert heat[row, column].item() == pytest.approx(expected, abs=1e-6)


def test_a_disc_around_each_point_is_supervised():
    _, supervised, _ = assign([[3.5, 2.5]], radius=1.0)
    assert supervised.nonzero().tolist() == [[1, 3], [2, 2], [2, 3], [2, 4], [3, 3]]


def test_every_cell_belongs_to_its_nearest_point():
    _, _, index = assign([[1.5, 2.5], [6.5, 2.5]])
    assert index[2].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_padding_is_no_point():
    points = torch.tensor([[[3.5, 2.5], [0.0, 0.0]]])
    heat, supervised, index = assign_cells(points, torch.tensor([[True, False]]), 6, 8, 1.0, 1.5)
    assert (heat == 1).sum() == 1
    assert (index == 0).all()
    assert not supervised[0, 0]


def test_images_without_points_have_no_positive_cell():
    heat, supervised, _ = assign_cells(
        torch.zeros(2, 0, 2), torch.zeros(2, 0).bool(), 3, 3, 1.0, 1.5
    )
    assert heat.sum() == 0
    assert not supervised.any()
    heat, supervised, _ = assign_cells(
        torch.zeros(2, 1, 2), torch.zeros(2, 1).bool(), 3, 3, 1.0, 1.5
    )
    assert heat.sum() == 0
    assert not supervised.any()


def test_peaks_are_local_maxima_in_descending_order():
    heat = torch.zeros(1, 1, 4, 6)
    heat[0, 0, 1, 1], heat[0, 0, 1, 2], heat[0, 0, 3, 5] = 0.6, 0.5, 0.9
    scores, index = find_peaks(heat, 3)
    assert scores[0].tolist() == pytest.approx([0.9, 0.6, 0.0])
    assert index[0, :2].tolist() == [3 * 6 + 5, 1 * 6 + 1]


def test_more_peaks_than_cells_may_be_asked_for():
    assert find_peaks(torch.rand(2, 1, 2, 2), 50)[0].shape == (2, 4)


def test_gathered_values_are_those_of_the_cells():
    maps = torch.arange(24.0).reshape(1, 2, 3, 4)
    assert gather_cells(maps, torch.tensor([[5, 0]])).tolist() == [[[5, 17], [0, 12]]]


def test_only_lower_scores_within_the_radius_are_suppressed():
    positions = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [20.0, 0.0]]])
    scores = torch.tensor([[0.9, 0.8, 0.7]])
    kept = suppress(scores, torch.cdist(positions, positions), radius=5.0)
    assert kept[0].tolist() == pytest.approx([0.9, 0.0, 0.7])
