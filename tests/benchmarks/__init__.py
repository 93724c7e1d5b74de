"""Measurements, each beside its ceiling or its baseline in the same run. Absolute rates drift; ratios tell."""
