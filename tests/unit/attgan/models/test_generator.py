import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from attgan.models import Generator, GeneratorConfig, fresh, with_styles

fixed = settings(derandomize=True, deadline=None, max_examples=25)

counts = st.integers(0, 4)
norms = st.sampled_from(["batch", "instance", "none"])
activations = st.sampled_from(["relu", "leaky_relu"])
configs = st.builds(
    GeneratorConfig,
    n_attributes=st.integers(1, 40),
    image_size=st.sampled_from([64, 96, 128]),
    width=st.integers(1, 5),
    shortcut_layers=counts,
    inject_layers=counts,
    encoder_norm=norms,
    decoder_norm=norms,
    encoder_activation=activations,
    decoder_activation=activations,
    slope=st.sampled_from([0.0, 0.01, 0.2]),
)


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


@given(configs, st.integers(1, 3))
@fixed
def test_output_has_the_size_of_the_input(config, count):
    generator = Generator(config).eval()
    size = config.image_size
    images = torch.rand(count, 3, size, size) * 2 - 1
    with torch.inference_mode():
        features = generator.encode(images)
        edited = generator.decode(features, torch.zeros(count, config.n_attributes))
    assert [tuple(level.shape) for level in features] == [
        (count, config.width * 2**depth, size // 2 ** (depth + 1), size // 2 ** (depth + 1))
        for depth in range(5)
    ]
    assert edited.shape == images.shape
    assert edited.abs().max() <= 1


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


@pytest.mark.parametrize("shortcut_layers", range(5))
def test_shortcuts_start_at_the_innermost_layer(shortcut_layers, faces):
    generator = Generator(GeneratorConfig(width=1, image_size=64, shortcut_layers=shortcut_layers)).eval()
    features = [level.detach().requires_grad_() for level in generator.encode(faces(1, 64))]
    edited = generator.decode(features, torch.zeros(1, 13))
    gradients = torch.autograd.grad(edited.sum(), features, allow_unused=True)
    used = [depth for depth, gradient in enumerate(gradients) if gradient is not None]
    assert used == [*range(4 - shortcut_layers, 4), 4]


@pytest.mark.parametrize("inject_layers", range(5))
def test_attributes_are_injected_after_each_inject_layer(inject_layers, faces):
    """With the channels of every entry but one cut, the attributes still matter, and with all cut no longer."""
    config = GeneratorConfig(width=1, image_size=64, n_attributes=2, inject_layers=inject_layers)
    generator = Generator(config).eval()
    entries = [f"dec_layers.{depth}.layers.0.weight" for depth in range(inject_layers + 1)]
    # Attributes are the last channels of what a layer is fed.
    kept = {name: generator.get_parameter(name)[-2:].detach().clone() for name in entries}
    features = generator.encode(faces(1, 64))

    def difference():
        with torch.no_grad():
            ones, zeros = (generator.decode(features, torch.full((1, 2), value)) for value in (1.0, 0.0))
        return (ones - zeros).abs().max().item()

    with torch.no_grad():
        for name in entries:
            generator.get_parameter(name)[-2:] = 0
    assert difference() == 0
    for name in entries:
        with torch.no_grad():
            generator.get_parameter(name)[-2:] = kept[name] * 100
        assert difference() > 0
        with torch.no_grad():
            generator.get_parameter(name)[-2:] = 0


def test_one_encoding_can_be_decoded_many_times(generator, faces):
    images, wanted, other = faces(2, 64), torch.full((2, 13), 0.5), torch.full((2, 13), -0.5)
    with torch.inference_mode():
        features = generator.encode(images)
        before = [level.clone() for level in features]
        first = generator.decode(features, wanted)
        generator.decode(features, other)
        again = generator.decode(features, wanted)
        assert torch.equal(first, again)
        assert torch.equal(first, generator(images, wanted))
    assert all(torch.equal(level, copy) for level, copy in zip(features, before, strict=True))


def test_layout_of_images_changes_no_result(generator, faces):
    images, wanted = faces(4, 64), torch.full((4, 13), 0.5)
    with torch.inference_mode():
        fast = generator(images.contiguous(memory_format=torch.channels_last), wanted)
        slow = generator(images, wanted)
    assert fast.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(fast, slow)


def test_training_step_changes_every_parameter(lived_in, faces):
    generator = lived_in(Generator, GeneratorConfig(width=2, image_size=64, inject_layers=2)).train()
    edited = generator(faces(2, 64), torch.full((2, 13), 0.5))
    (edited - faces(2, 64)).abs().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in generator.parameters())


@pytest.mark.parametrize("shape", [(1, 3, 96, 96), (1, 1, 64, 64), (3, 64, 64), (1, 3, 64, 96)])
def test_images_of_another_shape_are_refused(generator, shape):
    with pytest.raises(ValueError, match=r"images of shape .* \(N, 3, 64, 64\)"):
        generator(torch.zeros(shape), torch.zeros(1, 13))


@pytest.mark.parametrize("shape", [(1, 12), (2, 13), (13,)])
def test_attributes_of_another_shape_are_refused(generator, faces, shape):
    with pytest.raises(ValueError, match=r"attributes of shape .* \(1, 13\)"):
        generator(faces(1, 64), torch.zeros(shape))


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"image_size": 100}, "multiple of 32 from 64 up, not 100"),
        ({"image_size": 32}, "multiple of 32 from 64 up, not 32"),
        ({"shortcut_layers": 5}, "shortcut_layers"),
        ({"inject_layers": -1}, "inject_layers"),
        ({"width": 0}, "width"),
        ({"n_attributes": 0}, "n_attributes"),
        ({"encoder_norm": "layer"}, "'batch', 'instance' or 'none'"),
        ({"decoder_activation": "gelu"}, "'relu' or 'leaky_relu'"),
        ({"slope": 1.0}, "slope"),
        ({"depth": 5}, "Extra inputs are not permitted"),
    ],
)
def test_settings_out_of_range_are_refused(settings, rule):
    with pytest.raises(ValidationError, match=rule):
        GeneratorConfig(**settings)


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        GeneratorConfig().width = 32


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
