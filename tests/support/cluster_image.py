"""Builds the image of ``infra/cluster/Dockerfile`` and tries it: ``python -m tests.support.cluster_image``.

With a Docker daemon, Docker builds it. Without one, the lines of the file are executed here, in a fresh Debian that
debootstrap makes in a folder: each RUN in a chroot, with mounts and processes of its own. That needs root. It takes
some minutes and 15 GB, which are given back.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.pip_settings import pip_options
from tests.support.cluster_files import CLUSTER, ROOT, Unavailable

DOCKERFILE = CLUSTER / "Dockerfile"
# What the image must be able to do, as its user.
TRIALS = (
    'test "$(id -u)" = 1000 && test -w "$HOME" && test -w /tmp/ray',
    "! touch /opt/attgan/flows/new 2>/dev/null",
    "attgan --version && prefect version && weed version && uv pip check --python /opt/attgan/.venv/bin/python",
    # As `ray up` and KubeRay call it.
    "bash --login -c 'ray --version' && bash -c -- 'ulimit -n 65536; ray --version'",
    # torch's compiler finds a C++ compiler and Python's headers.
    "python -c 'import torch; print(torch.__version__, torch.compile(lambda x: x.sin() * 2)(torch.ones(4)))'",
    # A photograph without any server: the library, the shipped bundle and the codecs.
    "attgan edit /opt/attgan/flows/demo/photographs/0001.jpg /tmp/edited.jpg && test -s /tmp/edited.jpg",
    "pgrep --version && rsync --version >/dev/null && wget --version >/dev/null && command -v ssh",
    "command -v ray-node && command -v prefect-worker",
)
_DEBIAN = re.compile(r"debian:(\w+)(-slim)?$")
_MOUNT = re.compile(r"--mount=(\S+)\s+")
_FOLDER = re.compile(r"(^| )(file:/)?/")


@dataclass
class Image:
    """The state of a build: the folder with its root file system, and what the lines so far have set."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": os.defpath + ":/usr/sbin:/sbin"})
    # Of ARG lines: for RUN, and no part of the image.
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"


