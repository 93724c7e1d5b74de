"""Everything that a command loads, loaded once, in the process that all of them are forked off. No thread may start."""

import botocore.session

# pyarrow imports it when it first meets a list.
import pandas

from flows.storage.s3 import aws
from tests.faults.campaign import command

__all__ = ["command", "pandas"]

# botocore's descriptions of S3 take longer to read than all else that a client needs.
_session = botocore.session.Session()
_session.register_component("data_loader", aws._service_models(_session.get_config_variable("data_path")))
_session.create_client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
