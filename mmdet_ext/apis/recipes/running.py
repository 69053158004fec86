"""Recipes tried: each builds, trains two iterations and validates."""

import shlex
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner
from mmengine.utils import ManagerMixin

from mmdet_ext.apis.run import build_runner, load_config
from mmdet_ext.utils.errors import explained_config_errors, sentence_of

from .shrinking import shrink
from .table import Table, is_config, recipe_files


@dataclass(frozen=True)
class Recipe:
    """A config of the table, perhaps with options.

    Attributes:
        name: Its path below the table's folder, and the options.
        config: The file.
        options: Values that override the config's, as on the command line.
    """

    name: str
    config: Path
    options: str = ''

    @property
    def needs_gpu(self) -> bool:
        """Whether its first line says so."""
        return 'needs a GPU' in self.config.read_text(encoding='utf-8').partition('\n')[0]


@dataclass(frozen=True)
class Trial:
    """What came of trying a recipe.

    Attributes:
        recipe: The recipe.
        seconds: How long it took.
        fault: What went wrong, in a sentence; None if nothing did.
        built_only: Whether it was not trained because there is no GPU.
    """

    recipe: Recipe
    seconds: float
    fault: str | None
    built_only: bool


def find_recipes(table: Table, folder: Path, only: Sequence[str] = ()) -> list[Recipe]:
    """List what the table offers: each file in ``recipes``, and each config with ``--cfg-options``.

    Args:
        table: The table.
        folder: That its links start from.
        only: Parts of names; by default all.

    Returns:
        The recipes in the order of their names.

    Raises:
        ValueError: No recipe has one of these parts in its name.
    """
    recipes = [Recipe(str(file.relative_to(folder)), file) for file in recipe_files(folder)]
    for row in table.rows:
        config = next((link for link in row.links if is_config(link)), None)
        recipes += [
            Recipe(f'{config} {options}', folder / str(config), options) for options in row.variants
        ]
    for part in only:
        if not any(part in recipe.name for recipe in recipes):
            raise ValueError(f'no recipe is called {part}: name a part of a path in {folder}.')
    chosen = [recipe for recipe in recipes if not only or any(part in recipe.name for part in only)]
    return sorted(chosen, key=lambda recipe: recipe.name)


def try_recipe(recipe: Recipe, data: Path, show_traceback: bool = False) -> Trial:
    """Build a recipe, train it for two iterations and validate.

    Args:
        recipe: The recipe.
        data: Folder of :func:`~mmdet_ext.apis.recipes.tiny_dataset.write_tiny_dataset`.
        show_traceback: Let an error through.

    Returns:
        What came of it.
    """
    begin, fault, built_only = time.perf_counter(), None, False
    with TemporaryDirectory() as work_dir, _by_itself():
        try:
            built_only = recipe.needs_gpu and not torch.cuda.is_available()
            _try(recipe, data, work_dir, built_only)
        except Exception as error:
            if show_traceback:
                raise
            fault = f'{type(error).__name__}: {sentence_of(error)}'
    return Trial(recipe, time.perf_counter() - begin, fault, built_only)


def _try(recipe: Recipe, data: Path, work_dir: str, built_only: bool) -> None:
    cfg = load_config(str(recipe.config), _parsed(recipe.options), work_dir)
    cfg.log_level = 'WARNING'
    shrink(cfg, data)
    with explained_config_errors(cfg):
        runner = build_runner(cfg)
        if built_only:
            return
        runner.train()
        if runner.iter < 2:
            raise ValueError(f'{runner.iter} iterations were trained: a recipe must do two.')


def _parsed(options: str) -> dict[str, Any]:
    pairs = (pair.partition('=') for pair in shlex.split(options))
    return {name: DictAction._parse_iterable(value) for name, _, value in pairs}


@contextmanager
def _by_itself() -> Iterator[None]:
    """As in a process of its own: with nothing that the recipe before left, and silent."""
    for manager in _subclasses(ManagerMixin):
        manager._instance_dict.clear()
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    said = StringIO()
    # Printing the config and the environment would take longer than all the rest.
    quick = mock.patch.object(Config, 'pretty_text', ''), mock.patch.object(Runner, '_log_env')
    with (
        quick[0],
        quick[1],
        warnings.catch_warnings(),
        redirect_stdout(said),
        redirect_stderr(said),
    ):
        warnings.simplefilter('ignore')
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)


def _subclasses(kind: type) -> Iterator[type]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)
