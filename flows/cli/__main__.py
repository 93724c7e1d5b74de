"""``python -m flows.cli``: the ``attgan`` command where the script is not on the PATH."""

from flows.cli.main import main

main()
