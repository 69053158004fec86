"""Sinkhorn's plan against a linear programme and against the iteration as first written down."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from mmdet_ext.models.task_modules.assigners.optimal_transport import sinkhorn_plan


def problem(seed, suppliers=3, demanders=8):
    """Random costs, whole supplies that add up to a demand of 1 each."""
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.choice(np.arange(1, demanders), suppliers - 1, replace=False))
    supply = np.diff([0, *cuts, demanders]).astype(float)
    return rng.uniform(0, 5, (suppliers, demanders)), supply, np.ones(demanders)


def linear_programme(cost, supply, demand):
    rows = np.kron(np.eye(len(supply)), np.ones(len(demand)))
    columns = np.kron(np.ones(len(supply)), np.eye(len(demand)))
    found = linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=[*supply, *demand])
    return found.x.reshape(cost.shape)


def plain_sinkhorn(cost, supply, demand, epsilon, iterations):
    """Cuturi's scaling of a kernel, in float64, without logarithms."""
    kernel = np.exp(-cost / epsilon)
    column = np.ones(len(demand))
    for _ in range(iterations):
        row = supply / (kernel @ column)
        column = demand / (kernel.T @ row)
    return row[:, None] * kernel * column


def tensors(*arrays, dtype=torch.float32):
    return [torch.tensor(array, dtype=dtype) for array in arrays]


@pytest.mark.parametrize('seed', range(8))
def test_plan_becomes_that_of_the_linear_programme_as_epsilon_goes_to_0(seed):
    given = problem(seed)
    plan = sinkhorn_plan(*tensors(*given), epsilon=0.005, iterations=2000)
    np.testing.assert_allclose(plan, linear_programme(*given), atol=0.02)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('epsilon', [0.05, 0.5])
def test_plan_is_that_of_the_plain_iteration(seed, epsilon):
    given = problem(seed)
    plan = sinkhorn_plan(*tensors(*given, dtype=torch.float64), epsilon=epsilon, iterations=30)
    np.testing.assert_allclose(plan, plain_sinkhorn(*given, epsilon, 30), rtol=1e-9, atol=1e-12)


def test_columns_sum_to_the_demand_and_rows_to_the_supply():
    cost, supply, demand = problem(0, 5, 40)
    plan = sinkhorn_plan(*tensors(cost, supply, demand), epsilon=0.1, iterations=500)
    np.testing.assert_allclose(plan.sum(0), demand, atol=1e-5)
    np.testing.assert_allclose(plan.sum(1), supply, atol=1e-3)


def test_plan_is_right_where_the_plain_iteration_runs_out_of_range():
    cost, supply, demand = problem(1)
    cost = cost * 40  # exp(-200 / 0.05) is 0, even in float64
    plan = sinkhorn_plan(*tensors(cost, supply, demand), epsilon=0.05, iterations=2000)
    np.testing.assert_allclose(plan, linear_programme(cost, supply, demand), atol=0.02)


def test_half_precision_is_computed_in_float32():
    cost, supply, demand = problem(2)
    half = tensors(cost, supply, demand, dtype=torch.bfloat16)
    plan = sinkhorn_plan(*half, epsilon=0.1)
    assert plan.dtype == torch.float32
    torch.testing.assert_close(plan, sinkhorn_plan(*(each.float() for each in half)))


def test_supplier_of_nothing_supplies_nothing():
    cost, supply, demand = problem(3)
    supply = np.array([0.0, supply[0] + supply[1], supply[2]])
    plan = sinkhorn_plan(*tensors(cost, supply, demand))
    assert plan[0].tolist() == [0.0] * 8
    np.testing.assert_allclose(plan.sum(0), demand, atol=1e-5)
