import pytest
import torch

from attgan.models import Generator, GeneratorConfig, fresh, from_tensors
from tests.support.refusals import refused

TINY = GeneratorConfig(width=2, image_size=64)


def test_same_seed_gives_the_same_network():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (fresh(Generator, TINY, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["enc_layers.0.layers.0.weight"], other["enc_layers.0.layers.0.weight"])


def test_network_from_tensors_has_copies_for_inference(generator, faces):
    tensors = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    built = from_tensors(Generator, generator.config, tensors, "here")
    for tensor in tensors.values():
        tensor.zero_()
    assert not built.training
    assert all(
        weight.is_contiguous(memory_format=torch.channels_last)
        for weight in built.parameters()
        if weight.ndim == 4
    )
    assert all(parameter.requires_grad for parameter in built.parameters())
    wanted = torch.full((2, 13), 0.5)
    with torch.inference_mode():
        assert torch.equal(built(faces(2, 64), wanted), generator(faces(2, 64), wanted))


NAME = "dec_layers.2.layers.0.weight"


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda tensors: tensors.pop(NAME), ("tensor-missing", NAME)),
        (lambda tensors: tensors.update(odd=torch.ones(1)), ("tensor-unexpected",)),
        (
            lambda tensors: tensors.update({NAME: torch.ones(16, 8, 4, 3)}),
            ("tensor-shape-wrong", NAME, "3", "4"),
        ),
        (lambda tensors: tensors.update({NAME: tensors[NAME].half()}), ("tensor-dtype-wrong", NAME)),
        (lambda tensors: tensors[NAME].view(-1)[7].fill_(torch.nan), ("tensor-not-finite", NAME)),
    ],
)
def test_wrong_tensors_are_refused_by_name(spoil, rule):
    tensors = {name: tensor.contiguous() for name, tensor in fresh(Generator, TINY, 0).state_dict().items()}
    spoil(tensors)
    with refused(*rule):
        from_tensors(Generator, TINY, tensors, "here")
