import torch
from torch.nn import functional

from attgan.models import Discriminator, DiscriminatorConfig


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
