import io
import os
import pickle
import zipfile
from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import fs

from attgan.attributes import CELEBA, PUBLISHED
from attgan.errors import UserError
from attgan.models import (
    DiscriminatorConfig,
    Generator,
    GeneratorConfig,
    fresh,
    import_published,
    load_bundle,
    save_bundle,
)
from attgan.models.shapes import generator_settings

fixed = settings(derandomize=True, deadline=None, max_examples=60)

NAME = "dec_layers.1.layers.0.weight"
TINY = GeneratorConfig(width=2, image_size=64)
TINY_JUDGE = DiscriminatorConfig(width=2, image_size=64, hidden=8)


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
def test_a_published_generator_is_read_with_the_published_defaults(published, generator, zipped):
    read = import_published(published(zipped=zipped), image_size=64)
    assert equal(read.generator, generator)
    assert read.generator.config == generator.config
    assert read.generator.config.decoder_activation == "relu"
    assert read.generator.config.slope == 0.01
    assert read.attributes == PUBLISHED
    assert read.discriminator is None
    assert import_published(published(zipped=zipped)).generator.config.image_size == 128


def test_generator_and_discriminator_make_a_bundle(published, generator, discriminator, tmp_path):
    states = {"G": tensors_of(generator), "D": tensors_of(discriminator), "optim_G": {"state": {}}}
    read = import_published(published(states))
    assert read.generator.config.image_size == read.discriminator.config.image_size == 64
    assert read.discriminator.config == discriminator.config
    save_bundle(
        tmp_path / "bundle",
        generator=read.generator,
        discriminator=read.discriminator,
        attributes=read.attributes,
        licence="For tests only",
        about="Imported.",
    )
    bundle = load_bundle(tmp_path / "bundle")
    assert equal(bundle.generator, generator)
    assert equal(bundle.discriminator, discriminator)


