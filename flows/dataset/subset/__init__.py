"""The subset flow: CelebA's layout in, a dataset of Parquet parts out.

``flows.dataset.subset.subset`` is the flow and ``flows.dataset.subset.describe`` its dry run, which does without
Prefect and Ray and therefore without the seconds that importing them takes.
"""

from typing import Any

from flows.dataset.subset.preview import describe

__all__ = ["describe", "subset"]


def __getattr__(name: str) -> Any:
    if name == "subset":
        from flows.dataset.subset.flow import subset

        return subset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
