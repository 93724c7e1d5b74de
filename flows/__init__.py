"""The wiring: Prefect flows, Ray tasks, S3."""

import os

# Torch's threads sleep while they wait for one another. By default they spin, and where anything else wants one of the
# same cores (on two of them with three busy processes beside) a training step takes five to nine times as long. It is
# read once, when torch is loaded: in workers too, this package comes before.
if "GOMP_SPINCOUNT" not in os.environ:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
