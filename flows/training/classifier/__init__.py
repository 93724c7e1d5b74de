"""Training the attribute classifier of a bundle: one task on Ray, watched as other trainings are."""
