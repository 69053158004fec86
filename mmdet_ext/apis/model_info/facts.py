"""All facts about the model of a config."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from .complexity import Complexity, Parameters, count_macs, count_parameters
from .memory import Memory, measure_memory
from .receptive_field import (
    ReceptiveField,
    effective_receptive_fields,
    theoretical_receptive_fields,
)
from .speed import Speed, measure_speed
from .subject import Subject, load_subject


@dataclass
class Layer:
    """One row of the layer table.

    Attributes:
        name: As in ``model.named_modules()``.
        type: Its class.
        outputs: Shapes of the tensors that its first call returns.
        calls: How often it runs in one inference.
        parameters: Its own and its modules'.
        macs: Likewise, for one image.
        time_share: Of a whole inference; its modules' share included.
    """

    name: str
    type: str
    outputs: list[tuple[int, ...]]
    calls: int
    parameters: int
    macs: int
    time_share: float


@dataclass
class ModelInfo:
    """Facts about a model, for one image unless they say otherwise.

    Attributes:
        config: The config file.
        checkpoint: Where the weights are from; None: random.
        model: Class of the model.
        image_shape: Height and width of an image.
        input_shape: Shape of what the network gets, padded.
        machine: What it ran on.
        parameters: Their numbers.
        complexity: Multiply-accumulates.
        memory: Bytes.
        speed: Seconds.
        receptive_fields: Pixels of the input.
        layers: The layer table.
        notes: What could not be measured, and why.
    """

    config: str
    checkpoint: str | None
    model: str
    image_shape: tuple[int, int]
    input_shape: tuple[int, ...]
    machine: str
    parameters: Parameters
    complexity: Complexity
    memory: Memory
    speed: Speed
    receptive_fields: list[ReceptiveField]
    layers: list[Layer] = field(repr=False)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        facts = asdict(self)
        facts['complexity']['flops'] = self.complexity.flops
        del facts['speed']['layers'], facts['complexity']['modules']  # they are in `layers`
        return facts


def model_info(
    config: str,
    checkpoint: str | None = None,
    *,
    shape: tuple[int, int] | None = None,
    batch_size: int = 1,
    depth: int = 2,
    device: str = 'cpu',
    repeats: int = 5,
    samples: int = 1,
    cfg_options: Mapping | None = None,
) -> ModelInfo:
    """Measure the model of any config.

    Args:
        config: A config file.
        checkpoint: A checkpoint that was trained with it; without one the weights are random.
        shape: Height and width of the images; by default what the config's test pipeline makes.
        batch_size: Images in a batch that is timed beside a single image.
        depth: Of the layer table.
        device: Such as ``cpu`` or ``cuda:0``.
        repeats: Timed inferences; medians count.
        samples: Images of noise to measure the effective receptive field with; 0 leaves it out.
        cfg_options: Values that override the config's.

    Returns:
        The facts.

    Raises:
        FileNotFoundError: A file is missing.
        KeyError: The config names a type that is not registered.
        ValueError: An argument does not fit.
    """
    for name, value, least in (
        ('batch size', batch_size, 1),
        ('depth', depth, 1),
        ('number of repeats', repeats, 1),
        ('number of samples', samples, 0),
    ):
        if value < least:
            raise ValueError(f'the {name} is {value}: it must be {least} or more.')
    subject = load_subject(config, checkpoint, shape, device, cfg_options)
    inputs, arguments = subject.prepared(1)
    facts = dict(
        parameters=count_parameters(subject.model),
        complexity=count_macs(subject.model, inputs, **arguments),
        memory=measure_memory(subject.model, inputs, **arguments),
        speed=measure_speed(subject, batch_size, depth, repeats),
    )
    fields, notes = _receptive_fields(subject, samples)
    return ModelInfo(
        config=config,
        checkpoint=checkpoint,
        model=type(subject.model).__name__,
        image_shape=subject.shape,
        input_shape=tuple(inputs.shape),
        machine=_machine(subject.device),
        receptive_fields=fields,
        layers=_layers(subject, depth, **facts),
        notes=notes,
        **facts,
    )


def _layers(
    subject: Subject,
    depth: int,
    parameters: Parameters,
    complexity: Complexity,
    memory: Memory,
    speed: Speed,
) -> list[Layer]:
    modules = dict(subject.model.named_modules())
    return [
        Layer(
            name=name,
            type=type(modules[name]).__name__,
            outputs=run.outputs,
            calls=run.calls,
            parameters=sum(p.numel() for p in modules[name].parameters()),
            macs=complexity.modules.get(name, 0),
            time_share=run.share,
        )
        for name, run in speed.layers.items()
        if name.count('.') < depth
    ]


def _receptive_fields(subject: Subject, samples: int) -> tuple[list[ReceptiveField], list[str]]:
    inputs, arguments = subject.prepared(1)
    fields = theoretical_receptive_fields(subject.model, inputs, **arguments)
    if not samples:
        return fields, []
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(samples, *inputs.shape[1:], generator=generator).to(inputs)
    try:
        sides = effective_receptive_fields(
            subject.model, noise, {item.stage for item in fields}, **arguments
        )
    except RuntimeError as error:  # an operator without a derivative, or too little memory
        return fields, [f'effective receptive field not measured: {str(error).splitlines()[0]}']
    for item in fields:
        item.effective = sides.get(item.stage)
    return fields, []


def _machine(device: torch.device) -> str:
    if device.type == 'cuda':
        return f'{torch.cuda.get_device_name(device)}, torch {torch.__version__}'
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    name = names[0] if names else platform.machine()
    threads = torch.get_num_threads()
    return f'{name}, {threads} thread{"s" if threads > 1 else ""}, torch {torch.__version__}'