@pytest.mark.parametrize("wrapped", [True, False], ids=["under G", "bare"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_bare_and_data_parallel_state_dicts_are_read(published, generator, wrapped, prefix):
    state = OrderedDict((prefix + name, tensor) for name, tensor in tensors_of(generator).items())
    read = import_published(published({"G": state} if wrapped else state))
    assert equal(read.generator, generator)


def test_files_older_than_the_norms_counters_are_read(published, generator):
    state = tensors_of(generator)
    for name in [name for name in state if name.endswith("num_batches_tracked")]:
        del state[name]
    read = import_published(published({"G": state}))
    assert equal(read.generator, generator)


def test_options_name_what_shapes_cannot_tell(published):
    names = CELEBA[:3]
    config = GeneratorConfig(
        n_attributes=3,
        width=2,
        image_size=384,
        encoder_activation="relu",
        decoder_activation="leaky_relu",
        slope=0.2,
    )
    path = published({"G": tensors_of(fresh(Generator, config, 0))})
    read = import_published(
        path,
        attributes=names,
        image_size=384,
        encoder_activation="relu",
        decoder_activation="leaky_relu",
        slope=0.2,
    )
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
def test_settings_are_read_off_the_shapes_or_offered(config):
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
    with pytest.raises(UserError, match=r"leave open --shortcut-layers .*: they can be 0 and 1 or 1 and 0"):
        import_published(path, attributes=names, image_size=64)
    read = import_published(path, attributes=names, image_size=64, shortcut_layers=1)
    assert read.generator.config == config
    read = import_published(path, attributes=names, image_size=64, inject_layers=1)
    assert (read.generator.config.shortcut_layers, read.generator.config.inject_layers) == (0, 1)


def test_it_is_read_from_any_filesystem(published, generator, tmp_path):
    published()
    filesystem = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    assert equal(import_published("weights.pth", filesystem).generator, generator)


def test_the_networks_do_not_hang_on_the_file(published, generator):
    path = published()
    read = import_published(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert equal(read.generator, generator)


class Intruder:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mknod, (self.path,)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
@pytest.mark.parametrize("place", ["instead of G", "in G", "beside G", "in a norm"])
def test_pickled_objects_are_refused_and_never_run(published, generator, tmp_path, zipped, place):
    trap, state = tmp_path / "touched", tensors_of(generator)
    intruder = Intruder(trap)
    content = {
        "instead of G": {"G": intruder},
        "in G": {"G": state | {"enc_layers.9": intruder}},
        "beside G": {"G": state, "args": intruder},
        "in a norm": {"G": state | {"enc_layers.0.layers.1.bias": intruder}},
    }[place]
    path = published(content, zipped)
    with pytest.raises(UserError, match=r"holds a pickled object \(posix.mknod\), not only tensors"):
        import_published(path)
    assert not trap.exists()
    # The trap is a real one: plain pickle falls into it.
    torch.load(path, weights_only=False)
    assert trap.exists()


def test_a_plain_pickle_is_refused_and_never_run(tmp_path):
    trap, path = tmp_path / "touched", tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps({"G": Intruder(trap)}, protocol=2))
    with pytest.raises(UserError, match=r"weights\.pth: "):
        import_published(path)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state.pop(NAME), f"tensor {NAME} is missing"),
        (lambda state: state.pop("enc_layers.0.layers.0.weight"), "enc_layers.0.layers.0.weight is missing"),
        (
            lambda state: state.pop("enc_layers.2.layers.1.running_var"),
            "enc_layers.2.layers.1.running_var is miss",
        ),
        (lambda state: state.pop("dec_layers.4.layers.0.bias"), "dec_layers.4.layers.0.bias is missing"),
        (lambda state: state.update(odd=torch.ones(1)), "tensor odd does not belong"),
        (lambda state: state.update({"a\n\x1b[2J": torch.ones(1)}), r"tensor a��\[2J does not belong"),
        (lambda state: state.update({NAME: torch.ones(33, 99, 4, 4)}), f"{NAME} takes 33 channels where"),
        (lambda state: state.update({NAME: torch.ones(61, 9, 4, 4)}), f"{NAME} is 61×9×4×4 where 61×16×4×4"),
        (lambda state: state.update({NAME: torch.ones(48)}), f"{NAME} has 1 dimensions where 4"),
        (lambda state: state.update({NAME: state[NAME].double()}), f"{NAME} is float64 where float32"),
        (lambda state: state.update({NAME: state[NAME] * torch.nan}), f"{NAME} holds values .* not finite"),
        (lambda state: state.update({NAME: state[NAME].to_sparse()}), f"{NAME} of 'G' is not a plain one"),
        (lambda state: state.update({NAME: state[NAME].to("meta")}), f"{NAME} of 'G' is not a plain one"),
        (lambda state: state.update({NAME: 3}), f"'G' holds int under {NAME}, not a tensor"),
        (lambda state: state.update({"module." + NAME: state[NAME]}), f"{NAME} comes twice in 'G'"),
        (
            lambda state: state.update({"enc_layers.5.layers.0.weight": torch.ones(1)}),
            "enc_layers has 6 layers where 5",
        ),
        (
            lambda state: state.update({"dec_layers.0.layers.0.weight": torch.ones(32, 32, 4, 4)}),
            "no room for attributes",
        ),
        (
            lambda state: state.update({"enc_layers.0.layers.1.mean_weight": torch.ones(3)}),
            "switchable norm, which is not supported",
        ),
        (
            lambda state: state.update({"enc_layers.0.layers.0.weight": torch.ones(2000, 3, 4, 4)}),
            "gives 2000 channels; 1 to 1024",
        ),
    ],
)
def test_a_generator_that_does_not_fit_is_refused_by_the_tensors_name(published, generator, change, problem):
    state = tensors_of(generator)
    change(state)
    path = published({"G": state})
    with pytest.raises(UserError, match=problem) as refusal:
        import_published(path, label=f"--weights {path}")
    assert str(refusal.value).startswith(f"--weights {path}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state.pop("conv.1.layers.1.bias"), "tensor conv.1.layers.1.bias is missing"),
        (lambda state: state.pop("fc_adv.0.layers.0.weight"), "fc_adv.0.layers.0.weight is missing"),
        (lambda state: state.update(odd=torch.ones(1)), "tensor odd does not belong"),
        (
            lambda state: state.update({"fc_adv.0.layers.0.weight": torch.ones(8, 130)}),
            "takes 130 features, which is no square of 32 channels from 2 pixels up",
        ),
        (
            lambda state: state.update({"fc_cls.1.layers.0.weight": torch.ones(12, 8)}),
            "the discriminator knows 12 attributes, the generator 13",
        ),
    ],
)
def test_a_discriminator_that_does_not_fit_is_refused(published, generator, discriminator, change, problem):
    state = tensors_of(discriminator)
    change(state)
    path = published({"G": tensors_of(generator), "D": state})
    with pytest.raises(UserError, match=problem):
        import_published(path)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"image_size": 100}, "image_size: an image size is a multiple of 32 from 64 up, not 100"),
        ({"attributes": CELEBA}, "--attributes names 40 attributes and the generator has 13"),
        ({"shortcut_layers": 3}, "contradict --shortcut-layers .*: they can be 1 and 1"),
        ({"inject_layers": 0}, "contradict --shortcut-layers .*: they can be 1 and 1"),
        ({"slope": 2.0}, "slope"),
    ],
)
def test_options_that_contradict_the_file_are_refused(published, options, problem):
    with pytest.raises(UserError, match=problem):
        import_published(published(), **options)


