"""The former place of the flow, for deployments that an earlier version registered."""

# A deployment on a Prefect server names its flow by module and function. Those of version 0.1 name this module, and
# run on until `make deploy` is repeated.
from flows.training.flow import train_classifier

__all__ = ["train_classifier"]
