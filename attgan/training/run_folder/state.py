"""What changes while a run goes on, and how it is kept and taken up again.

Beside the networks and their optimisers this is the step, the stop rule, the last validation and the best one. The
order of the data, the schedules and all that is random follow from the settings and the step.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from attgan.models import BundleInfo, Discriminator, Generator, save_bundle
from attgan.models.build import from_tensors
from attgan.training.early_stopping import StopRule
from attgan.training.networks import from_groups, snapshot, to_groups
from attgan.training.plan import TrainingPlan
from attgan.training.run_folder.checkpoint import (
    KEPT,
    Checkpoint,
    read_checkpoint,
    refuse_infinite,
    remove_others,
    room_for,
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
        numbers: what was measured.
        generator, discriminator: tensors as they were; None once they are kept as a bundle.
    """

    step: int
    numbers: Mapping[str, float]
    generator: Tensors | None = None
    discriminator: Tensors | None = None


@dataclass
class State:
    """Where a run stands.

    Attributes:
        step: steps done.
        checked: after how many steps the last validation was; -1 before the first.
        numbers: what it measured.
        rule: when to stop, with what it remembers.
        best: None before the first validation, and where the last state is the result.
        resumed_from: the step at which this process took the run up; None if it began it.
        saved: the step of the last checkpoint; None before the first.
        kept: steps of the best bundles that the checkpoints need.
    """

    step: int
    checked: int
    numbers: Mapping[str, float]
    rule: StopRule
    best: Best | None = None
    resumed_from: int | None = None
    saved: int | None = None
    kept: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT))

    def keep_if_best(self, plan: TrainingPlan) -> bool:
        """Remember the networks as they are if the last validation was the best."""
        if self.best is not None and self.numbers["quality"] < self.best.numbers["quality"]:
            return False
        networks = plan.networks
        self.best = Best(
            self.step, self.numbers, snapshot(networks.generator), snapshot(networks.discriminator)
        )
        return True


def load_state(plan: TrainingPlan, folder: OwnedFolder) -> State:
    """The state to go on from: the last one kept, which is put into the networks, or the very first.

    Raises:
        UserError: there are states, and all are damaged.
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
    )


def save_state(plan: TrainingPlan, folder: OwnedFolder, state: State) -> None:
    """Keep a state: the best bundle first, if it is new, then the checkpoint, whose last file makes both count.

    Raises:
        Diverged: a weight is not finite; nothing was written.
        UserError: there is no room left, and the state before still counts; or another process has taken the run over.
        OSError: what else the filesystem reports; the same holds.
    """
    best, groups = state.best, to_groups(plan.networks)
    refuse_infinite(groups, state.step)
    if best is not None and best.generator is not None and best.discriminator is not None:
        kept = {"best generator": best.generator, "best discriminator": best.discriminator}
        refuse_infinite(kept, state.step)
        path = best_path(best.step)
        with room_for(folder, "the best bundle", path):
            save_networks(plan, folder, path, best.generator, best.discriminator, best.numbers)
    memory: dict[str, Any] = {
        "checked": state.checked,
        "numbers": dict(state.numbers),
        "rule": state.rule.to_json(),
        "best": {"step": best.step, "numbers": dict(best.numbers)} if best else None,
    }
    write_checkpoint(folder, Checkpoint(state.step, groups, memory))
    state.saved = state.step
    if best is not None:
        best.generator = best.discriminator = None
        state.kept.append(best.step)
        remove_others(folder, BEST, {step_name(step) for step in state.kept})


def save_networks(
    plan: TrainingPlan,
    folder: OwnedFolder,
    below: str,
    generator: Tensors,
    discriminator: Tensors,
    numbers: Mapping[str, float],
) -> BundleInfo:
    """Write a bundle below the run's folder, in place of one that is there.

    Args:
        plan: what the networks are, and what the card says.
        folder: of the run.
        below: the bundle's path in it.
        generator, discriminator: tensors.
        numbers: for the card.
    """
    folder.confirm()  # a bundle is written past the folder
    networks = plan.networks
    path = f"{folder.path}/{below}"
    on_cpu = [{name: tensor.cpu() for name, tensor in part.items()} for part in (generator, discriminator)]
    return save_bundle(
        path,
        generator=from_tensors(Generator, networks.generator.config, on_cpu[0], f"{path}: generator"),
        discriminator=from_tensors(
            Discriminator, networks.discriminator.config, on_cpu[1], f"{path}: discriminator"
        ),
        classifier=plan.card.classifier,
        attributes=plan.faces.attributes,
        licence=plan.card.licence,
        about=plan.card.about,
        metrics=numbers,
        overwrite=True,
        filesystem=folder.filesystem,
    )


def best_path(step: int) -> str:
    """Where the bundle that was best after so many steps lies in a run's folder."""
    return f"{BEST}/{step_name(step)}"
