"""The two kinds of work pool in ``infra/prefect.yaml``, and the pods of the Kubernetes one."""

import json
import re
from typing import Any

import pytest
import yaml
from prefect.utilities.templating import apply_values

from tests.support import cluster_files
from tests.support.cluster_files import CLUSTER, ROOT, Unavailable

TEXT = (ROOT / "infra" / "prefect.yaml").read_text()
POOL: dict[str, Any] = json.loads((CLUSTER / "kubernetes" / "pool.json").read_text())


def specs(text: str) -> list[dict[str, Any]]:
    return yaml.safe_load(text)["deployments"]


def test_runs_are_processes_unless_one_line_is_changed() -> None:
    for spec in specs(TEXT):
        assert not {"build", "push", "pull"} & set(spec)
        assert "image" not in spec["work_pool"]["job_variables"]
    kubernetes = specs(TEXT.replace("<<: *process", "<<: *kubernetes"))
    assert len(kubernetes) == len(specs(TEXT))
    for spec, before in zip(kubernetes, specs(TEXT), strict=True):
        assert {"build", "push", "pull"} < set(spec)
        variables = spec["work_pool"]["job_variables"]
        assert variables["image"] == "{{ $ATTGAN_IMAGE }}"
        assert variables["env"] == before["work_pool"]["job_variables"]["env"]


def test_image_is_built_from_a_file_that_is_there() -> None:
    files = re.findall(r"--file (\S+)", TEXT)
    assert files
    assert all((ROOT / file).is_file() for file in files)


def test_a_run_is_a_pod_that_kubernetes_accepts() -> None:
    properties = POOL["variables"]["properties"]
    defaults = {name: field["default"] for name, field in properties.items() if "default" in field}
    chosen = {"image": "attgan", "name": "edit", "labels": {"app": "attgan"}, "env": {"A": "1"}}
    job = apply_values(POOL["job_configuration"], defaults | chosen)["job_manifest"]
    # What Prefect's worker for Kubernetes does with these two: it makes lists of them.
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == "ray-node prefect flow-run execute"
    container["args"] = container["args"].split()
    container["env"] = [{"name": name, "value": value} for name, value in container["env"].items()]
    try:
        assert cluster_files.problems_of_manifest(job) == []
    except Unavailable as missing:
        pytest.skip(str(missing))
