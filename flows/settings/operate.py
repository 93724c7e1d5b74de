"""The settings of `attgan undo`, `forget` and `prune`."""

from __future__ import annotations

from pydantic import Field

from flows.settings.base import Settings, Url
from flows.settings.durations import Duration
from flows.settings.edit import ReportSettings

_DRY_RUN = "Say what would be removed, and stop."


class UndoSettings(ReportSettings):
    """Remove what an edit run wrote, so that its images are planned again."""

    dry_run: bool = Field(default=False, description=_DRY_RUN)


class ForgetSettings(Settings):
    """Remove the outputs of images that were deleted from their source."""

    destination: Url = Field(description="URL or path that edits have written to.")
    keys: list[str] = Field(
        min_length=1, description="Of the deleted images: their paths below the source, one or several."
    )
    dry_run: bool = Field(default=False, description=_DRY_RUN)


class PruneSettings(Settings):
    """Remove old files of edit runs that nothing needs any more. Outputs and ledgers stay."""

    destination: Url = Field(description="URL or path that edits have written to.")
    older_than: Duration = Field(description="Only files of at least this age.")
    dry_run: bool = Field(default=False, description=_DRY_RUN)