def test_an_image_size_that_contradicts_the_discriminator_is_refused(published, generator, discriminator):
    path = published({"G": tensors_of(generator), "D": tensors_of(discriminator)})
    with pytest.raises(UserError, match="--image-size 128 contradicts the discriminator, which is for 64"):
        import_published(path, image_size=128)


def test_other_numbers_of_attributes_must_be_named(published):
    config = GeneratorConfig(width=2, image_size=64, n_attributes=5)
    path = published({"G": tensors_of(fresh(Generator, config, 0))})
    with pytest.raises(UserError, match="has 5 attributes; name them with --attributes"):
        import_published(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([1, 2], "holds a list, not a state dict"),
        (torch.ones(3), "holds a Tensor, not a state dict"),
        ({}, "holds nothing, but neither 'G' nor"),
        ({"state_dict": {}, "epoch": 3}, "holds 'state_dict', 'epoch', but neither 'G' nor"),
        ({"G": 3}, "'G' is a int, not a state dict"),
        ({"G": {}}, "tensor enc_layers.0.layers.0.weight is missing"),
    ],
)
def test_other_checkpoints_are_refused(published, content, problem):
    with pytest.raises(UserError, match=problem):
        import_published(published(content))


def archive():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("holiday.txt", "sun")
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"hello\n" * 20, b"\x89PNG\r\n\x1a\n" + bytes(200), archive(), pickle.dumps({"G": 1}, protocol=4)],
    ids=["empty", "text", "picture", "zip", "pickle"],
)
def test_files_of_other_kinds_are_refused(tmp_path, content):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"weights\.pth: is damaged or no PyTorch checkpoint") as refusal:
        import_published(tmp_path / "weights.pth")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(published, zipped, share):
    path = published(zipped=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match="is damaged or "):
        import_published(path)


def test_what_is_not_a_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        import_published(tmp_path / "none.pth")
    with pytest.raises(UserError, match="is a folder"):
        import_published(tmp_path)


def test_a_whole_published_file_of_full_width_is_read_strictly(tmp_path):
    """The real names and the real shapes, in half a second; the values do not matter."""
    with torch.device("meta"):
        shapes = Generator(GeneratorConfig()).state_dict()
    state = {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in shapes.items()}
    torch.save({"G": state}, tmp_path / "weights.199.pth")
    read = import_published(tmp_path / "weights.199.pth")
    assert sum(parameter.numel() for parameter in read.generator.parameters()) == 43_352_707
    assert read.generator.config == GeneratorConfig()
