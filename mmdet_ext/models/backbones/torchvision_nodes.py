"""Which nodes of a torchvision classification network are feature maps, and how large they are."""

import copy
import inspect
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

import torch
import torchvision
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torchvision.models import MaxVit, VisionTransformer
from torchvision.models.feature_extraction import NodePathTracer

from mmdet_ext.utils.errors import did_you_mean

# Height and width whose ratio no two strides share, so that shapes tell which axis is which.
_TRACED_SIZE = (13 * 32, 19 * 32)
# As create_feature_extractor traces by default; written out so that node names are the same in both.
TRACER = dict(
    autowrap_modules=(math, torchvision.ops),
    leaf_modules=[
        member
        for _, member in inspect.getmembers(torchvision.ops, inspect.isclass)
        if issubclass(member, nn.Module)
    ],
)


@dataclass(frozen=True)
class FeatureNode:
    """A node of a network that gives a feature map.

    Attributes:
        name: As in ``torchvision.models.feature_extraction.get_graph_node_names``.
        channels: Channels of the map.
        stride: Pixels of the image for one of the map, nominal where borders are cut.
        layout: ``'NCHW'``, ``'NHWC'`` or ``'NLC'`` (tokens row by row, perhaps after a class token).
        overwritten_by: The node that changes the map in place afterwards, if one does.
    """

    name: str
    channels: int
    stride: int
    layout: str
    overwritten_by: str | None

    @property
    def octave(self) -> int:
        """Number of halvings of the image, which is the base-2 logarithm of the stride, rounded."""
        return round(math.log2(self.stride))


@dataclass(frozen=True)
class Trace:
    """All nodes of a network in the order of computation, and those that are feature maps.

    Attributes:
        names: Every node.
        maps: The feature maps among them, by name, in the same order.
        targets: By node, the name of the module or parameter that it uses, if it uses one.
    """

    names: list[str]
    maps: dict[str, FeatureNode]
    targets: dict[str, str]

    def find(self, name: str) -> FeatureNode:
        """Return the feature map of a node or, for the name of a module, of its last node.

        Raises:
            ValueError: If there is none, with the closest names.
        """
        inside = [node for node in self.names if node == name or node.startswith(f'{name}.')]
        if not inside:
            modules = {node[:end] for node in self.names for end in _dots(node)}
            raise ValueError(
                f'there is no node `{name}`{did_you_mean(name, [*self.names, *sorted(modules)])}: '
                'nodes are listed by `python -m mmdet_ext.models.backbones MODEL`.'
            )
        node = inside[-1]
        if node not in self.maps:
            raise ValueError(
                f'the node `{node}` gives no feature map: choose one that does, listed by '
                '`python -m mmdet_ext.models.backbones MODEL`.'
            )
        changer = self.maps[node].overwritten_by
        if changer:
            raise ValueError(
                f'the node `{node}` is overwritten in place by `{changer}`: choose `{changer}`.'
            )
        return self.maps[node]

    def last_of_each_octave(self) -> dict[int, FeatureNode]:
        """Return, by number of halvings, the last map before the part that halves it again.

        A bottleneck widens before it halves; what is inside of it is no output of the network.
        Among the maps of one stride, those count that share the fewest enclosing modules with the
        node after which the next stride begins, and the last of these is taken.
        """
        found = {}
        octaves = sorted({node.octave for node in self.maps.values()})
        for octave in octaves:
            own = [node for node in self.maps.values() if node.octave == octave]
            coarser = [name for name, node in self.maps.items() if node.octave > octave]
            after = coarser[0] if coarser else self._node_after(own[-1].name)
            shared = [_shared_modules(node.name, after) for node in own]
            found[octave] = [node for node, n in zip(own, shared, strict=True) if n == min(shared)][
                -1
            ]
        return found

    def _node_after(self, name: str) -> str:
        return self.names[min(self.names.index(name) + 1, len(self.names) - 1)]


