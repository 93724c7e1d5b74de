"""`ray start …` for busy machines: `python -m infra.local.ray_start start --head …`.

Ray gives the node that it starts 30 seconds to join, a constant in its code, and asks for it without a pause meanwhile.
Beside other work these are too few, and the asking takes a CPU from what is being started. Here it is asked for five
times a second, and whoever starts Ray says how long that may take.
"""

import time

from ray._private import services
from ray.scripts.scripts import main

_LIMIT = 1800.0  # seconds, in case that nobody else ends it
_PAUSE = 0.2


def be_patient() -> None:
    """From now on Ray's question for a node waits until the node has joined."""
    ask = services.get_node

    def wait_for_node(gcs_address: str, node_id: str) -> object:
        end = time.monotonic() + _LIMIT
        while True:
            try:
                return ask(gcs_address, node_id)
            except RuntimeError:  # it has not joined yet
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE)

    services.get_node = wait_for_node


if __name__ == "__main__":
    be_patient()
    main()
