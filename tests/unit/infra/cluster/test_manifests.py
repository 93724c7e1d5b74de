"""The Kubernetes manifests: accepted as they are, refused with one wrong field."""

import copy
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray._private.ray_constants import RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S

from attgan.version import VERSION
from flows.runtime.cluster.autoscaler import NodeType, Size, limits_of
from tests.support import cluster_files
from tests.support.cluster_files import CLUSTER, Document, Unavailable, documents

KUBERNETES = CLUSTER / "kubernetes"
REDIS = CLUSTER / "kubernetes-redis"
FOLDERS = (KUBERNETES, REDIS)
# What completes another manifest, and is none alone.
PATCH = REDIS / "raycluster.yaml"
FILES = [file for folder in FOLDERS for file in sorted(folder.glob("*.yaml")) if file != PATCH]


def only(file: Path, kind: str, name: str | None = None) -> Document:
    found = [
        one
        for one in documents(file)
        if one["kind"] == kind and (name is None or one["metadata"]["name"] == name)
    ]
    assert len(found) == 1
    return found[0]


def problems(document: Document) -> list[str]:
    try:
        return cluster_files.problems_of_manifest(document)
    except Unavailable as missing:
        pytest.skip(str(missing))


def merged(document: Any, patch: Any) -> Any:
    """A JSON merge patch, which is how kustomize patches custom resources."""
    if not (isinstance(document, dict) and isinstance(patch, dict)):
        return patch
    return document | {name: merged(document.get(name), value) for name, value in patch.items()}


def build(folder: Path) -> list[Document]:
    """What kustomize makes of a folder."""
    try:
        return cluster_files.built_by_kustomize(folder)
    except Unavailable as missing:
        pytest.skip(str(missing))


def containers(found: Any) -> Iterator[Document]:
    """Every container, wherever in a document."""
    if isinstance(found, dict):
        for key in ("containers", "initContainers"):
            yield from found.get(key, ())
    for one in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from containers(one)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CLUSTER)))
def test_manifests_are_accepted(file: Path) -> None:
    for document in documents(file):
        assert problems(document) == []


def test_cluster_with_redis_is_accepted() -> None:
    cluster = merged(only(KUBERNETES / "raycluster.yaml", "RayCluster"), documents(PATCH)[0])
    assert problems(cluster) == []
    assert cluster["spec"]["gcsFaultToleranceOptions"]["redisAddress"] == "redis:6379"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_kustomization_contains_itself(folder: Path) -> None:
    # kustomize refuses a folder that has the kustomization within it.
    for resource in documents(folder / "kustomization.yaml")[0]["resources"]:
        assert (folder / resource).exists()
        assert not folder.is_relative_to((folder / resource).resolve())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_kustomize_builds_what_is_accepted(folder: Path) -> None:
    built = build(folder)
    assert {one["metadata"]["namespace"] for one in built} == {"attgan"}
    assert {one["image"] for one in containers(built) if one["image"].startswith("attgan")} == {
        f"attgan:{VERSION}"
    }
    (cluster,) = (one for one in built if one["kind"] == "RayCluster")
    assert ("gcsFaultToleranceOptions" in cluster["spec"]) == (folder == REDIS)
    for document in built:
        assert problems(document) == []


def _set(path: str, value: Any) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        place: Any = document
        for part in parents:
            place = place[part]
        place[last] = value

    return change


_WORKER = "workerGroupSpecs/1/template/spec/containers/0"


@pytest.mark.parametrize(
    ("file", "kind", "path", "value"),
    [
        ("prefect.yaml", "Deployment", "spec/replicas", "one"),
        ("prefect.yaml", "Deployment", "spec/template/spec/containers/0/prots", []),
        ("prefect.yaml", "NetworkPolicy", "spec/ingress/0/from", "prefect"),
        ("raycluster.yaml", "PodDisruptionBudget", "spec/minAvailabel", 1),
        ("raycluster.yaml", "RayCluster", "spec/authOptions/mode", "open"),
        ("raycluster.yaml", "RayCluster", "spec/autoscalerOptions/idleTimeout", 60),
        ("raycluster.yaml", "RayCluster", f"spec/{_WORKER}/resources/limits", "all"),
        ("raycluster.yaml", "RayCluster", f"spec/{_WORKER}/imagePolicy", "Always"),
        ("rayjob.yaml", "RayJob", "spec/backoffLimit", "twice"),
        ("rayjob.yaml", "RayJob", "spec/rayClusterSpec/rayVersions", "2.60.0"),
    ],
)
def test_wrong_field_is_refused(file: str, kind: str, path: str, value: Any) -> None:
    document = copy.deepcopy(only(KUBERNETES / file, kind))
    _set(path, value)(document)
    assert len(problems(document)) == 1


def test_versions_agree() -> None:
    ray = cluster_files.version_of("ray")
    assert only(KUBERNETES / "raycluster.yaml", "RayCluster")["spec"]["rayVersion"] == ray
    job = only(KUBERNETES / "rayjob.yaml", "RayJob")
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == ray
    images = documents(KUBERNETES / "kustomization.yaml")[0]["images"]
    assert [image["newTag"] for image in images if image["name"] == "attgan"] == [VERSION]
    assert {one["image"] for one in containers(job)} == {f"attgan:{VERSION}"}


def pods(found: Any) -> Iterator[Document]:
    """The specification of every pod, wherever in a document."""
    if isinstance(found, dict) and "containers" in found:
        yield found
    for one in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from pods(one)


def ray_clusters() -> list[Document]:
    job = only(KUBERNETES / "rayjob.yaml", "RayJob")["spec"]["rayClusterSpec"]
    return [only(KUBERNETES / "raycluster.yaml", "RayCluster")["spec"], job]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CLUSTER)))
