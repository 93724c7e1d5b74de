"""An edit and a sweep on a cluster whose nodes share nothing but S3 and Prefect, and what happens to nodes there.

One is cut off from the network, one is added, one leaves with notice. Printed is how long each takes to be noticed, and
how much is done again. ``make cluster-check`` runs this.
"""

from __future__ import annotations

import io
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from attgan.drawn_faces.dataset import picture
from flows.edit.ledger.files import finished_shards, read_summary
from flows.edit.report.finished_runs import find_report
from flows.settings import EditSettings, ReportSettings
from flows.storage import Store, join, open_store
from flows.sweep.records import read_json, read_record
from infra.local.service import fetch
from tests.faults.campaign.kills import options_of, wait_for_shards
from tests.faults.campaign.observation import Observation, differences, observe
from tests.faults.campaign.runner import make_versioned_bucket
from tests.faults.campaign.scenario import write_bundle
from tests.support.finished_sweep import make_places
from tests.support.images.pictures import saved
from tests.support.servers.machines import Machine, Machines, cluster, may_make_machines
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(
        not may_make_machines(), reason="only root, in namespaces of its own, can make a cluster of machines"
    ),
]
# Images of the first edit, on one node. The others have so many that two nodes are at work for about a minute.
FIRST, FEWEST, MOST, SECONDS = 24, 96, 600, 60
SHARD = 6
# So large that a shard takes seconds.
ENLARGED = 5
# Steps of each trial.
STEPS, BATCH = 180, 8
CPUS = os.cpu_count() or 1


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with cluster(tmp_path_factory.mktemp("machines")) as running:
        yield running


@pytest.fixture(scope="module")
def settings(machines: Machines) -> EditSettings:
    """Of an edit of drawn faces; the bucket tells how often each object was written."""
    bucket = make_versioned_bucket("edit")
    write_bundle(join(bucket, "bundle"))
    return EditSettings(
        source=join(bucket, "in"),
        destination=join(bucket, "undisturbed"),
        bundle=join(bucket, "bundle"),
        faces="aligned",
        paste="whole",
        shard_size=SHARD,
        batch_size=SHARD,
    )


@pytest.fixture(scope="module")
def undisturbed(machines: Machines, settings: EditSettings) -> Observation:
    """What an edit makes on two nodes; one of fewer images on one node makes the same of these."""
    add_node(machines, "ray-worker-1", cpu=0)
    draw(settings, range(FIRST))
    few, rate = timed_edit(machines, at(settings, "one-node"))
    add_node(machines, "ray-worker-2", cpu=min(1, CPUS - 1))
    draw(settings, range(FIRST, min(max(round(2 * rate * SECONDS), FEWEST), MOST)))
    made, _ = timed_edit(machines, at(settings, "two-nodes"))
    assert few.outputs.items() <= made.outputs.items()
    return made


def test_the_prefect_server_shows_its_ui(machines: Machines) -> None:
    # It writes the UI's files, and cannot do so beside its code.
    assert b"<html" in fetch(f"http://{machines['prefect'].address}:4200/").lower()


def test_an_edit_whose_node_is_cut_off(
    machines: Machines, settings: EditSettings, undisturbed: Observation
) -> None:
    add_node(machines, "ray-worker-3")

    def cut() -> None:
        node = machines["ray-worker-1"]
        at_a_shard(machines, node)
        took = cut_off(machines, node)
        print(f"edit, a node is cut off: noticed after {took:.0f} s")
        node.reconnect()
        took = seconds_until(lambda: not node.is_on, "the node that is back to end")
        print(f"  connected again, its Ray ends itself after {took:.0f} s")

    check_edit(machines, settings, "cut-off", undisturbed, cut, shards=2)


