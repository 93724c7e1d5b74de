"""The wiring: Prefect flows, Ray tasks, S3."""

import os

# Torch's threads soon sleep while they wait for one another. By default they spin for long, and where anything else
# wants one of the same cores (on two of them with three busy processes beside: 3.0 steps a second of a small training,
# 6.8 with this) they keep each other waiting; not to spin at all costs a third on cores without company (19 for 28).
# It is read once, when torch is loaded: in workers too, this package comes before.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
