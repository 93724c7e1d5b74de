"""Checks the files of ``infra/cluster`` without a cloud, against the schemas of the programs that read them.

Each function returns the problems that it finds, one line each, and raises :class:`Unavailable` where the schema or
the program that it needs is not on this machine.
"""

import copy
import gzip
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "infra" / "cluster"
# The oldest version that the manifests are for: a newer one takes all that it takes.
KUBERNETES = "1.29"
# A folder with KubeRay's CustomResourceDefinitions as ray.io_rayclusters.yaml.gz and so on.
CRDS = "ATTGAN_KUBERAY_CRDS"

# What prefect-worker gives the runs to stop.
SECONDS_FOR_RUNS = int(re.findall(r"\{1\.\.(\d+)\}", (CLUSTER / "prefect-worker").read_text())[0])

Document = dict[str, Any]


class Unavailable(Exception):
    """A check cannot be made here. The message says what is missing."""


def documents(path: Path) -> list[Document]:
    """The documents of a YAML file."""
    return list(yaml.safe_load_all(path.read_text()))


def version_of(package: str) -> str:
    """The version of a package that ``infra/constraints.txt`` pins."""
    found = re.search(rf"^{re.escape(package)}==(.+)$", (ROOT / "infra/constraints.txt").read_text(), re.M)
    assert found is not None, package
    return found[1]


def problems_of_manifest(document: Document) -> list[str]:
    """What Kubernetes itself, or KubeRay, would refuse; unknown fields too."""
    if document["apiVersion"].startswith("kustomize.config.k8s.io/"):
        return []
    if document["apiVersion"].startswith("ray.io/"):
        return _against(document, _kuberay_schema(document["kind"], document["apiVersion"].partition("/")[2]))
    if importlib.util.find_spec("kubernetes_validate") is None:
        raise Unavailable("kubernetes-validate is not installed; `make cluster-check` installs it")
    import kubernetes_validate

    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message}"]
    return []


def built_by_kustomize(folder: Path) -> list[Document]:
    """What `kubectl apply -k` would apply."""
    programs = (["kubectl", "kustomize"], ["kustomize", "build"])
    found = next((command for command in programs if shutil.which(command[0])), None)
    if found is None:
        raise Unavailable("neither kubectl nor kustomize is installed")
    ended = subprocess.run([*found, folder], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return list(yaml.safe_load_all(ended.stdout))


def problems_of_compose(content: Document) -> list[str]:
    """What is no valid Compose file."""
    if importlib.util.find_spec("check_jsonschema") is None:
        raise Unavailable("check-jsonschema is not installed; `make cluster-check` installs it")
    schema = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    return _against(content, json.loads(schema.read_text()))


def problems_of_ray_config(content: Document) -> list[str]:
    """What `ray up` would refuse before it asks the cloud for anything."""
    # Nothing public checks a file without the cloud. These two are what `ray up` calls first.
    from ray.autoscaler._private.util import prepare_config, validate_config

    try:
        validate_config(prepare_config(copy.deepcopy(content)))
    except jsonschema.ValidationError as error:
        return [_line(error)]
    except (ValueError, KeyError) as error:
        return [f"{type(error).__name__}: {error}"]
    return []


def ends_by(script: str, command: str) -> bool:
    """Whether a shell script sends SIGTERM to a process by its command line, waits for it, and spares its own shell."""
    asked = re.findall(r"pkill -TERM -f '(.+?)'", script)
    waited = re.findall(r"while pgrep -f '(.+?)' >/dev/null; do sleep 1; done", script)
    return asked == waited != [] and all(
        re.search(one, command) and not re.search(one, script) for one in asked
    )


def autoscaling_config_of(cluster: Document) -> Document:
    """What Ray's autoscaler reads from a RayCluster."""
    # Only the autoscaler itself calls it; nothing public shows what it makes of a resource.
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    named = cluster | {"metadata": {"namespace": "attgan", **cluster["metadata"]}}
    config: Document = _derive_autoscaling_config_from_ray_cr(copy.deepcopy(named))
    return config


def problems_of_dockerfile(path: Path) -> list[str]:
    """What hadolint warns of."""
    program = Path(sys.executable).with_name("hadolint")
    found = str(program) if program.exists() else shutil.which("hadolint")
    if found is None:
        raise Unavailable("hadolint is not installed; `make cluster-check` installs it")
    ended = subprocess.run([found, "--no-color", "--format", "json", path], capture_output=True, text=True)
    # Without JSON it has failed in another way, and its words are in stderr.
    reports = json.loads(ended.stdout) if ended.stdout.startswith("[") else [{"message": ended.stderr}]
    return [f"line {one.get('line')}: {one.get('code')} {one['message']}" for one in reports]


def _against(document: Document, schema: Document) -> list[str]:
    validator = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)(schema)
    return [_line(error) for error in validator.iter_errors(document)]


def _line(error: jsonschema.ValidationError) -> str:
    return f"{'.'.join(map(str, error.absolute_path))}: {error.message}"


@cache
def _kuberay_schema(kind: str, version: str) -> Document:
    folder = Path(os.environ.get(CRDS) or ROOT.parent / "shared" / "cluster")
    file = folder / f"ray.io_{kind.lower()}s.yaml.gz"
    if not file.is_file():
        raise Unavailable(
            f"KubeRay's schema of a {kind} is not there: {CRDS} may name a folder that has {file.name}"
        )
    # The C parser: the file has 20,000 lines.
    with gzip.open(file) as content:
        definition = yaml.load(content, Loader=yaml.CSafeLoader)
    versions = {one["name"]: one["schema"]["openAPIV3Schema"] for one in definition["spec"]["versions"]}
    return _closed(versions[version])


def _closed(schema: Any) -> Any:
    """The schema, with unknown fields refused, as `kubectl apply` refuses them."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value) for name, value in schema.items()}
    # A schema has `properties` as a mapping of schemas; a resource may have a field of that name.
    is_object = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if is_object and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed
