import hashlib
import json
import os
import subprocess

import fsspec
import pytest
import safetensors.torch
import torch
from pyarrow import fs

from attgan.attributes import PUBLISHED
from attgan.models import inspect_bundle, load_bundle
from tests.support.refusals import refused

NAME = "dec_layers.2.layers.0.weight"
FILES = (
    "generator.safetensors",
    "discriminator.safetensors",
    "classifier.safetensors",
    "config.json",
    "README.md",
)


def equal(network, other):
    one, two = network.state_dict(), other.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def rewrite(folder, change, name="generator.safetensors"):
    """Change the tensors of one file, and record the new file as if it belonged there."""
    tensors = safetensors.torch.load_file(folder / name)
    change(tensors)
    safetensors.torch.save_file(tensors, folder / name)
    record(folder, name)


def record(folder, name):
    config = json.loads((folder / "config.json").read_text())
    config["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture
def memory():
    """A filesystem that is not the local disk."""
    yield fs.PyFileSystem(fs.FSSpecHandler(fsspec.filesystem("memory", skip_instance_cache=True)))
    fsspec.implementations.memory.MemoryFileSystem.store.clear()
    fsspec.implementations.memory.MemoryFileSystem.pseudo_dirs[:] = [""]


def test_bundle_is_loaded_as_it_was_saved(saved, generator, discriminator, classifier, faces):
    bundle = load_bundle(saved(classifier=classifier))
    assert equal(bundle.generator, generator)
    assert equal(bundle.discriminator, discriminator)
    assert bundle.config.generator == generator.config
    assert bundle.config.discriminator == discriminator.config
    assert bundle.config.attributes == PUBLISHED
    assert bundle.config.licence == "For tests only"
    assert equal(bundle.classifier, classifier)
    assert not bundle.generator.training
    images, wanted = faces(2, 64), torch.full((2, 13), 0.5)
    with torch.inference_mode():
        assert torch.equal(bundle.generator(images, wanted), generator(images, wanted))


def test_float16_halves_only_the_weights(saved, generator):
    small, large = saved("small", dtype="float16"), saved("large")
    bundle = load_bundle(small)
    assert bundle.config.dtype == "float16"
    for name, tensor in bundle.generator.state_dict().items():
        source = generator.state_dict()[name]
        assert tensor.dtype == source.dtype
        assert torch.equal(tensor, source.half().float() if source.ndim > 1 else source)
    sizes = [(folder / "generator.safetensors").stat().st_size for folder in (small, large)]
    assert sizes[0] < 0.6 * sizes[1]
    again = saved("again", generator=bundle.generator, discriminator=bundle.discriminator, dtype="float16")
    assert inspect_bundle(again).digest == bundle.digest


def test_weight_too_large_for_float16_is_refused(saved, generator):
    with torch.no_grad():
        generator.get_parameter(NAME)[0] = 1e5
    with refused("tensor-not-finite", NAME):
        saved(dtype="float16")
    assert equal(load_bundle(saved()).generator, generator)


def test_diverged_network_is_not_saved(saved, generator, tmp_path):
    with torch.no_grad():
        generator.get_parameter(NAME)[0] = torch.nan
    with refused("tensor-not-finite", NAME):
        saved()
    assert not list(tmp_path.iterdir())


def test_digest_is_that_of_the_files(saved):
    first, second = saved("first"), saved("second")
    digest = load_bundle(first).digest
    assert digest == inspect_bundle(first).digest == load_bundle(second, with_discriminator=False).digest
    listing = "LC_ALL=C sha256sum * | sha256sum"
    by_hand = subprocess.run(listing, shell=True, cwd=first, capture_output=True, text=True, check=True)
    assert by_hand.stdout.split()[0] == digest
    others = [saved("licence", licence="Another"), saved("dtype", dtype="float16"), saved("about", about="Z")]
    assert len({digest, *(inspect_bundle(folder).digest for folder in others)}) == 4


def test_flipped_bit_in_the_weights_is_refused(saved):
    folder = saved()
    content = bytearray((folder / "generator.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "generator.safetensors").write_bytes(content)
    with refused("checksum-mismatch", "generator.safetensors"):
        load_bundle(folder)


def test_bundle_works_on_any_filesystem(saved, generator, tmp_path, memory):
    digest = inspect_bundle(saved()).digest
    for filesystem, path in (
        (fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "tree/deeper/one"),
        (fs.SubTreeFileSystem("bucket/models", memory), "two/"),
    ):
        loaded = load_bundle(saved(place=path, filesystem=filesystem), filesystem)
        assert loaded.digest == digest
        assert equal(loaded.generator, generator)
    assert (tmp_path / "tree" / "deeper" / "one" / "config.json").is_file()
    assert not list(tmp_path.rglob("*.partial"))


def truncate(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda folder: (folder / "config.json").unlink(), ("bundle-missing", "config.json")),
        (
            lambda folder: (folder / "generator.safetensors").unlink(),
            ("bundle-missing", "generator.safetensors"),
        ),
        (lambda folder: (folder / "config.json").write_text("{}"), ("bundle-config-invalid", "config.json")),
        (
            lambda folder: truncate(folder / "generator.safetensors"),
            ("safetensors-unreadable", "generator.safetensors"),
        ),
        (lambda folder: rewrite(folder, lambda t: t.pop(NAME)), ("tensor-missing", NAME)),
        (
            lambda folder: rewrite(folder, lambda t: t[NAME].fill_(torch.inf)),
            ("tensor-not-finite", "generator.safetensors", NAME),
        ),
        (
            lambda folder: rewrite(
                folder, lambda t: t.update({"head.weight": torch.ones(12, 32)}), "classifier.safetensors"
            ),
            ("tensor-shape-wrong", "classifier.safetensors", "32"),
        ),
    ],
)
def test_incomplete_bundle_is_refused_in_one_line(saved, classifier, spoil, rule):
    folder = saved(classifier=classifier)
    spoil(folder)
    with refused(*rule) as refusal:
        load_bundle(folder, label=f"--bundle {folder}")
    assert refusal.value.line.startswith(f"--bundle {folder}: ")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"extra": 1}, "extra"),
        ({"attributes": ["Male"]}, "13"),
        ({"discriminator": None}, "files"),
        ({"files": {"../secret": "0" * 64}}, "files"),
    ],
)
def test_contradictory_config_is_refused(saved, changes, named):
    folder = saved()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    with refused("bundle-config-invalid", "config.json", named):
        inspect_bundle(folder)


