"""The state of a training run: how it is saved and resumed.

Besides the networks and their optimisers the state is the step, the stop rule, the last validation and the best one.
The order of the data, the schedules and all random numbers follow from the settings and the step.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from attgan.models import BundleInfo, save_bundle
from attgan.models.build import from_tensors
from attgan.training.device import Split
from attgan.training.early_stopping import StopRule
from attgan.training.networks import from_groups, snapshot, to_groups
from attgan.training.plan import TrainingPlan
from attgan.training.run_folder.checkpoint import (
    KEPT,
    Checkpoint,
    explaining_full_disk,
    read_checkpoint,
    refuse_infinite,
    remove_others,
    step_name,
    write_checkpoint,
)
from attgan.training.run_folder.ownership import OwnedFolder

BEST = "best"

Tensors = Mapping[str, Tensor]


@dataclass
class Best:
    """The best validation so far.

    Attributes:
        step: steps done then.
        numbers: its measures.
        networks: the tensors of each network at that step; None once they are saved as a bundle.
    """

    step: int
    numbers: Mapping[str, float]
    networks: Mapping[str, Tensors] | None = None


@dataclass
class State:
    """Where a run stands.

    Attributes:
        step: steps done.
        checked: after how many steps the last validation was; -1 before the first.
        numbers: the measures of that validation.
        rule: the stop rule.
        best: None before the first validation, and where the last state is the result.
        resumed_from: the step at which this process resumed the run; None if it started it.
        saved: the step of the last checkpoint; None before the first.
        kept: steps of the best bundles that the saved checkpoints refer to.
        split: how batches are split.
    """

    step: int
    checked: int
    numbers: Mapping[str, float]
    rule: StopRule
    best: Best | None = None
    resumed_from: int | None = None
    saved: int | None = None
    kept: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT))
    split: Split = field(default_factory=Split)

    def keep_if_best(self, plan: TrainingPlan) -> bool:
        """Keep a copy of the networks if the last validation was the best."""
        if self.best is not None and self.numbers["quality"] < self.best.numbers["quality"]:
            return False
        kept = {name: snapshot(network) for name, network in plan.results.items()}
        self.best = Best(self.step, self.numbers, kept)
        return True


def load_state(plan: TrainingPlan, folder: OwnedFolder) -> State:
    """The last saved state, loaded into the networks; the initial state if there is none.

    Raises:
        UserError: there are checkpoints, and all are damaged.
    """
    checkpoint = read_checkpoint(folder)
    if checkpoint is None:
        return State(0, -1, {}, plan.rule)
    from_groups(plan.networks, checkpoint.tensors)
    memory: dict[str, Any] = dict(checkpoint.memory)
    best = Best(memory["best"]["step"], memory["best"]["numbers"]) if memory["best"] else None
    return State(
        step=checkpoint.step,
        checked=memory["checked"],
        numbers=memory["numbers"],
        rule=plan.rule.restored(memory["rule"]),
        best=best,
        resumed_from=checkpoint.step,
        saved=checkpoint.step,
        kept=deque([best.step] if best else [], maxlen=KEPT),
        split=Split(**memory.get("split", {})),
    )


def save_state(plan: TrainingPlan, folder: OwnedFolder, state: State) -> None:
    """Save a state: first the best bundle, if it is new, then the checkpoint, whose last file makes both valid.

    Raises:
        Diverged: a weight is not finite; nothing was written.
        UserError: the disk is full, or another process has taken over the run. The previous checkpoint stays valid.
        OSError: any other error of the filesystem. The previous checkpoint stays valid.
    """
    best, groups = state.best, to_groups(plan.networks)
    refuse_infinite(groups, state.step)
    if best is not None and best.networks is not None:
        refuse_infinite({f"best {name}": tensors for name, tensors in best.networks.items()}, state.step)
        path = best_path(best.step)
        with explaining_full_disk(folder, "the best bundle", path):
            save_networks(plan, folder, path, best.networks, best.numbers)
    memory: dict[str, Any] = {
        "checked": state.checked,
        "numbers": dict(state.numbers),
        "rule": state.rule.to_json(),
        "best": {"step": best.step, "numbers": dict(best.numbers)} if best else None,
    }
    if state.split.size is not None:
        memory["split"] = asdict(state.split)
    write_checkpoint(folder, Checkpoint(state.step, groups, memory))
    state.saved = state.step
    if best is not None:
        best.networks = None
        state.kept.append(best.step)
        remove_others(folder, BEST, {step_name(step) for step in state.kept})


def save_networks(
    plan: TrainingPlan,
    folder: OwnedFolder,
    below: str,
    tensors: Mapping[str, Tensors],
    numbers: Mapping[str, float],
) -> BundleInfo:
    """Write a bundle below the run's folder, replacing one that is there.

    Args:
        plan: settings of the networks, and the card.
        folder: of the run.
        below: the bundle's path in it.
        tensors: of the networks in :attr:`TrainingPlan.results`.
        numbers: for the card.
    """
    # The bundle's files are not written through ``folder``, so its own check would not happen.
    folder.confirm()
    path = f"{folder.path}/{below}"
    on_cpu: dict[str, Any] = {
        name: from_tensors(
            type(network),
            network.config,
            {key: tensor.cpu() for key, tensor in tensors[name].items()},
            f"{path}: {name}",
        )
        for name, network in plan.results.items()
    }
    return save_bundle(
        path,
        **on_cpu,
        classifier=plan.card.classifier,
        attributes=plan.faces.attributes,
        licence=plan.card.licence,
        about=plan.card.about,
        metrics=numbers,
        overwrite=True,
        filesystem=folder.filesystem,
    )


def best_path(step: int) -> str:
    """The path in a run's folder of the bundle that was best after ``step`` steps."""
    return f"{BEST}/{step_name(step)}"
