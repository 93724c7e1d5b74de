import io
import os
import pickle
import zipfile
from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attgan.attributes import CELEBA, PUBLISHED
from attgan.errors import UserError
from attgan.models import (
    Generator,
    GeneratorConfig,
    fresh,
    import_published,
    load_bundle,
)
from attgan.models.shapes import generator_settings
from tests.support.refusals import refused

fixed = settings(derandomize=True, deadline=None, max_examples=60)

NAME = "dec_layers.1.layers.0.weight"
TINY = GeneratorConfig(width=2, image_size=64)


def tensors_of(network):
    return OrderedDict((name, tensor.contiguous()) for name, tensor in network.state_dict().items())


@pytest.fixture
def published(tmp_path, generator):
    """A maker of .pth files; by default a published one, a generator alone."""

    def make(content=None, zipped=True, name="weights.pth"):
        content = {"G": tensors_of(generator)} if content is None else content
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=zipped)
        return tmp_path / name

    return make


def equal(network, other):
    one, two = network.state_dict(), other.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
def test_published_generator_is_read_with_default_options(published, generator, zipped):
    read = import_published(published(zipped=zipped), image_size=64)
    assert equal(read.generator, generator)
    assert read.generator.config == generator.config
    assert read.generator.config.decoder_activation == "relu"
    assert read.generator.config.slope == 0.01
    assert read.attributes == PUBLISHED
    assert read.discriminator is None


def test_a_generator_alone_is_never_taken_for_one_of_128_pixels(published):
    """Its tensors are the same for every size, so nothing but the user knows it."""
    config = TINY.model_copy(update={"image_size": 384})
    path = published({"G": tensors_of(fresh(Generator, config, 0))})
    with refused("image-size-needed", "--image-size"):
        import_published(path)
    assert import_published(path, image_size=384).generator.config == config


def test_the_discriminators_activations_and_the_slope_are_options(published, generator, discriminator):
    path = published({"G": tensors_of(generator), "D": tensors_of(discriminator)})
    options = {"discriminator_activation": "relu", "head_activation": "leaky_relu", "slope": 0.2}
    read = import_published(path, **options)
    config = read.discriminator.config
    assert (config.activation, config.head_activation, config.slope) == ("relu", "leaky_relu", 0.2)
    assert read.generator.config.slope == 0.2
    usual = import_published(path).discriminator.config
    assert (usual.activation, usual.head_activation, usual.slope) == ("leaky_relu", "relu", 0.01)


def test_generator_and_discriminator_make_a_bundle(published, saved, generator, discriminator):
    states = {"G": tensors_of(generator), "D": tensors_of(discriminator), "optim_G": {"state": {}}}
    read = import_published(published(states))
    assert read.generator.config.image_size == read.discriminator.config.image_size == 64
    assert read.discriminator.config == discriminator.config
    bundle = load_bundle(saved(generator=read.generator, discriminator=read.discriminator))
    assert equal(bundle.generator, generator)
    assert equal(bundle.discriminator, discriminator)


def test_data_parallel_state_dicts_are_read(published, generator):
    state = OrderedDict(("module." + name, tensor) for name, tensor in tensors_of(generator).items())
    read = import_published(published({"G": state}), image_size=64)
    assert equal(read.generator, generator)


def test_files_without_batch_norm_counters_are_read(published, generator):
    state = tensors_of(generator)
    for name in [name for name in state if name.endswith("num_batches_tracked")]:
        del state[name]
    read = import_published(published({"G": state}), image_size=64)
    assert equal(read.generator, generator)


def test_options_decide_what_shapes_leave_open(published):
    names = CELEBA[:3]
    options = {
        "encoder_activation": "relu",
        "decoder_activation": "leaky_relu",
        "slope": 0.2,
        "image_size": 384,
    }
    config = GeneratorConfig(n_attributes=3, width=2, **options)
    path = published({"G": tensors_of(fresh(Generator, config, 0))})
    read = import_published(path, attributes=names, **options)
    assert read.generator.config == config
    assert read.attributes == names


def settings_or_refusal(tensors):
    try:
        return generator_settings(tensors, "here")
    except UserError as refusal:
        return str(refusal)


@given(
    st.builds(
        GeneratorConfig,
        width=st.integers(1, 128),
        n_attributes=st.integers(1, 64),
        shortcut_layers=st.integers(0, 4),
        inject_layers=st.integers(0, 4),
        encoder_norm=st.sampled_from(["batch", "instance", "none"]),
        decoder_norm=st.sampled_from(["batch", "instance", "none"]),
    )
)
@fixed
def test_settings_follow_from_shapes_or_are_offered(config):
    """What is read is what was built, unless other counts of layers have the very same shapes."""
    with torch.device("meta"):
        tensors = Generator(config).state_dict()
    pair = (config.shortcut_layers, config.inject_layers)
    read = {"width": config.width, "n_attributes": config.n_attributes} | {
        f"{side}_norm": getattr(config, f"{side}_norm") for side in ("encoder", "decoder")
    }
    read |= {"shortcut_layers": pair[0], "inject_layers": pair[1]}
    assert generator_settings(tensors, "here", *pair) == read
    unaided = settings_or_refusal(tensors)
    assert unaided == read or f"{pair[0]} and {pair[1]}" in unaided.split("can be ")[1].split(" or ")