def test_an_edit_whose_node_leaves_with_notice_while_another_joins(
    machines: Machines, settings: EditSettings, undisturbed: Observation
) -> None:
    def change() -> None:
        # Until the new node has worked the others stand still, or a busy machine might be through with all shards.
        leaving, staying = machines["ray-worker-2"], machines["ray-worker-3"]
        paused = []
        for node in (leaving, staying):
            for process in at_a_shard(machines, node):
                process.suspend()
                paused.append(process)
        took = add_node(machines, "ray-worker-4")
        worked = seconds_until(
            lambda: any(host.startswith("ray-worker-4/") for host in hosts(settings, "notice")),
            lambda: f"the first shard of the new node: {said(machines)}",
        )
        print(
            f"edit, a node is added: Ray has it after {took:.0f} s, its first shard after {worked:.0f} s more"
        )
        began = time.time()
        leaving.service.terminate()
        for process in paused:
            process.resume()
        wait_until(lambda: not leaving.is_on, lambda: f"the node to end: {leaving.said()}")
        took = seconds_to_death(machines, leaving, began)
        print(f"edit, a node leaves with notice: noticed after {took:.1f} s")

    check_edit(machines, settings, "notice", undisturbed, change, shards=0)


def test_a_sweep_whose_node_is_cut_off(machines: Machines, tmp_path: Path) -> None:
    bucket = make_versioned_bucket("sweep")
    places = make_places(tmp_path)
    for folder in map(Path, (places.dataset, places.bundle, places.evaluator)):
        for path in folder.iterdir():
            open_store(join(bucket, folder.name)).put(path.name, path.read_bytes())
    arguments = [
        "sweep",
        f"--dataset={bucket}/faces",
        f"--bundle={bucket}/start",
        f"--evaluator={bucket}/evaluator",
        "--space=lambda_reconstruction=10,100",
        f"--batch-size={BATCH}",
        f"--max-steps={STEPS}",
        "--checkpoint-every=30",
        "--test-faces=6",
        "--discriminator-steps=1",
        "--checks-per-epoch=1",
        "--validation-images=8",
    ]
    made = []
    for name in ("undisturbed", "cut-off"):
        url = join(bucket, name)
        driver = machines.start_driver(*arguments, f"--destination={url}")
        if name == "cut-off":
            trial = trial_on(url, driver, machines)
            node = machines[read_record(trial)["node"]]
            took = cut_off(machines, node)
            reached = read_json(trial, "progress.json")["step"]
            kept = read_json(trial, "checkpoints/latest.json")["checkpoints"][0]["step"]
            print(
                f"sweep, a node is cut off: noticed after {took:.0f} s, {(reached - kept) * BATCH} images again"
            )
            node.reconnect()
        assert driver.wait() == 0, said(machines)
        made.append(results(open_store(url)))
    assert made[0] == made[1]
    print(
        f"  {len(made[0])} files of metrics and weights: 0 lost, 0 more; equal to the undisturbed ones to the byte"
    )


def check_edit(
    machines: Machines,
    settings: EditSettings,
    name: str,
    undisturbed: Observation,
    fault: Callable[[], None],
    shards: int,
) -> None:
    """Edit into a place of this name, and compare what is made with the undisturbed edit.

    Args:
        machines: the cluster.
        settings: of the undisturbed edit.
        name: of the place.
        undisturbed: what that edit has made.
        fault: called when so many shards are done.
        shards: 0 for a fault that begins once the shards are planned.
    """
    place = at(settings, name)
    before = started_again(machines)
    driver = start_edit(machines, place)
    assert wait_for_shards(driver, place, shards, lambda: said(machines))
    fault()
    assert driver.wait() == 0, said(machines)
    found, report = made_at(place)
    difference = differences(found, undisturbed)
    shards_again = started_again(machines) - before
    print(
        f"  {shards_again} shards of {SHARD} images edited again, {report['found']} of these images had been stored; "
        f"{difference.lost} lost, {difference.duplicated} duplicated, {difference.different} different"
    )
    assert not difference


def draw(settings: EditSettings, numbers: range) -> None:
    """Put drawn faces into the source."""
    source = open_store(settings.source)
    for number in numbers:
        face = Image.open(io.BytesIO(picture(number)))
        source.put(f"{number:04d}.jpg", saved(face.resize((face.width * ENLARGED, face.height * ENLARGED))))


