"""The command line: one line and exit code 2 for a mistake, readable help, no traceback."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import ray
import torch
from prefect.settings import PREFECT_API_URL, temporary_settings

from attgan.attributes import PUBLISHED
from attgan.models import Generator, GeneratorConfig, fresh, load_bundle
from flows import cli, settings
from flows.runtime import exits
from flows.runtime.cluster import connection
from tests.support.images.pictures import noise, saved
from tests.support.refusals import codes_in, refused


def run(*arguments: str) -> int:
    return cli.run(list(arguments))


@pytest.fixture(autouse=True)
def _no_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATTGAN_STACK_FOLDER", str(tmp_path / "no-stack"))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("PREFECT_API_URL", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.jpg").write_bytes(saved(noise(i)))
    return folder


@pytest.mark.parametrize(
    ("arguments", "code", "option"),
    [
        (["edit"], "option-required", "--source, --destination: "),
        (["edit", "--source", "a"], "option-required", "--destination: "),
        (["edit", "a.jpg"], "option-required", "--destination: "),
        (["edit", "--destination=b", "--dry-run"], "option-required", "--source: "),
        (["edit", "--sorce", "a"], "option-unknown", "--sorce"),
        (
            ["edit", "--source", "a", "--destination", "b", "--bundle", "c", "--quality", "0"],
            "setting-invalid",
            "--quality 0: ",
        ),
        # Before any server is asked for.
        (["edit", "nope.jpg", "out.jpg"], "file-missing", "nope.jpg"),
        (["edti"], "command-unknown", "edti"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: str, option: str
) -> None:
    assert run(*arguments) == exits.WRONG_USE
    printed = capsys.readouterr().err
    assert codes_in(printed) == [code]
    assert option in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "model"),
    [
        ("edit", settings.EditSettings),
        ("evaluate", settings.EvaluateSettings),
        ("train", settings.TrainSettings),
    ],
)
def test_help_explains_every_option(
    capsys: pytest.CaptureFixture[str], command: str, model: type[settings.Settings]
) -> None:
    options = {f"--{name.replace('_', '-')}" for name in model.model_fields}
    assert run(command, "--help-all") == 0
    assert options <= set(capsys.readouterr().out.split())
    # Those that are needed most fit on one screen.
    assert run(command, "--help") == 0
    printed = capsys.readouterr().out
    assert 3 < len(options & set(printed.split())) < 20
    assert printed.count("\n") < 50


def test_help_is_quick_to_come() -> None:
    """Nor does an edit with nothing to do wait for torch, or a worker for what only GPUs need."""
    code = (
        "import sys, flows.cli; print([m for m in ('torch', 'prefect', 'ray', 'boto3') if m in sys.modules])\n"
        "import flows.edit.flow; print([m for m in ('torch', 'matplotlib') if m in sys.modules])\n"
        "import flows.edit.shard.one_shard; print([m for m in ('torchvision', 'torch._dynamo') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["[]", "[]", "[]"]


def test_without_a_server_a_flow_is_refused(image_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle, out = (str(image_folder.parent / name) for name in ("bundle", "out"))
    assert run("init", "--destination", bundle, "--width", "2", "--image-size", "64") == 0
    places = ["--source", str(image_folder), "--destination", out, "--bundle", bundle]
    # This process's Prefect may know the server of an earlier test.
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        assert run("edit", *places) == exits.WRONG_USE
    assert codes_in(capsys.readouterr().err) == ["prefect-not-set"]


def test_a_cluster_that_is_gone_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    if not ray.is_initialized():
        with refused("ray-unreachable"):
            connection.connect_ray()


def test_an_unexpected_error_says_how_to_see_where_it_comes_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "no-stack").mkdir()
    # Nobody expects a file of addresses not to be text.
    (tmp_path / "no-stack" / "env").write_bytes(b"\xff")
    assert run("init", "--destination", str(tmp_path / "bundle")) == exits.FAILED
    printed = capsys.readouterr().err
    assert printed.startswith("attgan: failed: UnicodeDecodeError: ")
    assert "ATTGAN_TRACEBACK=1" in printed
    assert printed.count("\n") == 1
    monkeypatch.setenv("ATTGAN_TRACEBACK", "1")
    with pytest.raises(UnicodeDecodeError):
        run("init", "--destination", str(tmp_path / "bundle"))


def test_a_dry_run_counts_and_writes_nothing(capsys: pytest.CaptureFixture[str], image_folder: Path) -> None:
    bundle, out = str(image_folder.parent / "bundle"), image_folder.parent / "out"
    run("init", "--destination", bundle, "--width", "2", "--image-size", "64")
    edit = ["edit", "--source", str(image_folder), "--destination", str(out), "--bundle", bundle]
    assert run(*edit, "--set", "Young=0@0.5", "--intensity", "1.2", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "Young=0@0.5" in printed
    assert "3 (" in printed
    assert not out.exists()
    assert run(*edit, "--set", "Yuong=0", "--dry-run") == exits.WRONG_USE
    assert "there is no attribute 'Yuong'; did you mean Young?" in capsys.readouterr().err


def test_published_weights_become_a_bundle(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    generator = fresh(Generator, GeneratorConfig(width=4, shortcut_layers=1), seed=3)
    checkpoint = tmp_path / "weights.149.pth"
    torch.save({"G": generator.state_dict()}, checkpoint)
    command = ["import-weights", "--checkpoint", str(checkpoint), "--destination", str(tmp_path / "bundle")]
    assert run(*command) == exits.WRONG_USE
    assert codes_in(capsys.readouterr().err) == ["image-size-needed"]
    assert run(*command, "--image-size", "128", "--decoder-activation", "leaky_relu") == 0
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.config.attributes == PUBLISHED
    assert bundle.generator.config.decoder_activation == "leaky_relu"
    assert "non-commercial" in bundle.config.licence
    for name, tensor in generator.state_dict().items():
        assert torch.equal(bundle.generator.state_dict()[name], tensor)
    assert (
        run("import-weights", "--checkpoint", str(tmp_path / "x.pth"), "--destination", "y")
        == exits.WRONG_USE
    )
    assert f"--checkpoint {tmp_path / 'x.pth'}: " in capsys.readouterr().err


def test_a_bundle_is_handed_on_small(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    whole, small = tmp_path / "whole", tmp_path / "small"
    assert run("init", f"--destination={whole}", "--width=2", "--image-size=64") == 0
    assert run("export", f"--bundle={whole}", f"--destination={small}") == 0
    before, after = load_bundle(whole), load_bundle(small)
    assert (small / "generator.safetensors").stat().st_size < 0.6 * (
        whole / "generator.safetensors"
    ).stat().st_size
    assert before.digest in after.card
    for name, tensor in before.generator.state_dict().items():
        torch.testing.assert_close(after.generator.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)
    capsys.readouterr()
    assert run("export", f"--bundle={whole}", f"--destination={small}") == 2
    assert "it is not replaced" in capsys.readouterr().err