def main(words: Sequence[str]) -> int:
    """Build and try the image. Returns 1 if something failed, and 0 also where it cannot be built, which is printed."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.cluster_image", description=__doc__)
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="build in this folder, and keep it")
    parser.add_argument("--without-docker", action="store_true")
    options = parser.parse_args(words)
    given = dict(argument.split("=", 1) for argument in options.build_arg)
    try:
        if not options.without_docker and _has_docker():
            return _with_docker(given)
        _require_debootstrap()
    except Unavailable as missing:
        print(f"skipped: {missing}")
        return 0
    # So that the folder is given back after this signal, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    folder = options.keep or Path(tempfile.mkdtemp(prefix="attgan-image-"))
    try:
        image = build(folder, DOCKERFILE.read_text(), given)
        for trial in TRIALS:
            print(f"TRY {trial}", flush=True)
            run(image, trial)
    except subprocess.CalledProcessError as error:
        print(f"failed with exit code {error.returncode}")
        return 1
    finally:
        if options.keep is None:
            shutil.rmtree(folder)
    print(f"the image was built and tried{f'; it is in {folder}' if options.keep else ''}")
    return 0


def _has_docker() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True).returncode == 0


def _with_docker(given: Mapping[str, str]) -> int:
    tag = "attgan:cluster-check"
    arguments = [f"--build-arg={name}={value}" for name, value in given.items()]
    build_it = ["docker", "build", "--file", DOCKERFILE, "--tag", tag, *arguments, ROOT]
    trials = (["docker", "run", "--rm", tag, "bash", "-c", trial] for trial in TRIALS)
    return int(any(subprocess.run(command).returncode for command in (build_it, *trials)))


def _require_debootstrap() -> None:
    if os.geteuid() != 0:
        raise Unavailable("no Docker daemon answers, and only root can execute the Dockerfile without one")
    if shutil.which("debootstrap") is None:
        raise Unavailable("no Docker daemon answers, and debootstrap is not installed")


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Dockerfile and what follows each, on one line."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        yield name.upper(), rest.strip()


def build(root: Path, text: str, given: Mapping[str, str]) -> Image:
    """Execute a Dockerfile, whose context is the repository.

    Args:
        root: a folder for the image's root file system.
        text: the Dockerfile.
        given: values of build arguments.

    Raises:
        subprocess.CalledProcessError: a line failed.
        ValueError: it has an instruction that is not known here.
    """
    image = Image(root)
    for name, rest in instructions(text):
        print(f"{name} {rest}", flush=True)
        if name == "FROM":
            _debootstrap(image, rest)
        elif name == "ARG":
            variable, _, default = rest.partition("=")
            image.arguments[variable] = given.get(variable, default.strip('"'))
        elif name == "ENV":
            for word in shlex.split(rest):
                variable, _, value = word.partition("=")
                image.environment[variable] = _expanded(value, image)
        elif name == "WORKDIR":
            image.folder = rest
            _below(image, rest).mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            *sources, target = shlex.split(rest)
            _copy(sources, _below(image, os.path.join(image.folder, target)), target.endswith("/"))
        elif name == "RUN":
            mounts = _MOUNT.findall(rest)
            run(image, _MOUNT.sub("", rest), secret=any("type=secret,id=pip" in one for one in mounts))
        elif name == "USER":
            image.user = rest
        elif name != "CMD":
            raise ValueError(f"{name}: this instruction is not known here")
    return image


def run(image: Image, command: str, *, secret: bool = False) -> None:
    """Run a shell command in the image.

    Args:
        image: the image.
        command: the command.
        secret: whether it gets this machine's configuration of pip, as Docker would mount it.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    here = shlex.quote(str(image.root))
    mounts = [f"mount -t proc proc {here}/proc", f"mount --rbind /dev {here}/dev"]
    # The names of servers, as this machine resolves them.
    mounts += [_bind(image, path, path) for path in ("/etc/resolv.conf", "/etc/hosts")]
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as settings:
        if secret:
            options = _pip_settings()
            settings.write("\n".join(["[global]", *(f"{name} = {value}" for name, value in options.items())]))
            settings.flush()
            if certificate := options.get("cert"):
                mounts.append(_bind(image, certificate, certificate))
            mounts.append(_bind(image, settings.name, "/etc/pip.conf"))
        variables = image.environment | image.arguments
        inside = [
            *("chroot", f"--userspec={image.user}", str(image.root)),
            *(
                "/usr/bin/env",
                "-i",
                "-C",
                image.folder,
                *(f"{name}={value}" for name, value in variables.items()),
            ),
            *("/bin/sh", "-c", command),
        ]
        script = " && ".join([*mounts, f"exec {shlex.join(inside)}"])
        # All mounts are gone, and all processes ended, with the command.
        subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", script], check=True
        )


def _debootstrap(image: Image, base: str) -> None:
    found = _DEBIAN.match(base)
    if found is None:
        raise ValueError(f"FROM {base}: only Debian can be made here")
    subprocess.run(
        ["debootstrap", "--variant=minbase", found[1], image.root], check=True, stdout=subprocess.DEVNULL
    )
    # A temporary folder is closed to all but its owner. This one is the / of the image's user.
    image.root.chmod(0o755)


def _expanded(value: str, image: Image) -> str:
    known = image.environment | image.arguments
    return re.sub(r"\$\{?(\w+)\}?", lambda found: known.get(found[1], ""), value)


def _below(image: Image, path: str) -> Path:
    return image.root / path.lstrip("/")


def _copy(sources: Sequence[str], target: Path, is_folder: bool) -> None:
    for source in sources:
        found = ROOT / source
        if found.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".env")
            shutil.copytree(found, target, dirs_exist_ok=True, ignore=ignored)
        else:
            place = target / found.name if is_folder else target
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, place)


def _bind(image: Image, source: str, target: str) -> str:
    """A command that makes a file or folder of this machine visible in the image, read-only."""
    place, kind = _below(image, target), "-d" if os.path.isdir(source) else "-f"
    made = f"mkdir -p {shlex.quote(str(place if kind == '-d' else place.parent))}"
    touched = f" && touch {shlex.quote(str(place))}" if kind == "-f" else ""
    return f"{made}{touched} && mount --bind -o ro {shlex.quote(source)} {shlex.quote(str(place))}"


def _pip_settings() -> dict[str, str]:
    """This machine's configuration of pip, without indexes that are folders, which no container would see."""
    listing = subprocess.run(["pip3", "config", "list"], capture_output=True, text=True, check=True).stdout
    options = {name: " ".join(value.split()) for name, value in pip_options(listing.splitlines()).items()}
    return {name: value for name, value in options.items() if name == "cert" or not _FOLDER.search(value)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
