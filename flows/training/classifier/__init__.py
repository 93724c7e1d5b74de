"""The train-classifier flow: train the attribute classifier of a bundle."""
