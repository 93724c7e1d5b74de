"""Old files go that nothing needs, and everything else works as before."""

from pathlib import Path

from flows.edit.removal.outputs import REMOVED
from flows.operate.prune import prune
from flows.operate.undo import undo
from flows.settings import PruneSettings, UndoSettings
from flows.storage import join, open_store
from tests.support.refusals import refused
from tests.support.small_edit import make_small_edit


def test_what_nothing_needs_is_pruned(tmp_path: Path) -> None:
    place = make_small_edit(tmp_path)
    destination = place.destination.url

    def files() -> set[str]:
        return {info.key for info in runs.list()} - {"clock", "lease.json", "latest.json"}

    def pruned(older_than: str = "0s", *, dry_run: bool = False) -> str:
        rows = prune(PruneSettings(destination=destination, older_than=older_than, dry_run=dry_run))
        return rows[-1]["files"]

    with refused("run-missing"):
        pruned(dry_run=True)
    place.put(a="1", b="2")
    place.source.put("notes.txt", b"no image")
    place.run(run_id="whole")
    place.put(c="3")
    place.run(run_id="failed", failing=["c.jpg"])
    place.put(d="4", e="5")
    place.run(run_id="unfinished", shard_size=1, shards=1)
    runs = open_store(join(destination, "_runs"))
    runs.put("whole/preview.html", b"faces")
    runs.put("abandoned/plan/00000.1234.parquet", b"")
    before = files()
    assert pruned("1d") == "0"
    assert pruned(dry_run=True) == "5"
    assert files() == before
    assert pruned() == "5"
    gone = {key.split("/")[0] + "/" + key.split("/")[1] for key in before - files()}
    assert gone == {"whole/preview.html", "whole/plan", "whole/ignored", "failed/ignored", "abandoned/plan"}
    place.run(run_id="failed", retry_failed=True)
    place.run(run_id="unfinished", shard_size=1)
    assert place.outputs() == {"a", "b", "c", "d", "e"}
    assert place.run() is None
    url = join(destination, "_runs", "whole")
    assert undo(UndoSettings(run=url))[1].counts == {REMOVED: 2}
    place.run()
    assert place.outputs() == {"a", "b", "c", "d", "e"}
