"""The default with an attention layer on each feature map between backbone and neck.

Any layer of mmdet_ext.models.layers.attention fits; tools/analysis/attention_ablation.py compares
some of them.
"""

_base_ = 'psd_yolo.py'

# What you are likely to change.
attention = dict(type='CoordinateAttention')

# The rest follows. A list of necks is run in turn.
aggregation = _base_.model.neck
model = dict(
    neck=[
        dict(type='FeatureAttention', in_channels=aggregation.in_channels, attention=attention),
        aggregation,
    ]
)
