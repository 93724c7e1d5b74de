import logging

# At its first import matplotlib makes a font cache, and warns where the home folder is missing or read-only: as on many
# nodes of a cluster. It makes do with a temporary folder then, and nobody needs to read about that once per worker.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
