"""The end of a run: its result bundle, and ``result.json``, written last."""

from dataclasses import replace

from attgan.models import load_bundle
from attgan.training.loop import Ending
from attgan.training.plan import TrainingPlan
from attgan.training.run_folder.checkpoint import explaining_full_disk
from attgan.training.run_folder.ownership import OwnedFolder
from attgan.training.run_folder.progress import Outcome
from attgan.training.run_folder.run_files import write_result
from attgan.training.run_folder.state import Best, Tensors, best_path, save_networks

BUNDLE = "bundle"


def finish(plan: TrainingPlan, folder: OwnedFolder, ending: Ending) -> Outcome:
    """Write the result of a complete run. For a run that was asked to stop only the outcome is returned.

    Raises:
        UserError: the disk is full, the best bundle is damaged, or another process has taken over the run.
        OSError: what else the filesystem reports.
    """
    state = ending.state
    stopped = Outcome(
        ended="stopped",
        reason=f"stopped on demand after step {state.step:,}",
        step=state.step,
        epoch=plan.table.epoch(state.step),
        resumed_from=state.resumed_from,
        check=dict(state.numbers),
    )
    with explaining_full_disk(folder, "the result"):
        if ending.reason is None:
            ending.watch.end(state, "stopped", stopped.reason)
            return stopped
        best = (state.best if plan.keeps_best else None) or Best(state.step, state.numbers)
        info = save_networks(plan, folder, BUNDLE, _tensors(plan, folder, best), best.numbers)
        finished = replace(
            stopped,
            ended="finished",
            reason="; ".join(
                filter(None, (ending.reason, state.split.words(plan.config.batch_size), plan.without_best))
            ),
            best_step=best.step,
            best=dict(best.numbers),
            bundle=f"{folder.path}/{BUNDLE}",
            digest=info.digest,
        )
        ending.watch.end(state, "finished", finished.reason)
        write_result(folder, finished)
    return finished


def _tensors(plan: TrainingPlan, folder: OwnedFolder, best: Best) -> dict[str, Tensors]:
    """The result's tensors by network: the best saved state, or the last one."""
    if not plan.keeps_best:
        return {name: network.state_dict() for name, network in plan.results.items()}
    kept = load_bundle(f"{folder.path}/{best_path(best.step)}", folder.filesystem)
    return {name: getattr(kept, name).state_dict() for name in plan.results}
