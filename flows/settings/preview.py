"""The settings of `attgan preview`."""

from __future__ import annotations

from pydantic import Field

from flows.settings.base import BundleUrl, NoFaces, Url
from flows.settings.edit import ReportSettings


class PreviewSettings(ReportSettings):
    """Write one HTML page with images of an edit run before and after, to look at in a browser."""

    output: Url | None = Field(
        default=None,
        description="Where the page goes: URL or path; by default preview.html in the run's folder.",
    )
    images: int = Field(
        default=300,
        ge=1,
        le=2000,
        description="The most images on the page. If the run has more, failed ones come first, then a random sample.",
    )
    bundle: BundleUrl | None = Field(
        default=None,
        description="The bundle whose attribute classifier sorts the edited faces, the least sure first; by default "
        "the run's own.",
    )
    no_faces: NoFaces = False
    link_hours: float = Field(
        default=24,
        gt=0,
        le=168,
        description="Hours after which the link to a page on S3 expires, which everybody can open who has it.",
    )