def test_shapes_that_leave_the_layers_open_need_an_option(published):
    # With 16 attributes at width 2 an injection is as wide as the innermost shortcut.
    config = GeneratorConfig(n_attributes=16, width=2, image_size=64, shortcut_layers=1, inject_layers=0)
    path = published({"G": tensors_of(fresh(Generator, config, 0))})
    names = CELEBA[:16]
    with refused("layer-counts-needed", "--shortcut-layers", "0", "1"):
        import_published(path, attributes=names, image_size=64)
    read = import_published(path, attributes=names, image_size=64, shortcut_layers=1)
    assert read.generator.config == config
    read = import_published(path, attributes=names, image_size=64, inject_layers=1)
    assert (read.generator.config.shortcut_layers, read.generator.config.inject_layers) == (0, 1)


class Intruder:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mknod, (self.path,)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
@pytest.mark.parametrize("place", ["in G", "beside G"])
def test_pickled_objects_are_refused_and_never_run(published, generator, tmp_path, zipped, place):
    trap, state = tmp_path / "touched", tensors_of(generator)
    intruder = Intruder(trap)
    content = {
        "in G": {"G": state | {"enc_layers.9": intruder}},
        "beside G": {"G": state, "args": intruder},
    }[place]
    path = published(content, zipped)
    with refused("pth-pickled-object"):
        import_published(path)
    assert not trap.exists()
    # The trap is a real one: plain pickle falls into it.
    torch.load(path, weights_only=False)
    assert trap.exists()


def test_plain_pickle_is_refused_and_never_run(tmp_path):
    trap, path = tmp_path / "touched", tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps({"G": Intruder(trap)}, protocol=2))
    with refused("pth-pickled-object"):
        import_published(path)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda state: state.pop(NAME), ("tensor-missing", NAME)),
        (lambda state: state.update(odd=torch.ones(1)), ("tensor-unexpected",)),
        (
            lambda state: state.update({NAME: torch.ones(33, 99, 4, 4)}),
            ("network-shape-unsupported", NAME, "33"),
        ),
        (lambda state: state.update({NAME: state[NAME].double()}), ("tensor-dtype-wrong", NAME)),
        (lambda state: state.update({NAME: state[NAME] * torch.nan}), ("tensor-not-finite", NAME)),
        (lambda state: state.update({NAME: state[NAME].to_sparse()}), ("pth-tensor-invalid", NAME)),
        (
            lambda state: state.update({"enc_layers.0.layers.1.mean_weight": torch.ones(3)}),
            ("norm-unsupported",),
        ),
    ],
)
def test_wrong_generator_is_refused_by_its_tensors_name(published, generator, change, rule):
    state = tensors_of(generator)
    change(state)
    path = published({"G": state})
    with refused(*rule) as refusal:
        import_published(path, image_size=64, label=f"--weights {path}")
    assert refusal.value.line.startswith(f"--weights {path}: ")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda state: state.pop("conv.1.layers.1.bias"), ("tensor-missing", "conv.1.layers.1.bias")),
        (
            lambda state: state.update({"fc_cls.1.layers.0.weight": torch.ones(12, 8)}),
            ("pth-networks-differ", "12", "13"),
        ),
    ],
)
def test_wrong_discriminator_is_refused(published, generator, discriminator, change, rule):
    state = tensors_of(discriminator)
    change(state)
    path = published({"G": tensors_of(generator), "D": state})
    with refused(*rule):
        import_published(path)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"image_size": 100}, ("network-settings-invalid", "32", "64", "100")),
        ({"attributes": CELEBA}, ("attribute-count-mismatch", "--attributes", "40", "13")),
        ({"shortcut_layers": 3}, ("layer-counts-needed", "--shortcut-layers", "1")),
    ],
)
def test_options_that_contradict_the_file_are_refused(published, options, rule):
    with refused(*rule):
        import_published(published(), **{"image_size": 64} | options)


def test_other_numbers_of_attributes_need_names(published):
    config = GeneratorConfig(width=2, image_size=64, n_attributes=5)
    path = published({"G": tensors_of(fresh(Generator, config, 0))})
    with refused("attribute-names-needed", "5", "--attributes"):
        import_published(path)


def archive():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("holiday.txt", "sun")
    return content.getvalue()


@pytest.mark.parametrize("content", [b"", b"hello\n" * 20, archive()], ids=["empty", "text", "zip"])
def test_files_of_other_kinds_are_refused(tmp_path, content):
    (tmp_path / "weights.pth").write_bytes(content)
    with refused("pth-unreadable"):
        import_published(tmp_path / "weights.pth")


def test_published_file_of_full_width_is_read_strictly(tmp_path):
    """The real names and the real shapes, in half a second; the values do not matter."""
    with torch.device("meta"):
        shapes = Generator(GeneratorConfig()).state_dict()
    state = {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in shapes.items()}
    torch.save({"G": state}, tmp_path / "weights.199.pth")
    read = import_published(tmp_path / "weights.199.pth", image_size=128)
    assert sum(parameter.numel() for parameter in read.generator.parameters()) == 43_352_707
    assert read.generator.config == GeneratorConfig()
