"""The table of recipes and its configs, checked: see ``tools/check_recipes.py``."""

from .checking import check_recipes
from .faults import find_faults
from .running import Recipe, Trial, find_recipes, try_recipe
from .shrinking import shrink
from .table import Row, Table, read_actions, read_table
from .tiny_dataset import write_tiny_dataset

__all__ = [
    'Recipe',
    'Row',
    'Table',
    'Trial',
    'check_recipes',
    'find_faults',
    'find_recipes',
    'read_actions',
    'read_table',
    'shrink',
    'try_recipe',
    'write_tiny_dataset',
]
