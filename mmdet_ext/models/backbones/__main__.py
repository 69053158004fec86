"""List the feature maps of a torchvision network: ``python -m mmdet_ext.models.backbones MODEL``."""

import argparse

import torchvision
from rich.console import Console
from rich.table import Table

from mmdet_ext.utils.errors import clear_errors

from .torchvision_backbone import build_network
from .torchvision_nodes import fixed_image_size, trace


def main() -> None:
    """Print a model's feature maps or, without a model, the names of all."""
    parser = argparse.ArgumentParser(description='Feature maps of a torchvision network.')
    parser.add_argument('model', nargs='?', help='without it, all names are printed')
    parser.add_argument('--all', action='store_true', help='every node, not the last of a stride')
    arguments = parser.parse_args()
    if arguments.model is None:
        print(*torchvision.models.list_models(module=torchvision.models), sep='\n')
        return
    with clear_errors():
        network = build_network(arguments.model)
    traced = trace(network)
    table = Table('stride', 'channels', 'node')
    chosen = traced.maps.values() if arguments.all else traced.last_of_each_octave().values()
    for node in chosen:
        table.add_row(str(node.stride), str(node.channels), node.name)
    size = fixed_image_size(network)
    console = Console()
    console.print(table)
    if size:
        console.print(f'{arguments.model} takes images of {size[0]} x {size[1]} pixels only.')


if __name__ == '__main__':
    main()
