import numpy as np
import pytest
import torch
from pydantic import ValidationError

from attgan.models import Generator, GeneratorConfig, fresh, with_styles


def bare(config):
    """A network without values, to look at names and shapes."""
    with torch.device("meta"):
        return Generator(config)


def test_parameter_count_is_the_published_one():
    assert sum(parameter.numel() for parameter in bare(GeneratorConfig()).parameters()) == 43_352_707


def test_state_dict_has_the_published_names_and_shapes():
    expected = {}
    norm = ("weight", "bias", "running_mean", "running_var")
    encoder = [(64, 3), (128, 64), (256, 128), (512, 256), (1024, 512)]
    # Transposed convolutions have their inputs first: 1024 + 13 attributes, then 1024 + the shortcut's 512.
    decoder = [(1037, 1024), (1536, 512), (512, 256), (256, 128), (128, 3)]
    for side, shapes in (("enc", encoder), ("dec", decoder)):
        for depth, shape in enumerate(shapes):
            expected[f"{side}_layers.{depth}.layers.0.weight"] = (*shape, 4, 4)
            outputs = shape[0] if side == "enc" else shape[1]
            if outputs != 3:
                expected |= {f"{side}_layers.{depth}.layers.1.{part}": (outputs,) for part in norm}
                expected[f"{side}_layers.{depth}.layers.1.num_batches_tracked"] = ()
    expected["dec_layers.4.layers.0.bias"] = (3,)
    found = {name: tuple(tensor.shape) for name, tensor in bare(GeneratorConfig()).state_dict().items()}
    assert found == expected


def conv(x, weight, bias):
    """Convolution of stride 2, padding 1, from the definition: (N, C, H, W) → (N, O, H/2, W/2)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (4, 4), axis=(2, 3))[:, :, ::2, ::2]
    return np.einsum("nchwij,ocij->nohw", windows, weight) + bias[None, :, None, None]


def deconv(x, weight, bias):
    """Transposed convolution of stride 2, padding 1: each pixel stamps the kernel onto the larger image."""
    count, _, height, width = x.shape
    out = np.zeros((count, weight.shape[1], 2 * height + 2, 2 * width + 2))
    for row in range(4):
        for column in range(4):
            stamp = np.einsum("nchw,co->nohw", x, weight[:, :, row, column])
            out[:, :, row : row + 2 * height : 2, column : column + 2 * width : 2] += stamp
    return out[:, :, 1:-1, 1:-1] + bias[None, :, None, None]


def reference(generator, images, attributes):
    """The generator once more, in NumPy and float64, from the state dict and the paper alone."""
    config = generator.config
    tensors = {name: tensor.double().numpy() for name, tensor in generator.state_dict().items()}

    def stage(x, layer, convolve, norm, slope):
        weight = tensors[f"{layer}.layers.0.weight"]
        outputs = weight.shape[0] if convolve is conv else weight.shape[1]
        x = convolve(x, weight, tensors.get(f"{layer}.layers.0.bias", np.zeros(outputs)))
        if norm != "none":
            parts = {
                part: tensors.get(f"{layer}.layers.1.{part}")
                for part in ("weight", "bias", "running_mean", "running_var")
            }
            mean = parts["running_mean"] if norm == "batch" else x.mean((2, 3))
            variance = parts["running_var"] if norm == "batch" else x.var((2, 3))
            mean, variance = (
                np.broadcast_to(each, x.shape[:2])[..., None, None] for each in (mean, variance)
            )
            x = (x - mean) / np.sqrt(variance + 1e-5)
            x = x * parts["weight"][:, None, None] + parts["bias"][:, None, None]
        return np.where(x > 0, x, slope * x)

    def with_attributes(x):
        maps = np.ones((1, 1, *x.shape[2:])) * attributes.double().numpy()[:, :, None, None]
        return np.concatenate([x, maps], axis=1)

    slopes = {"relu": 0.0, "leaky_relu": config.slope}
    x = images.double().numpy()
    levels = []
    for depth in range(5):
        slope = slopes[config.encoder_activation]
        x = stage(x, f"enc_layers.{depth}", conv, config.encoder_norm, slope)
        levels.append(x)
    x = with_attributes(x)
    for depth in range(4):
        slope = slopes[config.decoder_activation]
        x = stage(x, f"dec_layers.{depth}", deconv, config.decoder_norm, slope)
        if depth < config.shortcut_layers:
            x = np.concatenate([x, levels[3 - depth]], axis=1)
        if depth < config.inject_layers:
            x = with_attributes(x)
    return np.tanh(stage(x, "dec_layers.4", deconv, "none", 1.0))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"shortcut_layers": 2, "inject_layers": 3, "decoder_activation": "leaky_relu", "slope": 0.2},
        {"shortcut_layers": 4, "inject_layers": 1, "encoder_norm": "instance", "decoder_norm": "none"},
        {"shortcut_layers": 0, "inject_layers": 0, "encoder_norm": "none", "decoder_norm": "instance"},
    ],
)
def test_forward_agrees_with_an_independent_reference(changes, lived_in, faces):
    config = GeneratorConfig(**{"width": 2, "image_size": 64, "n_attributes": 3} | changes)
    generator = lived_in(Generator, config, seed=3)
    images = faces(2, 64)
    attributes = torch.tensor([[0.5, -0.5, 1.0], [0.0, 0.5, -0.5]])
    with torch.inference_mode():
        edited = generator(images, attributes).double().numpy()
    expected = reference(generator, images, attributes)
    assert expected.std() > 0.01
    np.testing.assert_allclose(edited, expected, atol=2e-6)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"image_size": 100}, "multiple of 32 from 64 up, not 100"),
        ({"image_size": 32}, "multiple of 32 from 64 up, not 32"),
    ],
)
def test_settings_out_of_range_are_refused(settings, rule):
    with pytest.raises(ValidationError, match=rule):
        GeneratorConfig(**settings)


@pytest.mark.parametrize("inject_layers", [0, 2])
def test_styles_change_nothing_before_they_are_trained(inject_layers: int) -> None:
    plain = fresh(Generator, GeneratorConfig(image_size=64, width=2, inject_layers=inject_layers), 0).eval()
    styled = with_styles(plain, ("Round", "Metal", "Rimless")).eval()
    assert styled.config.n_inputs == 16
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    attributes, styles = torch.full((2, 13), 0.5), torch.tensor([[0.5, -0.5, 0.0]]).expand(2, 3)
    with torch.no_grad():
        expected = plain(images, attributes)
        assert torch.allclose(styled(images, torch.cat([attributes, styles], 1)), expected, atol=1e-6)
        assert torch.equal(
            styled(images, attributes), styled(images, torch.nn.functional.pad(attributes, (0, 3)))
        )
    with pytest.raises(ValueError, match="attributes of shape"):
        styled(images, torch.zeros(2, 14))
