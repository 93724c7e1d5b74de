"""What `attgan report` is told."""

from __future__ import annotations

from pydantic import Field

from flows.settings.base import Settings, Url


class ReportSettings(Settings):
    """Show what an edit run has come to."""

    run: Url = Field(
        description="The run's folder (DESTINATION/_runs/RUN), or a destination: the run that ended there last."
    )