def test_bundle_is_replaced_only_on_request(saved, generator):
    folder = saved()
    digest = inspect_bundle(folder).digest
    with refused("bundle-exists"):
        saved(licence="Another")
    assert inspect_bundle(folder).digest == digest
    saved(licence="Another", discriminator=None, overwrite=True)
    assert load_bundle(folder).discriminator is None
    assert {path.name for path in folder.iterdir()} == {"config.json", "README.md", "generator.safetensors"}


@pytest.mark.parametrize("step", range(8))
def test_interrupted_replacement_is_not_a_bundle(saved, monkeypatch, step):
    """Cut off before each fsync in turn, as by a kill: refused, or wholly the new one; never a mixture."""
    folder = saved()
    sync, done = os.fsync, []

    def cut(descriptor):
        if len(done) == step:
            raise KeyboardInterrupt
        done.append(descriptor)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", cut)
    with pytest.raises(KeyboardInterrupt):
        saved(dtype="float16", overwrite=True)
    monkeypatch.undo()
    # The last cut comes after the last rename: only then everything stands.
    if step == 7:
        assert load_bundle(folder).config.dtype == "float16"
    else:
        with refused("bundle-missing", "config.json"):
            load_bundle(folder)
    saved(overwrite=True)
    assert {path.name for path in folder.iterdir()} <= {*FILES}
    assert load_bundle(folder).config.dtype == "float32"


def test_interrupted_first_write_is_not_a_bundle(saved, memory, generator):
    """On an object store: whichever object was the last to arrive."""

    class Dying(fs.FSSpecHandler):
        left = 0

        def open_output_stream(self, path, metadata):
            if self.left == 0:
                raise OSError("connection lost")
            self.left -= 1
            return super().open_output_stream(path, metadata)

    handler = Dying(memory.handler.fs)
    for count in range(4):
        handler.left = count
        with pytest.raises(OSError, match="connection lost"):
            saved(place="bucket/one", filesystem=fs.PyFileSystem(handler))
        with refused("bundle-missing", "config.json"):
            load_bundle("bucket/one", memory)


def test_unreadable_file_raises_the_filesystems_error(saved, memory):
    """A network error is passed on as it is; only what is missing is refused."""

    class Broken(fs.FSSpecHandler):
        def open_input_stream(self, path):
            raise OSError("timed out")

    with pytest.raises(OSError, match="timed out"):
        load_bundle("bucket/one", fs.PyFileSystem(Broken(memory.handler.fs)))
