"""The subset flow: makes a dataset of Parquet parts from a folder in CelebA's layout.

``flows.dataset.subset.subset`` is the flow. ``flows.dataset.subset.describe`` is its dry run, which does not import
Prefect and Ray: that would take seconds.
"""

from typing import Any

from flows.dataset.subset.preview import describe

__all__ = ["describe", "subset"]


def __getattr__(name: str) -> Any:
    if name == "subset":
        from flows.dataset.subset.flow import subset

        return subset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
