"""Any classification network of torchvision as a backbone."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import torchvision
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.feature_extraction import create_feature_extractor

from mmdet_ext.utils.errors import did_you_mean

from .pretrained import StateDict, load_weights, pretrained_cfg, read_weights
from .torchvision_nodes import TRACER, FeatureNode, Trace, fixed_image_size, trace

# Their published weights want inputs in another range, to which they can change them themselves.
_TRANSFORM_INPUT = ('googlenet', 'inception_v3')


@MODELS.register_module()
class TorchvisionBackbone(BaseModule):
    """Feature maps of any classification network of ``torchvision.models``, AlexNet to MaxViT.

    What is computed after the last output is cut off. Feature maps, strides and channels of a model
    are printed by ``python -m mmdet_ext.models.backbones MODEL``; after construction they are the
    attributes ``out_nodes``, ``out_strides`` and ``out_channels``. Published weights want RGB images
    normalised with ``mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]``.

    Swin takes images of any size and pads inside. ViT and MaxViT take one size, 224 x 224 unless
    ``model_args`` says otherwise; ViT has a single output, and to export it :class:`PlainViT` with the
    same weights is needed (torch's fused attention has no ONNX counterpart). AlexNet, SqueezeNet and Inception do not
    pad: their maps are a little smaller than the image divided by the stride.

    Args:
        model: A name in ``torchvision.models.list_models(module=torchvision.models)``.
        out_nodes: Outputs by name of a node or of a module, whose last node it then is.
        out_strides: Outputs by stride instead: the last map of a stride, before the block that
            halves it. By default those of 8, 16 and 32 that the network has.
        out_channels: The channels that the config gives the neck; compared with the network's, so
            that a wrong number is told at once. By default not compared.
        weights: A file of weights, or the name of weights to download (``'DEFAULT'``,
            ``'IMAGENET1K_V1'``, ...; kept in torch's cache); loaded when training starts. By default
            nothing is loaded nor downloaded. A file may as well be given as
            ``init_cfg=dict(type='Pretrained', checkpoint=...)``.
        frozen_stages: Freeze everything up to stride ``2 ** (frozen_stages + 1)``: of a ResNet, 0 is
            the stem and 1 to 4 are its layers, as in mmdet. -1: nothing.
        norm_eval: Keep the running statistics of batch normalisation as they are.
        model_args: Further arguments of the torchvision model.
        init_cfg: As for any mmengine module; torchvision's own initialisation is kept otherwise.

    Raises:
        ValueError: For an unknown model, node, stride or name of weights (with what there is), or
            channels that differ; on loading, for weights of another network.
        FileNotFoundError: On loading, if there is no such file.
        ConnectionError: On loading, if weights cannot be downloaded.
    """

    def __init__(
        self,
        model: str,
        out_nodes: Sequence[str] | None = None,
        out_strides: Sequence[int] | None = None,
        out_channels: Sequence[int] | None = None,
        weights: str | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        model_args: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if out_nodes and out_strides:
            raise ValueError(f'{model}: give `out_nodes` or `out_strides`, not both.')
        network = build_network(model, model_args)
        self.model = model
        self.weights = _checked_weights(model, weights, init_cfg)
        self.image_size = fixed_image_size(network)
        self.norm_eval = norm_eval
        self._known_weights = frozenset(network.state_dict())

        traced = trace(network)
        self._outputs = _choose_outputs(model, traced, out_nodes, out_strides)
        self.out_nodes = [node.name for node in self._outputs]
        self.out_strides = [node.stride for node in self._outputs]
        self.out_channels = [node.channels for node in self._outputs]
        if out_channels is not None and list(out_channels) != self.out_channels:
            raise ValueError(
                f'`out_channels` of {model} is {list(out_channels)}, but at strides '
                f'{self.out_strides} it has {self.out_channels}: write these here and as '
                '`in_channels` of the neck.'
            )
        self.body = create_feature_extractor(
            network,
            {name: str(index) for index, name in enumerate(self.out_nodes)},
            tracer_kwargs=TRACER,
            suppress_diff_warning=True,
        )
        self._frozen = _frozen_targets(model, traced, frozen_stages)
        self.train(self.training)

    def init_weights(self) -> None:
        """Load the weights that were asked for."""
        pretrained = pretrained_cfg(self)
        if not self.weights and not pretrained:
            super().init_weights()
            return
        if self.weights and not Path(self.weights).suffix:
            source, weights = f'{self.weights} of torchvision', _download(self.model, self.weights)
        else:
            pretrained = pretrained or dict(checkpoint=self.weights)
            source = pretrained['checkpoint']
            weights = read_weights(source, pretrained.get('prefix'))
        load_weights(
            self.body, _renamed(weights), source, self.model, self._known_weights.__contains__
        )
        self._is_init = True

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the feature maps.

        Args:
            x: Images, ``(B, 3, H, W)``.

        Returns:
            One map per output, ``(B, out_channels[i], H / out_strides[i], W / out_strides[i])``.

        Raises:
            ValueError: If the network takes images of another size only.
        """
        height, width = x.shape[-2:]
        if self.image_size and (height, width) != self.image_size:
            raise ValueError(
                f'{self.model} takes images of {self.image_size[0]} x {self.image_size[1]} pixels only, '
                f'but gets {height} x {width} (height x width): resize and pad to that size in the '
                'pipeline, or choose a network that takes any size, such as PlainViT.'
            )
        features = self.body(x)
        return tuple(
            _as_map(features[str(index)], node, self.image_size)
            for index, node in enumerate(self._outputs)
        )

    def train(self, mode: bool = True) -> 'TorchvisionBackbone':
        """Switch to training or evaluation, except for what is frozen."""
        super().train(mode)
        for target in self._frozen:
            owner, _, last = target.rpartition('.')
            part = getattr(self.body.get_submodule(owner), last)
            part.requires_grad_(False)
            if isinstance(part, nn.Module):
                part.eval()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


def build_network(model: str, model_args: dict | None = None) -> nn.Module:
    """Build a classification network of torchvision, randomly initialised.

    Args:
        model: Its name.
        model_args: Its arguments.

    Returns:
        The network.

    Raises:
        ValueError: For an unknown name, with the closest ones.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if model not in known:
        raise ValueError(
            f'torchvision has no classification network `{model}`{did_you_mean(model, known)}: choose '
            f'one of its {len(known)}, listed by `python -m mmdet_ext.models.backbones`.'
        )
    arguments = dict(transform_input=True) if model in _TRANSFORM_INPUT else {}
    arguments |= model_args or {}
    with warnings.catch_warnings():
        # GoogLeNet and Inception announce another default initialisation since 2020.
        warnings.simplefilter('ignore', FutureWarning)
        return torchvision.models.get_model(model, weights=None, **arguments)


def _checked_weights(model: str, weights: str | None, init_cfg: object) -> str | None:
    if weights is None:
        return None
    if init_cfg:
        raise ValueError(f'{model}: give `weights` or `init_cfg`, not both.')
    known = list(torchvision.models.get_model_weights(model).__members__)
    if not Path(weights).suffix and weights not in known:
        raise ValueError(
            f'`weights` of {model} is {weights!r}, which is neither a file (.pth) nor one of '
            f'{", ".join(known)}{did_you_mean(weights, known)}.'
        )
    return weights


def _choose_outputs(
    model: str, traced: Trace, names: Sequence[str] | None, strides: Sequence[int] | None
) -> list[FeatureNode]:
    if names:
        try:
            return [traced.find(name) for name in names]
        except ValueError as error:
            raise ValueError(f'{model}: {error}') from error
    last = {node.stride: node for node in traced.last_of_each_octave().values()}
    if strides is None:
        strides = [stride for stride in (8, 16, 32) if stride in last] or [max(last)]
    absent = [stride for stride in strides if stride not in last]
    if absent:
        raise ValueError(
            f'{model} has no feature map of stride {absent[0]}: choose `out_strides` from '
            f'{sorted(last)}.'
        )
    return [last[stride] for stride in strides]


def _frozen_targets(model: str, traced: Trace, frozen_stages: int) -> list[str]:
    """Names of the modules and parameters that are used up to the end of a stage."""
    if frozen_stages == -1:
        return []
    last = traced.last_of_each_octave()
    if frozen_stages + 1 not in last:
        raise ValueError(
            f'`frozen_stages` of {model} is {frozen_stages}, but its stages are '
            f'{[octave - 1 for octave in last]} (-1 freezes nothing).'
        )
    end = traced.names.index(last[frozen_stages + 1].name) + 1
    return [traced.targets[name] for name in traced.names[:end] if name in traced.targets]


def _as_map(feature: Tensor, node: FeatureNode, image_size: tuple[int, int] | None) -> Tensor:
    if node.layout == 'NHWC':
        return feature.permute(0, 3, 1, 2)
    if node.layout == 'NLC':
        rows, columns = (pixels // node.stride for pixels in image_size)
        patches = feature[:, -rows * columns :]  # without the class token
        return patches.transpose(1, 2).unflatten(2, (rows, columns))
    return feature


def _renamed(weights: StateDict) -> StateDict:
    """Names of today: DenseNet's files are from 2017, and a detector's backbone is in ``body``."""
    return {
        re.sub(
            r'(denselayer\d+\.(?:norm|conv))\.([12])\.', r'\1\2.', key.removeprefix('body.')
        ): value
        for key, value in weights.items()
    }


def _download(model: str, name: str) -> StateDict:
    weights = getattr(torchvision.models.get_model_weights(model), name)
    try:
        return weights.get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise ConnectionError(
            f'the weights {name} of {model} cannot be downloaded from {weights.url} ({error}): '
            'download them where there is a network, and give the file as `weights`.'
        ) from error
