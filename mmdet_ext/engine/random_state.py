"""The states of all random number generators of a process, in plain values and tensors."""

import random
from typing import Any

import numpy as np
import torch


def capture_random_state() -> dict[str, Any]:
    """Read the states of Python's, NumPy's and torch's generators.

    Returns:
        Tensors and plain values only, so that a checkpoint with them loads with ``weights_only``.
    """
    kind, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002 (it is what transforms draw from)
    return {
        'python': random.getstate(),
        'numpy': (kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached),
        'torch': torch.get_rng_state(),
        'cuda': torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Go on with states of :func:`capture_random_state`.

    Args:
        state: Of the same process, or of one like it.
    """
    version, keys, gauss = state['python']
    random.setstate((version, tuple(keys), gauss))
    kind, keys, *rest = state['numpy']
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))  # noqa: NPY002 (likewise)
    torch.set_rng_state(state['torch'].cpu())
    if len(state['cuda']) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([one.cpu() for one in state['cuda']])


def seed_for_sample(seed: int, epoch: int, index: int) -> None:
    """Seed Python's, NumPy's and torch's CPU generators for one sample.

    Args:
        seed: Of the run.
        epoch: Counted from 0.
        index: Of the sample in its dataset.
    """
    words = np.random.SeedSequence([seed, epoch, index]).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words[1])  # noqa: NPY002 (likewise)
    # torch.manual_seed would look for GPUs, too, each time.
    torch.default_generator.manual_seed(int(words[2]) << 32 | int(words[3]))
