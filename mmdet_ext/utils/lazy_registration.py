"""Registration without imports: mmdet's registries learn where our components are."""

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

HOMES = {
    'datasets': 'mmdet_ext.datasets.components',
    'engine': 'mmdet_ext.engine',
    'evaluation': 'mmdet_ext.evaluation',
    'models': 'mmdet_ext.models',
    'visualization': 'mmdet_ext.visualization.components',
}
"""Module that imports our components, by mmdet's package of such components."""


def register_lazily() -> None:
    """Let mmdet's registries import our components when they first look a name up.

    A registry imports its ``locations`` on its first look-up; each of mmdet's gets our module beside
    its own (``mmdet_ext.models`` beside ``mmdet.models``), as soon as somebody imports
    ``mmdet.registry``. Importing ``mmdet_ext`` thus costs milliseconds where the components themselves
    cost seconds, and needs no mmdet, which the runtime of exported models does without. A registry that
    has already looked a name up will not import again, so its module is imported at once.
    """
    registry = sys.modules.get('mmdet.registry')
    if registry is not None:
        add_locations(registry)
    elif not any(isinstance(finder, _RegistryFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _RegistryFinder())


def add_locations(registries: ModuleType) -> None:
    """Tell all registries in a module where our components are."""
    from mmengine.registry import Registry  # noqa: PLC0415 (whoever imports mmdet has it)

    for registry in vars(registries).values():
        if not isinstance(registry, Registry):
            continue
        packages = {location.split('.')[1] for location in registry._locations}
        for package in sorted(packages.intersection(HOMES)):
            home = HOMES[package]
            if home not in registry._locations:
                registry._locations.append(home)
                if registry._imported:
                    import_module(home)


class _RegistryFinder(MetaPathFinder):
    """Has :func:`add_locations` called right after the import of ``mmdet.registry``, once."""

    def find_spec(self, name: str, *args) -> ModuleSpec | None:
        """Find that one module as the other finders do."""
        if name != 'mmdet.registry':
            return None
        sys.meta_path.remove(self)
        specs = (finder.find_spec(name, *args) for finder in sys.meta_path)
        spec = next((spec for spec in specs if spec), None)
        if spec is not None:
            run = spec.loader.exec_module

            def run_and_add(module: ModuleType) -> None:
                run(module)
                add_locations(module)

            spec.loader.exec_module = run_and_add
        return spec
