"""Registration without imports: mmdet's registries learn where our components are."""

from importlib import import_module

PACKAGES = ('datasets', 'engine', 'evaluation', 'models', 'visualization')


def register_lazily() -> None:
    """Let mmdet's registries import our packages when they first look a name up.

    A registry imports its ``locations`` on its first look-up; each of mmdet's gets our package of
    the same name beside its own (``mmdet_ext.models`` beside ``mmdet.models``). Importing
    ``mmdet_ext`` thus costs milliseconds where the packages themselves cost seconds. A registry that
    has already looked a name up will not import again, so its package is imported at once.

    Raises:
        ImportError: mmengine or mmdet does not import.
    """
    import mmdet.registry  # noqa: PLC0415 (a set-up without mmdet can still run the doctor)
    from mmengine.registry import Registry  # noqa: PLC0415

    for registry in vars(mmdet.registry).values():
        if not isinstance(registry, Registry):
            continue
        packages = {location.split('.')[1] for location in registry._locations}
        for package in sorted(packages.intersection(PACKAGES)):
            module = f'mmdet_ext.{package}'
            if module not in registry._locations:
                registry._locations.append(module)
                if registry._imported:
                    import_module(module)
