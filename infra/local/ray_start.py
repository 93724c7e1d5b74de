"""`ray start …` for busy machines: `python -m infra.local.ray_start start --head …`.

Ray waits 30 seconds for the node that it starts, a constant in its code, and polls for it without a pause. On a busy
machine that is too short, and the polling takes a CPU from the node. Here it polls five times a second, for as long as
the process that has started Ray allows.
"""

import time

from ray._private import services
from ray.scripts.scripts import main

# Seconds, in case that no other process ends this one.
_LIMIT = 1800.0
# Seconds between two requests.
_PAUSE = 0.2


def be_patient() -> None:
    """Make Ray's request for a node wait until the node has joined."""
    ask = services.get_node

    def wait_for_node(gcs_address: str, node_id: str) -> object:
        end = time.monotonic() + _LIMIT
        while True:
            try:
                return ask(gcs_address, node_id)
            except RuntimeError:
                # The node has not joined yet.
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE)

    services.get_node = wait_for_node


if __name__ == "__main__":
    be_patient()
    main()
