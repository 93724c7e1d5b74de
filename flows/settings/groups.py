"""Groups of fields that several settings models share."""

from __future__ import annotations

from flows.settings.layout import FieldGroup

STRATEGY = FieldGroup(
    "training",
    "Strategy",
    "How the networks learn the edit, and from which images.",
    (
        "strategy",
        "attribute",
        "subset",
        "random_images",
        "freeze_d",
        "flip",
        "augment",
        "rendered",
        "intensities",
        "pair_variants",
        "seed",
    ),
)
LOSSES = FieldGroup(
    "losses",
    "Losses",
    "The adversarial loss, and the weight of each other part.",
    (
        "adversarial",
        "lambda_reconstruction",
        "lambda_attributes",
        "lambda_classification",
        "lambda_penalty",
        "lambda_pairs",
        "lambda_edges",
    ),
)
STEPS = FieldGroup(
    "steps",
    "Steps and learning rate",
    "How long the training lasts at most, and what happens in a step.",
    (
        "epochs",
        "min_steps",
        "max_steps",
        "batch_size",
        "learning_rate",
        "schedule",
        "generator_warmup",
        "discriminator_warmup",
        "discriminator_steps",
        "patience",
        "critic_accuracy",
        "classifier_accuracy",
        "flatness",
        "adam_beta1",
        "adam_beta2",
        "weight_decay",
        "clip_gradients",
        "precision",
    ),
)
NETWORKS = FieldGroup(
    "networks",
    "New networks",
    "The shape of networks that are trained from scratch. Those of a bundle keep theirs.",
    (
        "fresh_discriminator",
        "size",
        "width",
        "attributes",
        "shortcut_layers",
        "inject_layers",
        "encoder_activation",
        "decoder_activation",
        "discriminator_activation",
        "head_activation",
        "slope",
    ),
)
VALIDATION = FieldGroup(
    "validation",
    "Validation and results",
    "What is measured during the training and how often, what is kept, and the licence of the weights.",
    (
        "evaluator",
        "test_faces",
        "validation_share",
        "validation_images",
        "checks_per_epoch",
        "checkpoint_every",
        "log_every",
        "no_faces",
        "explode_above",
        "licence",
    ),
)
RESOURCES = FieldGroup(
    "resources",
    "Tasks and resources",
    "What each task on Ray asks for, and how long a run waits for it.",
    (
        "parallel",
        "shard_size",
        "rows_per_part",
        "batch_size",
        "cpus",
        "cpus_per_trial",
        "cpus_per_shard",
        "cpus_per_part",
        "gpus",
        "gpus_per_trial",
        "gpus_per_shard",
        "cache_gb",
        "attempts",
        "trial_timeout",
        "stall_timeout",
        "node_timeout",
    ),
)
TRAINING = (STRATEGY, STEPS, LOSSES, NETWORKS, VALIDATION, RESOURCES)
