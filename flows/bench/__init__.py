"""``attgan bench``: the highest rate of each stage of an edit on this machine or cluster, and that of the edit flow."""
