"""The version of this program, as its runs, bundles and edited images name it.

It is written here and not asked of the installed package: a Ray cluster's nodes are sent this code without that record.
"""

VERSION = "0.2.0"
SOFTWARE = f"attgan {VERSION}"
