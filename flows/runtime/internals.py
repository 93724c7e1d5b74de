"""Everything that is used of Ray and Prefect although it is not part of their public interface, one function each.

A test of each fails when an upgrade removes it. Two stand where a class needs them: Ray's start has some in
``infra/local/ray_start.py``, and ``flows/runtime/cluster/tasks.py`` overrides a method of Prefect's task runner.
"""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import yaml
from pydantic import PrivateAttr, TypeAdapter

if TYPE_CHECKING:
    from prefect.context import SettingsContext


def cluster_id_at(address: str) -> str:
    """The identifier of the Ray cluster whose GCS answers at an address. No public function asks for it.

    A new client is needed for each request, because a client keeps the identifier that it received first.

    Raises:
        ray.exceptions.RpcError: no cluster answers.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # missing in Ray's stubs

    identifier: str = GcsClient(address=address).cluster_id.hex()
    return identifier


def is_no_node_here(error: BaseException) -> bool:
    """Whether Ray found the cluster, but no process of it on this machine. It has no exception of its own for that."""
    said = f"{error} {error.__cause__}"
    return "No node info found" in said or "Raylet addresses" in said


_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def autoscaling_config(port: int) -> dict[str, Any] | None:
    """The configuration of a Ray cluster's autoscaler, read on the cluster's head; None if it has no autoscaler.

    It has the form of a cluster file of ``ray up``. Empty means: there is an autoscaler, whose configuration this
    process may not read. Only the configuration says how many nodes may be added, and no public function returns it.

    Args:
        port: at which the cluster's GCS listens.
    """
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        options = dict(word.split("=", 1) for word in words if word.startswith("--") and "=" in word)
        path = options.get("--autoscaling-config")
        if path and options.get("--gcs-address", "").endswith(f":{port}"):
            return _read_config(Path(path))
    if "RAY_CLUSTER_NAME" in os.environ and _NAMESPACE.exists():
        return _config_of_kuberay(os.environ["RAY_CLUSTER_NAME"], _NAMESPACE.read_text().strip())
    return None


def _read_config(path: Path) -> dict[str, Any]:
    try:
        # JSON is YAML, too.
        found: dict[str, Any] = yaml.safe_load(path.expanduser().read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return found


def _config_of_kuberay(name: str, namespace: str) -> dict[str, Any] | None:
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
    from ray.autoscaler._private.kuberay.node_provider import KubernetesHttpApiClient

    try:
        resource = KubernetesHttpApiClient(namespace).get(f"rayclusters/{name}")
        if not resource["spec"].get("enableInTreeAutoscaling"):
            return None
        found: dict[str, Any] = _derive_autoscaling_config_from_ray_cr(resource)
    except Exception:
        # The head's service account has no right to it, or the resource is one that this Ray does not know.
        return {}
    return found


def next_dates(schedule: Any, count: int) -> list[datetime]:
    """The next runs of a schedule, in its time zone, as the Prefect server computes them.

    The client's models cannot compute them, and the server lists runs only seconds after a schedule has changed.

    Args:
        schedule: a schedule of ``prefect.client.schemas.schedules``.
        count: how many.
    """
    from prefect.server.schemas import schedules

    kinds: TypeAdapter[schedules.SCHEDULE_TYPES] = TypeAdapter(schedules.SCHEDULE_TYPES)
    return [*asyncio.run(kinds.validate_python(schedule.model_dump()).get_dates(count))]


_VALUES = b"attgan"


def put_value(key: str, value: bytes) -> None:
    """Store a value in the key-value store of the cluster's head. Ray has no public one without a process of its own.

    Raises:
        Exception: this process is not connected, or the head does not answer.
    """
    from ray.experimental.internal_kv import internal_kv_get_gcs_client

    internal_kv_get_gcs_client().internal_kv_put(key.encode(), value, True, _VALUES)


def values_below(prefix: str) -> dict[str, bytes]:
    """All values whose keys begin with a prefix. Errors as for :func:`put_value`."""
    from ray.experimental.internal_kv import internal_kv_get_gcs_client

    head = internal_kv_get_gcs_client()
    keys = head.internal_kv_keys(prefix.encode(), _VALUES)
    found = head.internal_kv_multi_get(keys, _VALUES) if keys else {}
    return {key.decode(): value for key, value in found.items()}


def remove_values(prefix: str) -> None:
    """Remove all values whose keys begin with a prefix. Errors as for :func:`put_value`."""
    from ray.experimental.internal_kv import internal_kv_get_gcs_client

    internal_kv_get_gcs_client().internal_kv_del(prefix.encode(), True, _VALUES)


def serialised_once() -> SettingsContext:
    """Prefect's current settings, which are serialised once, however many tasks are submitted with them.

    Each submission carries them, and to serialise them anew takes longer than all else of it.
    """
    from prefect.context import SettingsContext

    class SerialisedOnce(SettingsContext):
        _serialised: dict[bool, dict[str, Any]] = PrivateAttr(default_factory=dict)

        def serialize(self, include_secrets: bool = True) -> dict[str, Any]:
            if include_secrets not in self._serialised:
                self._serialised[include_secrets] = super().serialize(include_secrets)
            return self._serialised[include_secrets]

    current = SettingsContext.get()
    assert current is not None
    return SerialisedOnce(profile=current.profile, settings=current.settings)