def timed_edit(machines: Machines, settings: EditSettings) -> tuple[Observation, float]:
    """What an edit has made, and its images per second, which it prints."""
    assert start_edit(machines, settings).wait() == 0, said(machines)
    found, report = made_at(settings)
    rate = report["inputs"] / report["wall"]
    kind = settings.destination.rpartition("undisturbed-")[2]
    words = f"{report['inputs']} images in {report['wall']:.0f} s, {rate:.2f} images/s"
    # Without the start of the workers, which a short edit mostly consists of.
    within = f"{report['inputs'] / report['worker_seconds']:.2f} images/s of each node within its shards"
    print(f"edit, {kind}: {words}, {within}; each node has one of this machine's {CPUS} CPUs")
    return found, rate


def at(settings: EditSettings, name: str) -> EditSettings:
    return settings.model_copy(update={"destination": f"{settings.destination}-{name}"})


def start_edit(machines: Machines, settings: EditSettings) -> subprocess.Popen[bytes]:
    return machines.start_driver("edit", *options_of(settings))


def made_at(settings: EditSettings) -> tuple[Observation, dict[str, Any]]:
    report = find_report(ReportSettings(run=settings.destination))
    return observe(settings, report["run_id"]), report


def hosts(settings: EditSettings, name: str) -> list[str]:
    """Where the finished shards of a run were edited."""
    runs = open_store(join(at(settings, name).destination, "_runs"))
    begun = {info.key.split("/")[0] for info in runs.list() if "/ledger/" in info.key}
    stores = [open_store(join(runs.url, run)) for run in begun]
    return [read_summary(store, key).host for store in stores for key in finished_shards(store).values()]


def add_node(machines: Machines, name: str, cpu: int | None = None) -> float:
    """Start a machine with a node; returns the seconds until Ray has it."""
    node = machines.add(name, cpu=cpu)
    return seconds_until(lambda: name in machines.nodes(), lambda: f"{name} to join: {node.said()}")


def at_a_shard(machines: Machines, node: Machine) -> list[psutil.Process]:
    """The processes of a node that are at a shard, once there are any."""
    return wait_until(lambda: node.tasks("edit-shard"), lambda: f"a shard on {node.name}: {said(machines)}")


def cut_off(machines: Machines, node: Machine) -> float:
    """Cut a node off; returns the seconds until Ray has noticed."""
    began = time.time()
    node.cut_off()
    return seconds_to_death(machines, node, began)


def seconds_to_death(machines: Machines, node: Machine, since: float) -> float:
    """The seconds until Ray has marked a node as dead, which it does when it notices."""
    wait_until(
        lambda: machines.nodes()[node.name].end_time_ms, lambda: f"{node.name} to be missed: {said(machines)}"
    )
    return float(machines.nodes()[node.name].end_time_ms / 1000 - since)


def seconds_until(condition: Callable[[], object], what: str | Callable[[], str]) -> float:
    began = time.monotonic()
    wait_until(condition, what)
    return time.monotonic() - began


def trial_on(url: str, driver: subprocess.Popen[bytes], machines: Machines) -> Store:
    """The folder of a trial that has a checkpoint and works on."""
    trials = [open_store(join(url, f"trials/{number:03d}")) for number in range(2)]

    def at_work() -> list[Store]:
        assert driver.poll() is None, said(machines)
        steps = [(read_json(trial, "progress.json") or {}).get("step", 0) for trial in trials]
        return [trial for trial, step in zip(trials, steps, strict=True) if 30 < step < STEPS // 2]

    return wait_until(at_work, lambda: f"a trial with a checkpoint: {said(machines)}", every=0.05)[0]


def results(store: Store) -> dict[str, bytes]:
    """What does not depend on time and place: the metrics of each trial, and the best weights."""
    wanted = ("metrics.jsonl", "generator.safetensors", "discriminator.safetensors")
    return {
        info.key: store.get(info.key).data
        for info in store.list()
        if info.key.endswith(wanted) and "/checkpoints/" not in info.key
    }


def started_again(machines: Machines) -> int:
    """How many tasks Ray has started again, by what drivers have printed."""
    printed = machines.log.read_text(errors="replace") if machines.log.exists() else ""
    return printed.count("the task will be retried")


def said(machines: Machines) -> str:
    """What drivers have printed last."""
    return machines.log.read_text(errors="replace")[-3000:]
