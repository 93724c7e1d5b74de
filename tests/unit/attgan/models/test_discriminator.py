import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn import functional

from attgan.models import Discriminator, DiscriminatorConfig

fixed = settings(derandomize=True, deadline=None, max_examples=20)

configs = st.builds(
    DiscriminatorConfig,
    n_attributes=st.integers(1, 40),
    image_size=st.sampled_from([64, 96, 128]),
    width=st.integers(1, 4),
    hidden=st.integers(1, 20),
    norm=st.sampled_from(["batch", "instance", "none"]),
    activation=st.sampled_from(["relu", "leaky_relu"]),
    head_activation=st.sampled_from(["relu", "leaky_relu"]),
)


def bare(config):
    with torch.device("meta"):
        return Discriminator(config)


def test_parameter_count_is_the_published_one():
    assert sum(parameter.numel() for parameter in bare(DiscriminatorConfig()).parameters()) == 44_718_990


def test_state_dict_has_the_published_names_and_shapes():
    expected = {}
    for depth, shape in enumerate([(64, 3), (128, 64), (256, 128), (512, 256), (1024, 512)]):
        expected[f"conv.{depth}.layers.0.weight"] = (*shape, 4, 4)
        expected |= {f"conv.{depth}.layers.1.{part}": (shape[0],) for part in ("weight", "bias")}
    for head, outputs in (("fc_adv", 1), ("fc_cls", 13)):
        expected[f"{head}.0.layers.0.weight"] = (1024, 1024 * 4 * 4)
        expected[f"{head}.0.layers.0.bias"] = (1024,)
        expected[f"{head}.1.layers.0.weight"] = (outputs, 1024)
        expected[f"{head}.1.layers.0.bias"] = (outputs,)
    found = {name: tuple(tensor.shape) for name, tensor in bare(DiscriminatorConfig()).state_dict().items()}
    assert found == expected


@given(configs, st.integers(1, 3))
@fixed
def test_one_score_and_n_logits_for_each_image(config, count):
    discriminator = Discriminator(config).eval()
    size = config.image_size
    with torch.inference_mode():
        critic, logits = discriminator(torch.rand(count, 3, size, size))
    assert critic.shape == (count,)
    assert logits.shape == (count, config.n_attributes)


def reference(discriminator, images):
    """The discriminator once more, out of place and without modules, from the state dict alone."""
    tensors = dict(discriminator.named_parameters())
    x = images
    for depth in range(5):
        x = functional.conv2d(x, tensors[f"conv.{depth}.layers.0.weight"], stride=2, padding=1)
        variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
        x = (x - mean) / (variance + 1e-5).sqrt()
        x = x * tensors[f"conv.{depth}.layers.1.weight"][:, None, None]
        x = x + tensors[f"conv.{depth}.layers.1.bias"][:, None, None]
        x = torch.where(x > 0, x, 0.01 * x)
    features = x.reshape(len(x), -1)
    results = []
    for head in ("fc_adv", "fc_cls"):
        weights = [tensors[f"{head}.{layer}.layers.0.weight"] for layer in (0, 1)]
        biases = [tensors[f"{head}.{layer}.layers.0.bias"] for layer in (0, 1)]
        hidden = (features @ weights[0].T + biases[0]).clamp(min=0)
        results.append(hidden @ weights[1].T + biases[1])
    return results[0][:, 0], results[1]


def test_forward_agrees_with_an_independent_reference(discriminator, faces):
    with torch.no_grad():
        critic, logits = discriminator(faces(3, 64))
        expected = reference(discriminator, faces(3, 64))
    assert expected[1].std() > 0.01
    torch.testing.assert_close((critic, logits), expected, atol=1e-5, rtol=1e-4)


def test_critic_alone_gives_the_same_scores(discriminator, faces):
    with torch.no_grad():
        assert torch.equal(discriminator.critic(faces(3, 64)), discriminator(faces(3, 64))[0])


def test_second_derivatives_agree_with_the_reference(discriminator, faces):
    """The gradient penalty needs them, and activations in place could spoil them."""

    def penalty_gradients(critic):
        images = faces(2, 64).requires_grad_()
        (slope,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
        penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
        weights = [discriminator.get_parameter(f"conv.{depth}.layers.0.weight") for depth in range(5)]
        return torch.autograd.grad(penalty, weights)

    found = penalty_gradients(discriminator.critic)
    expected = penalty_gradients(lambda images: reference(discriminator, images)[0])
    assert all(gradient.abs().max() > 0 for gradient in expected)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-3)


def test_images_of_another_shape_are_refused(discriminator, faces):
    with pytest.raises(ValueError, match=r"images of shape .* \(N, 3, 64, 64\)"):
        discriminator(faces(1, 96))


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"image_size": 48}, "multiple of 32 from 64 up, not 48"),
        ({"hidden": 0}, "hidden"),
        ({"norm": "spectral"}, "'batch', 'instance' or 'none'"),
        ({"heads": 2}, "Extra inputs are not permitted"),
    ],
)
def test_settings_out_of_range_are_refused(settings, rule):
    with pytest.raises(ValidationError, match=rule):
        DiscriminatorConfig(**settings)
