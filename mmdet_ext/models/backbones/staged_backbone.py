"""What convolutional backbones made of stages have in common."""

import re
from collections.abc import Iterable, Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .pretrained import load_weights, pretrained_cfg, read_weights


class StagedBackbone(BaseModule):
    """Stages one after the other, the outputs of some of which are given.

    Stages after the last output are left out.

    Args:
        stages: The stages.
        out_indices: Indices of the stages whose outputs are given.
        frozen_stages: Stages up to this one are frozen; -1: none.
        norm_eval: Keep the running statistics of batch normalisation as they are.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: If there is no stage of an index; on loading, for weights of another network.
    """

    def __init__(
        self,
        stages: Iterable[nn.Module],
        out_indices: Sequence[int],
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        stages = list(stages)
        for name, indices in (('out_indices', out_indices), ('frozen_stages', [frozen_stages])):
            lowest = -1 if name == 'frozen_stages' else 0
            outside = [index for index in indices if not lowest <= index < len(stages)]
            if outside:
                raise ValueError(
                    f'`{name}` of {type(self).__name__} has {outside[0]}, but it has to be between '
                    f'{lowest} and {len(stages) - 1}.'
                )
        self.stages = nn.ModuleList(stages[: max(out_indices) + 1])
        self.out_indices = tuple(out_indices)
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        self.train(self.training)

    def init_weights(self) -> None:
        """Initialise, or load the weights that were asked for."""
        pretrained = pretrained_cfg(self)
        if pretrained is None:
            super().init_weights()
            return
        source = pretrained['checkpoint']
        weights = read_weights(source, pretrained.get('prefix'))
        load_weights(self, weights, source, type(self).__name__, self._is_of_later_stage)
        self._is_init = True

    def _is_of_later_stage(self, key: str) -> bool:
        stage = re.match(r'stages\.(\d+)\.', key)
        return stage is not None and int(stage[1]) >= len(self.stages)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the feature maps.

        Args:
            x: Images, ``(B, 3, H, W)``.

        Returns:
            One map ``(B, C_i, H_i, W_i)`` for each of ``out_indices``, finest first.
        """
        outputs = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self.out_indices:
                outputs.append(x)
        return tuple(outputs)

    def train(self, mode: bool = True) -> 'StagedBackbone':
        """Switch to training or evaluation, except for what is frozen."""
        super().train(mode)
        self.stages[: self.frozen_stages + 1].eval().requires_grad_(False)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
