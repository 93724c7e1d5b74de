"""Checks that a Ray cluster accepts this process's token. Ray itself retries and does not name the cause."""

import os
from pathlib import Path

from attgan.errors import UserError

_LIST_NODES = "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo"


def require_token(address: str) -> None:
    """Send the cluster at this address one request.

    Raises:
        UserError: the cluster requires a token, and this process has none or a wrong one.
    """
    import grpc

    token = _ray_token()
    metadata = [("authorization", f"Bearer {token}")] if token else []
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(_LIST_NODES)(b"", timeout=10, metadata=metadata)
        except grpc.RpcError as error:
            # Ray's own messages are better for all other failures.
            if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                return
            stack = "for a local stack started in another folder, set ATTGAN_STACK_FOLDER"
            if token:
                raise UserError(
                    "ray-token-refused",
                    f"RAY_ADDRESS {address}: this cluster does not accept the token of RAY_AUTH_TOKEN_PATH or "
                    f"RAY_AUTH_TOKEN; {stack}",
                ) from None
            raise UserError(
                "ray-token-missing",
                f"RAY_ADDRESS {address}: this cluster asks for a token, set RAY_AUTH_MODE=token and "
                f"RAY_AUTH_TOKEN_PATH; {stack}",
            ) from None


def _ray_token() -> str | None:
    """The token that Ray will use, read from where Ray reads it; None if there is none."""
    if os.environ.get("RAY_AUTH_MODE") != "token":
        return None
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        return token
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
    return path.read_text().strip() if path.is_file() else None
