"""The subset flow: CelebA's layout in, a dataset of Parquet parts out.

``flows.subset.subset`` is the flow and ``flows.subset.describe`` its dry run, which does without Prefect and Ray
and therefore without the seconds that importing them takes.
"""

from typing import Any

from flows.subset.preview import describe

__all__ = ["describe", "subset"]


def __getattr__(name: str) -> Any:
    if name == "subset":
        from flows.subset.flow import subset

        return subset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