def fixed_image_size(model: nn.Module) -> tuple[int, int] | None:
    """Return the only height and width that a network takes, or None if it takes any."""
    if isinstance(model, VisionTransformer):
        return model.image_size, model.image_size
    if isinstance(model, MaxVit):
        # Not kept by the network: the last stage is one window, at stride 32.
        height, width = model.blocks[-1].grid_size
        return height * 32, width * 32
    return None


def trace(model: nn.Module) -> Trace:
    """Find the feature maps of a torchvision classification network, without computing them.

    Args:
        model: The network; it is not changed.

    Returns:
        Its nodes in evaluation.
    """
    model = _meta_copy(model).eval()
    tracer = NodePathTracer(**TRACER)
    graph = tracer.trace(model)
    size = fixed_image_size(model) or _TRACED_SIZE
    ShapeProp(fx.GraphModule(model, graph)).propagate(torch.zeros(1, 3, *size, device='meta'))

    names = {node: name for node, name in tracer.node_to_qualname.items() if node.op != 'output'}
    maps = {}
    of_image = {node for node in graph.nodes if node.op == 'placeholder'}
    for node, name in names.items():
        if of_image.isdisjoint(node.all_input_nodes):
            continue
        of_image.add(node)
        shape = getattr(node.meta.get('tensor_meta'), 'shape', ())
        found = _as_feature_map(shape, size, getattr(model, 'patch_size', None))
        if found:
            maps[name] = FeatureNode(name, *found, _changed_in_place(node, model, names))
    targets = {
        name: node.target for node, name in names.items() if node.op in ('call_module', 'get_attr')
    }
    return Trace(list(names.values()), maps, targets)


def _meta_copy(model: nn.Module) -> nn.Module:
    """Copy a network without its weights: as many would fit into memory twice, others not."""
    memo = {id(parameter): nn.Parameter(parameter.to('meta')) for parameter in model.parameters()}
    memo |= {id(buffer): buffer.to('meta') for buffer in model.buffers()}
    return copy.deepcopy(model, memo)


def _as_feature_map(
    shape: Iterable[int], size: tuple[int, int], patch: int | None
) -> tuple[int, int, str] | None:
    """Return channels, stride and layout, or None for what is no feature map."""
    if patch and len(shape) == 3:
        cells = (size[0] // patch) * (size[1] // patch)
        return (shape[2], patch, 'NLC') if shape[1] - cells in (0, 1) else None
    if len(shape) != 4 or shape[0] != 1:
        return None
    for layout, channels, height, width in (
        ('NCHW', shape[1], shape[2], shape[3]),
        ('NHWC', shape[3], shape[1], shape[2]),
    ):
        stride = _stride((height, width), size)
        if stride:
            return channels, stride, layout
    return None


def _stride(cells: tuple[int, int], size: tuple[int, int]) -> int | None:
    """Return the stride of a map of so many cells; the nearest power of two where borders are cut."""
    if min(cells) < 2:
        return None
    exact = [pixels / number for pixels, number in zip(size, cells, strict=True)]
    if exact[0] == exact[1] and exact[0].is_integer():
        return int(exact[0])
    vertical, horizontal = (math.log2(stride) for stride in exact)
    nearest = round(vertical)
    # 0.3: without padding, Inception's last map has 11 rows instead of 13, and 17 columns, not 19.
    close = abs(vertical - nearest) < 0.3 and abs(vertical - horizontal) < 0.1
    return 2**nearest if close else None


def _changed_in_place(node: fx.Node, model: nn.Module, names: dict[fx.Node, str]) -> str | None:
    for user in node.users:
        in_place = user.kwargs.get('inplace', False)
        if user.op == 'call_module':
            in_place = getattr(model.get_submodule(user.target), 'inplace', False)
        if in_place:
            return names[user]
    return None


def _dots(name: str) -> list[int]:
    return [position for position, letter in enumerate(name) if letter == '.']


def _shared_modules(name: str, other: str) -> int:
    """Return how many modules, from the outermost on, two nodes are both inside of."""
    pairs = zip(name.split('.')[:-1], other.split('.')[:-1], strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
