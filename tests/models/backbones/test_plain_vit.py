"""PlainViT against torchvision, timm and the formulas of its parts."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backbone_checks import assert_exports_compiles_and_runs_in_bfloat16
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer

from mmdet_ext.models.backbones import PlainViT
from mmdet_ext.models.backbones.plain_vit import Attention, merge, partition
from mmdet_ext.models.backbones.position_embedding import resize_positions
from mmdet_ext.models.necks import SimpleFeaturePyramid

SMALL = dict(embed_dims=32, depth=2, num_heads=4, patch_size=8, pretrain_size=48)


def build(**options):
    torch.manual_seed(0)
    return PlainViT(**{**SMALL, **options}).eval()


def save(weights, tmp_path):
    path = str(tmp_path / 'vit.pth')
    torch.save(weights, path)
    return path


def load(path, **options):
    model = build(init_cfg=dict(type='Pretrained', checkpoint=path), **options)
    model.init_weights()
    return model


@pytest.fixture
def torchvision_vit():
    torch.manual_seed(1)
    model = VisionTransformer(48, 8, num_layers=2, num_heads=4, hidden_dim=32, mlp_dim=128).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)  # a class token and biases that are not zero, too
    return model


def timm_vit(**options):
    timm = pytest.importorskip('timm')
    torch.manual_seed(1)
    model = timm.models.VisionTransformer(
        img_size=48, patch_size=8, embed_dim=32, depth=2, num_heads=4, num_classes=5, **options
    ).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model


def as_map(tokens, side=6):
    return tokens[:, -side * side :].transpose(1, 2).unflatten(2, (side, side))


@torch.no_grad()
def test_torchvisions_weights_give_torchvisions_features(torchvision_vit, tmp_path):
    model = load(save(torchvision_vit.state_dict(), tmp_path), class_token=True)
    image = torch.randn(2, 3, 48, 48)
    seen = []
    torchvision_vit.encoder.register_forward_hook(lambda *arguments: seen.append(arguments[2]))
    torchvision_vit(image)
    torch.testing.assert_close(model(image)[0], as_map(seen[0]))


@pytest.mark.parametrize('class_token', [True, False])
@torch.no_grad()
def test_timms_weights_give_timms_features(class_token, tmp_path):
    reference = timm_vit(class_token=class_token, global_pool='', final_norm=True, fc_norm=False)
    path = save(dict(model=reference.state_dict()), tmp_path)  # as MAE's files have it
    image = torch.randn(2, 3, 48, 48)
    output = load(path, class_token=class_token)(image)[0]
    torch.testing.assert_close(output, as_map(reference.forward_features(image)))


@torch.no_grad()
def test_at_another_size_features_are_timms_with_its_positions_resized(tmp_path):
    reference = timm_vit(class_token=False, global_pool='', fc_norm=False)
    model = load(save(reference.state_dict(), tmp_path))
    reference.set_input_size(img_size=(64, 80))
    from timm.layers import resample_abs_pos_embed  # noqa: PLC0415 (an extra)

    reference.pos_embed.data = resample_abs_pos_embed(
        model.pos_embed, [8, 10], num_prefix_tokens=0, antialias=False
    )
    image = torch.randn(1, 3, 64, 80)
    expected = reference.forward_features(image).transpose(1, 2).unflatten(2, (8, 10))
    torch.testing.assert_close(model(image)[0], expected)


@torch.no_grad()
def test_weights_of_another_image_size_get_their_positions_resized(tmp_path):
    weights = build(pretrain_size=64).state_dict()
    model = load(save(weights, tmp_path))
    expected = resize_positions(weights['pos_embed'], 6, 6).flatten(1, 2)
    torch.testing.assert_close(model.pos_embed.data, expected)


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(embed_dims=64), r'`pos_embed` has shape \(1, 36, 32\), not \(1, 36, 64\)'),
        (dict(depth=3), r'`blocks\.2\.norm1\.weight` is missing'),
        (dict(depth=1), r'`blocks\.1\.norm1\.weight` does not exist in PlainViT'),
        (dict(class_token=True), '`cls_token` is missing'),
    ],
)
def test_weights_of_another_network_are_refused(options, sentence, tmp_path):
    path = save(build().state_dict(), tmp_path)
    with pytest.raises(ValueError, match=sentence):
        load(path, **options)


def test_layer_scale_is_not_dropped_silently(tmp_path):
    weights = timm_vit(
        class_token=False, global_pool='', fc_norm=False, init_values=1.0
    ).state_dict()
    with pytest.raises(ValueError, match=r'`blocks\.0\.ls1\.gamma` does not exist in PlainViT'):
        load(save(weights, tmp_path))


@torch.no_grad()
def test_linear_and_convolutional_patch_embedding_are_the_same_function(tmp_path):
    convolution = build()
    linear = load(save(convolution.state_dict(), tmp_path), patch_embedding='linear')
    assert linear.patch_embed.proj.weight.shape == (32, 3 * 8 * 8)
    image = torch.randn(2, 3, 45, 70)
    torch.testing.assert_close(linear(image), convolution(image))


@torch.no_grad()
def test_an_image_is_padded_to_whole_patches_with_zeros():
    model = build()
    image = torch.randn(1, 3, 41, 70)
    padded = torch.zeros(1, 3, 48, 72)
    padded[:, :, :41, :70] = image
    assert model(image)[0].shape == (1, 32, 6, 9)
    torch.testing.assert_close(model(image), model(padded))


def test_an_image_smaller_than_a_patch_is_refused():
    with pytest.raises(
        ValueError, match='the image has 7 x 40 pixels, less than one patch of 8 x 8'
    ):
        build()(torch.zeros(1, 3, 7, 40))


def test_sine_and_cosine_positions_are_those_of_the_formula():
    rows, columns, quarter = 3, 5, 8
    frequency = 10000.0 ** -(np.arange(quarter) / quarter)
    y, x = np.mgrid[1 : rows + 1, 1 : columns + 1]
    expected = np.zeros((rows, columns, 32))
    for half, position in enumerate((y, x)):
        angle = position[..., None] * frequency
        expected[..., half * 16 : half * 16 + 16 : 2] = np.sin(angle)
        expected[..., half * 16 + 1 : half * 16 + 16 : 2] = np.cos(angle)
    positions = build(position_embedding='sincos')._positions(rows, columns)
    np.testing.assert_allclose(positions[0].numpy(), expected, atol=1e-6)


@torch.no_grad()
def test_attention_is_that_of_torch():
    torch.manual_seed(0)
    ours = Attention(32, 4, qkv_bias=True, window_size=0)
    reference = nn.MultiheadAttention(32, 4, batch_first=True)
    reference.in_proj_weight.data, reference.in_proj_bias.data = ours.qkv.weight, ours.qkv.bias
    reference.out_proj = ours.proj
    x = torch.randn(2, 15, 32)
    torch.testing.assert_close(ours(x, (3, 5)), reference(x, x, x, need_weights=False)[0])


@pytest.mark.parametrize('grid', [(6, 9), (7, 8), (2, 2)])
@torch.no_grad()
def test_windowed_attention_is_attention_in_each_window_of_what_the_image_covers(grid):
    torch.manual_seed(0)
    windowed = Attention(32, 4, qkv_bias=True, window_size=3)
    everywhere = Attention(32, 4, qkv_bias=True, window_size=0)
    everywhere.load_state_dict(windowed.state_dict())
    x = torch.randn(2, *grid, 32)
    expected = torch.zeros_like(x)
    for row in range(0, grid[0], 3):
        for column in range(0, grid[1], 3):
            window = x[:, row : row + 3, column : column + 3]
            attended = everywhere(window.flatten(1, 2), window.shape[1:3])
            expected[:, row : row + 3, column : column + 3] = attended.view_as(window)
    torch.testing.assert_close(windowed(x.flatten(1, 2), grid), expected.flatten(1, 2))


def test_partition_keeps_windows_together_and_merge_undoes_it():
    x = torch.arange(2 * 4 * 6).view(2, 4, 6, 1)
    windows = partition(x, 2)
    assert windows[1].flatten().tolist() == [2, 3, 8, 9]
    assert windows[6].flatten().tolist() == [24, 25, 30, 31]
    assert torch.equal(merge(windows, (4, 6), 2), x)


def test_windows_are_only_in_blocks_without_global_attention():
    blocks = build(depth=4, window_size=3, global_attention_indices=(1, 3)).blocks
    assert [block.attn.window_size for block in blocks] == [3, 0, 3, 0]


def test_dropped_paths_leave_the_input_of_a_block_as_it_is():
    model = build(drop_path_rate=0.3, depth=4).train()
    rates = [block.drop_path.drop_prob for block in model.blocks]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])
    block = model.blocks[3]
    block.drop_path.drop_prob = 1 - 1e-9
    x = torch.randn(2, 6, 32)
    assert torch.equal(block(x, (2, 3)), x)


def test_positions_are_resized_as_opencv_resizes_pictures():
    grid = torch.randn(5, 5, 3)
    resized = resize_positions(grid.view(1, 25, 3), 8, 11)
    expected = cv2.resize(grid.numpy(), (11, 8), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(resized[0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize('window_size', [0, 2])
def test_gradients_are_right(window_size):
    model = build(patch_size=2, pretrain_size=8, window_size=window_size).double()
    image = torch.randn(1, 3, 6, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, (image,), fast_mode=True)
    F.mse_loss(model(image)[0], torch.ones(1, 32, 3, 4, dtype=torch.float64)).backward()
    assert all(value.grad.abs().sum() > 0 for value in model.parameters())


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(
            window_size=3, position_embedding='sincos', patch_embedding='linear', class_token=False
        ),
    ],
    ids=['convolution', 'windows'],
)
def test_it_and_its_pyramid_export_compile_and_run_in_bfloat16(options, tmp_path):
    pyramid = SimpleFeaturePyramid(32, 16, in_stride=8, out_strides=(2, 4, 8, 16), num_outs=5)
    module = nn.Sequential(build(**options), pyramid)
    assert_exports_compiles_and_runs_in_bfloat16(module, torch.randn(2, 3, 61, 80), tmp_path)


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(num_heads=5), '`num_heads` is 5, but has to divide `embed_dims`, which is 32'),
        (dict(patch_embedding='mlp'), "`patch_embedding` is 'mlp'"),
        (dict(position_embedding='rope'), "`position_embedding` is 'rope'"),
        (dict(position_embedding='sincos', embed_dims=30, num_heads=5), 'multiple of 4'),
        (dict(class_token=True, window_size=3), '`class_token` belongs to no window'),
        (dict(global_attention_indices=(1, 2)), 'has 2, but the blocks are 0 to 1'),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        build(**options)
