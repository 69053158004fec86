"""All checks of the recipes, with what they find printed."""

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mmdet_ext.utils.configs import CONFIGS

from .faults import find_faults
from .running import Recipe, Trial, find_recipes, try_recipe
from .table import read_actions, read_table
from .tiny_dataset import write_tiny_dataset

_FOLDER = CONFIGS / 'ext'


def check_recipes(
    only: Sequence[str] = (), try_them: bool = True, show_traceback: bool = False
) -> list[str]:
    """Check the table and try the recipes, with a line for each.

    Args:
        only: Parts of the names of the recipes to try; the table is then left alone.
        try_them: Whether to try any.
        show_traceback: Let the first error of a recipe through.

    Returns:
        The faults, which have been printed.

    Raises:
        FileNotFoundError: The table is not there, as in an installed wheel.
        ValueError: No recipe has one of these parts in its name.
    """
    path = _FOLDER / 'README.md'
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist: check the recipes in a checkout.')
    table = read_table(path)
    recipes = find_recipes(table, _FOLDER, only) if try_them else []
    console = Console(file=sys.stdout, highlight=False)  # whatever recipes do to sys.stdout
    actions = read_actions(_FOLDER / 'recipes/rows.txt')
    faults = [] if only else find_faults(table, actions, _FOLDER)
    for fault in faults:
        console.print(f'[red]configs/ext/README.md: {escape(fault)}', soft_wrap=True)
    trials = _try_all(recipes, console, show_traceback)
    faults += [trial.fault for trial in trials if trial.fault]
    seconds = sum(trial.seconds for trial in trials)
    console.print(
        f'{len(table.rows)} rows, {len(recipes)} recipes tried in {seconds:.0f} s, {len(faults)} faults.'
    )
    return faults


def _try_all(recipes: Sequence[Recipe], console: Console, show_traceback: bool) -> list[Trial]:
    trials: list[Trial] = []
    if not recipes:
        return trials
    columns = TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn()
    with (
        TemporaryDirectory() as folder,
        Progress(
            *columns,
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as progress,
    ):
        write_tiny_dataset(Path(folder))
        task = progress.add_task('', total=len(recipes))
        for recipe in recipes:
            progress.update(task, description=recipe.name)
            trials.append(try_recipe(recipe, Path(folder), show_traceback))
            progress.advance(task)
            console.print(_line(trials[-1]), soft_wrap=True)
    return trials


def _line(trial: Trial) -> str:
    note = ' (built only: needs a GPU)' if trial.built_only else ''
    fault = f'\n        [red]{escape(trial.fault)}[/red]' if trial.fault else ''
    return f'{trial.seconds:5.1f} s  {escape(trial.recipe.name)}{note}{fault}'
