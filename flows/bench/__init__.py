"""``attgan bench``: the ceilings of this machine or cluster, stage by stage, beside what the edit flow reached."""
