"""Memory of a forward pass against sums by hand."""

import torch
from torch import nn

from mmdet_ext.apis.model_info.memory import ALIVE, measure_memory

PLANE = 16 * 16 * 4  # bytes of one channel


def test_a_chain_needs_the_two_largest_neighbours():
    chain = nn.Sequential(*(nn.Conv2d(i, o, 1, bias=False) for i, o in ((1, 2), (2, 8), (8, 5))))
    memory = measure_memory(chain.eval(), torch.zeros(1, 1, 16, 16))
    assert memory.peak_activations == (8 + 5) * PLANE
    assert memory.inputs == PLANE
    assert memory.parameters == (2 + 16 + 40) * 4
    assert (memory.buffers, memory.method) == (0, ALIVE)


def test_an_operator_in_place_needs_nothing():
    model = nn.Sequential(nn.Conv2d(1, 6, 1), nn.ReLU(inplace=True))
    assert measure_memory(model, torch.zeros(1, 1, 16, 16)).peak_activations == 6 * PLANE


def test_what_is_kept_for_later_stays():
    class Model(nn.Module):
        def forward(self, x):
            kept = x + 1
            for _ in range(3):
                x = x * 2
            return kept + x

    # At the end: `kept`, `x` and their sum.
    assert measure_memory(Model(), torch.zeros(1, 1, 16, 16)).peak_activations == 3 * PLANE


def test_buffers_are_beside_the_parameters():
    memory = measure_memory(nn.BatchNorm2d(3).eval(), torch.zeros(1, 3, 16, 16))
    assert memory.parameters == 2 * 3 * 4
    assert memory.buffers == 2 * 3 * 4 + 8  # means, variances and the number of batches
