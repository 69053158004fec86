"""The facts about a model as tables in the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from .facts import ModelInfo

MAX_OUTPUTS = 3
WIDTH_IN_FILES = 140


def print_model_info(info: ModelInfo, console: Console | None = None) -> None:
    """Print everything.

    Args:
        info: The facts.
        console: Where to; by default the terminal.
    """
    console = console or Console()
    if not console.is_terminal:
        console.width = WIDTH_IN_FILES
    weights = info.checkpoint or 'random weights'
    console.print(
        f'{info.model} of {info.config}, {weights}\n'
        f'image {_shape(info.image_shape)}, network input {_shape(info.input_shape)}; '
        f'on {info.machine}\n',
        highlight=False,
    )
    for table in (_layers(info), _parts(info), _receptive_fields(info), _totals(info)):
        console.print(table)
    for note in info.notes:
        console.print(note, highlight=False)


def _layers(info: ModelInfo) -> Table:
    table = _table('Layers', 'name type output', 'parameters MACs time')
    for layer in info.layers:
        if not (layer.calls or layer.parameters):  # a loss
            continue
        indent, _, own = layer.name.rpartition('.')
        table.add_row(
            '  ' * (indent.count('.') + 1 if indent else 0) + own,
            layer.type,
            _outputs(layer.outputs, layer.calls),
            _amount(layer.parameters),
            _amount(layer.macs),
            f'{layer.time_share:.1%}',
        )
    return table


def _parts(info: ModelInfo) -> Table:
    table = _table('Parts, one image', 'part', 'parameters MACs time')
    parameters, macs = info.parameters.parts, info.complexity.parts
    times = info.speed.parts
    for name in dict.fromkeys((*times, *parameters, *macs)):
        seconds = f'{times[name] * 1e3:.2f} ms' if name in times else ''
        table.add_row(name, _amount(parameters.get(name)), _amount(macs.get(name)), seconds)
    table.add_section()
    total = f'{sum(times.values()) * 1e3:.2f} ms'
    table.add_row('total', _amount(info.parameters.total), _amount(info.complexity.macs), total)
    return table


def _receptive_fields(info: ModelInfo) -> Table:
    table = _table(
        'Receptive field of a central unit, pixels of the network input',
        'map size stride',
        'theoretical effective',
    )
    for item in info.receptive_fields:
        sides = ('all' if side is None else f'{side}' for side in item.theoretical)
        table.add_row(
            item.stage,
            _shape(item.map_size),
            ' x '.join(dict.fromkeys(f'{stride:g}' for stride in item.stride)),
            ' x '.join(sides) + (f' ({", ".join(item.unknown)})' if item.unknown else ''),
            '' if item.effective is None else f'{item.effective:.0f}',
        )
    return table


def _totals(info: ModelInfo) -> Table:
    parameters, complexity, memory = info.parameters, info.complexity, info.memory
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows = {
        'parameters': f'{parameters.total:,}: {parameters.trainable:,} trainable, '
        f'{parameters.frozen:,} frozen',
        'MACs': f'{_amount(complexity.macs)} multiply-accumulates per image '
        f'({_counts(complexity.operators)})',
        'FLOPs': f'{_amount(complexity.flops)}, two per multiply-accumulate',
        'not counted': _times(complexity.uncounted) or 'nothing',
        'memory': f'parameters {_bytes(memory.parameters)}, buffers {_bytes(memory.buffers)}, '
        f'input {_bytes(memory.inputs)}, activations {_bytes(memory.peak_activations)} at the peak of '
        f'one forward pass ({memory.method})',
    }
    for size, seconds in info.speed.batches.items():
        rows[f'batch of {size}'] = (
            f'{seconds * 1e3:.1f} ms, {size / seconds:.3g} images/s (inference in all, median of '
            f'{info.speed.repeats})'
        )
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _table(title: str, words: str, numbers: str) -> Table:
    table = Table(title=title, title_justify='left', title_style='bold')
    for name in words.split():
        table.add_column(name, no_wrap=name != 'output')
    for name in numbers.split():
        table.add_column(name, justify='right', no_wrap=True)
    return table


def _shape(sizes: tuple[int, ...]) -> str:
    return ' x '.join(map(str, sizes))


def _outputs(shapes: list[tuple[int, ...]], calls: int) -> str:
    if not calls:
        return ''
    shown = ', '.join(_shape(shape) for shape in shapes[:MAX_OUTPUTS])
    more = f' and {len(shapes) - MAX_OUTPUTS} more' if len(shapes) > MAX_OUTPUTS else ''
    return shown + more + (f' (1st of {calls} calls)' if calls > 1 else '')


def _counts(counts: Mapping[str, int]) -> str:
    return ', '.join(f'{name} {_amount(count)}' for name, count in counts.items())


def _times(counts: Mapping[str, int]) -> str:
    names = (f'{name.removeprefix("aten::")} x{count}' for name, count in counts.items())
    return ', '.join(names)


def _amount(count: int | None) -> str:
    if count is None:
        return ''
    for unit, scale in (('G', 1e9), ('M', 1e6), ('k', 1e3)):
        if count >= scale:
            return f'{count / scale:.3f} {unit}'
    return str(count)


def _bytes(count: int) -> str:
    return f'{count / 2**20:.1f} MiB'