def test_a_namespace_for_restricted_pods_takes_them(file: Path) -> None:
    for document in documents(file):
        for pod in pods(document):
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    # Containers that KubeRay adds have what is said here, and otherwise nothing.
    no_rights = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert all(one["autoscalerOptions"]["securityContext"] == no_rights for one in ray_clusters())
    assert list(pods(only(KUBERNETES / "rayjob.yaml", "RayJob")["spec"]["submitterPodTemplate"]))


def test_only_the_head_has_the_token_that_may_change_pods() -> None:
    found = [document for file in FILES for document in documents(file)]
    found.append(json.loads((KUBERNETES / "pool.json").read_text()))
    heads = [one["headGroupSpec"]["template"]["spec"] for one in ray_clusters()]
    for pod in pods(found):
        assert pod in heads or pod["automountServiceAccountToken"] is False


def test_the_database_is_asked_by_network() -> None:
    (postgres,) = containers(only(KUBERNETES / "prefect.yaml", "StatefulSet"))
    command = postgres["readinessProbe"]["exec"]["command"]
    assert command[command.index("-h") + 1] == "127.0.0.1"


def test_a_slow_first_start_does_not_end_the_prefect_server() -> None:
    (server,) = containers(only(KUBERNETES / "prefect.yaml", "Deployment"))
    # The default is a second.
    assert all(server[probe]["timeoutSeconds"] >= 10 for probe in ("readinessProbe", "livenessProbe"))
    start = server["startupProbe"]
    # In periods of ten seconds.
    assert start["failureThreshold"] * start.get("periodSeconds", 10) >= 300


def test_redis_gets_its_password_without_arguments(tmp_path: Path) -> None:
    (redis,) = containers(only(REDIS / "redis.yaml", "StatefulSet"))
    program = tmp_path / "redis-server"
    program.write_text('#!/bin/sh\necho "$*"; cat')
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.defpath}", "REDIS_PASSWORD": "5ecret"}
    ended = subprocess.run(redis["command"], env=environment, capture_output=True, text=True, check=True)
    arguments, *settings = ended.stdout.splitlines()
    assert arguments == "-"
    assert settings == ["requirepass 5ecret", "appendonly yes", "appendfsync always"]


def test_workers_have_time_to_drain() -> None:
    command = "/opt/attgan/.venv/bin/python /opt/attgan/.venv/bin/ray start --address=head:6379 --block"
    for group in (group for cluster in ray_clusters() for group in cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        hook = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1]
        assert cluster_files.ends_by(hook, command)
        assert pod["terminationGracePeriodSeconds"] > RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S


def test_commands_say_in_which_namespace() -> None:
    texts = [file.read_text() for file in [CLUSTER / "README.md", *FILES]]
    commands = [command for text in texts for command in re.findall(r"^[# ]*kubectl (.+)", text, re.M)]
    assert commands
    for command in commands:
        assert command.startswith(("-n attgan ", "create namespace attgan", "apply -k "))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CLUSTER)))
def test_no_container_is_root_or_holds_a_secret(file: Path) -> None:
    for document in documents(file):
        assert document["kind"] != "Secret"
        for container in containers(document):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            for variable in container.get("env", ()):
                if re.search("PASSWORD|TOKEN|SECRET|ACCESS_KEY|AUTH_STRING", variable["name"]):
                    assert set(variable) == {"name", "valueFrom"}
                    # Kubernetes would put it among the arguments, which everybody on the machine may see.
                    words = [*container.get("command", ()), *container.get("args", ())]
                    assert not any(f"$({variable['name']})" in word for word in words)


def test_workers_start_from_none_and_the_gpu_group_asks_for_a_gpu() -> None:
    spec = only(KUBERNETES / "raycluster.yaml", "RayCluster")["spec"]
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in spec["workerGroupSpecs"]:
        assert (group["replicas"], group["minReplicas"]) == (0, 0)
        # KubeRay refuses the cluster otherwise: its autoscaler v2 replaces pods.
        assert group["template"]["spec"]["restartPolicy"] == "Never"
    gpu = spec["workerGroupSpecs"][1]["template"]["spec"]
    assert gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert gpu["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_flows_know_what_the_autoscaler_may_add() -> None:
    cluster = only(KUBERNETES / "raycluster.yaml", "RayCluster")
    limits = limits_of(cluster_files.autoscaling_config_of(cluster))
    assert limits is not None
    assert set(limits.types) == {NodeType("cpu", Size(8, 0), most=8), NodeType("gpu", Size(8, 1), most=4)}


def test_runs_end_before_ray_does() -> None:
    pod = only(KUBERNETES / "raycluster.yaml", "RayCluster")["spec"]["headGroupSpec"]["template"]["spec"]
    worker = " ".join(pod["initContainers"][0]["command"])
    assert worker.startswith("prefect-worker ")
    hook = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1]
    assert cluster_files.ends_by(hook, f"/bin/bash /opt/attgan/.venv/bin/{worker}")
    assert pod["shareProcessNamespace"] is True
    assert pod["terminationGracePeriodSeconds"] > cluster_files.SECONDS_FOR_RUNS


def test_drivers_see_the_sockets_of_the_head() -> None:
    pod = only(KUBERNETES / "raycluster.yaml", "RayCluster")["spec"]["headGroupSpec"]["template"]["spec"]
    head, worker = pod["containers"][0], pod["initContainers"][0]
    assert head["volumeMounts"] == worker["volumeMounts"] == [{"name": "ray-logs", "mountPath": "/tmp/ray"}]
    # Only with this policy does an init container go on running, beside the others.
    assert worker["restartPolicy"] == "Always"
