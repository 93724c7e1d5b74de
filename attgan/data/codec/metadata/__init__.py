"""What a photograph's file says besides its pixels: read, cleaned of what an edit makes wrong, and kept."""

from attgan.data.codec.metadata.kept import NOTHING, Metadata, Policy, kept

__all__ = ["NOTHING", "Metadata", "Policy", "kept"]
