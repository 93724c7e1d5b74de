"""Check named tensors against a network, and convert them to safetensors and back.

Every refusal names the tensor. Nothing is unpickled.
"""

from collections.abc import Collection, Mapping

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from attgan.errors import UserError
from attgan.models.bundle_config import StorageDtype, printable

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "I64": torch.int64}


def check_tensors(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str) -> None:
    """Refuse tensors whose names, shapes or dtypes differ from the network's, or whose values are not finite.

    Args:
        tensors: to check.
        wanted: a state dict of the network, on any device (``meta`` is enough).
        where: what the refusal starts with.

    Raises:
        UserError: naming the first tensor that is missing, unexpected, of another shape or dtype, or not finite.
    """
    if missing := [name for name in wanted if name not in tensors]:
        raise UserError("tensor-missing", f"{where}: tensor {_first(missing)} is missing")
    if extra := [name for name in tensors if name not in wanted]:
        raise UserError(
            "tensor-unexpected", f"{where}: tensor {_first(extra)} does not belong to this network"
        )
    for name, want in wanted.items():
        found = tensors[name]
        if found.shape != want.shape:
            raise UserError(
                "tensor-shape-wrong",
                f"{where}: tensor {name} is {_shape(found)} where {_shape(want)} is wanted",
            )
        if found.dtype != want.dtype:
            raise UserError(
                "tensor-dtype-wrong",
                f"{where}: tensor {name} is {_dtype(found)} where {_dtype(want)} is wanted",
            )
    check_finite(tensors, where)


def check_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    """Refuse weights that are NaN or infinite: the network would return black images without any error.

    Raises:
        UserError: naming the first tensor that holds NaN or infinity.
    """
    for name, tensor in tensors.items():
        # The sum is about ten times faster than isfinite on every value. If it is finite, so is every value; if not, it
        # may only have overflowed.
        if not tensor.sum().isfinite() and not tensor.isfinite().all():
            raise UserError(
                "tensor-not-finite", f"{where}: tensor {printable(name)} holds values that are not finite"
            )


def pack(tensors: Mapping[str, Tensor], dtype: StorageDtype, where: str) -> bytes:
    """Serialize as safetensors; the same tensors always give the same bytes.

    With ``float16`` the weights of convolutions and linear layers are rounded. Vectors (biases, norms) are few and
    sensitive to rounding, and stay float32.

    Raises:
        UserError: naming a tensor that is not finite, or too large for float16.
    """
    check_finite(tensors, where)
    stored = {
        name: tensor.detach().to("cpu", stored_dtype(tensor, dtype)).contiguous()
        for name, tensor in tensors.items()
    }
    check_finite(stored, f"{where} as {dtype}")
    return safetensors.torch.save(stored)


def unpack(data: bytes, where: str) -> dict[str, Tensor]:
    """Read safetensors, with the dtypes of the file.

    Raises:
        UserError: the bytes are not safetensors or are truncated, or a dtype is not float32, float16 or int64.
    """
    try:
        entries = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise UserError(
            "safetensors-unreadable", f"{where} is truncated, damaged or no safetensors file ({error})"
        ) from None
    tensors = {}
    for name, entry in entries:
        if entry["dtype"] not in _DTYPES:
            raise UserError(
                "tensor-dtype-wrong",
                f"{where}: tensor {printable(name)} is {entry['dtype']}; float32 or float16 is wanted",
            )
        dtype = _DTYPES[entry["dtype"]]
        flat = torch.frombuffer(entry["data"], dtype=dtype) if entry["data"] else torch.empty(0, dtype=dtype)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def restore(tensors: Mapping[str, Tensor], dtype: StorageDtype, where: str) -> dict[str, Tensor]:
    """Convert the weights that :func:`pack` stored to float32.

    Raises:
        UserError: naming a tensor that is not stored with the dtype that ``dtype`` requires.
    """
    for name, tensor in tensors.items():
        want = stored_dtype(tensor, dtype)
        if tensor.dtype != want:
            raise UserError(
                "tensor-dtype-wrong",
                f"{where}: tensor {printable(name)} is {_dtype(tensor)} where {_name(want)} is recorded",
            )
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
    }


def stored_dtype(tensor: Tensor, dtype: StorageDtype) -> torch.dtype:
    """The dtype of a tensor on disk in a bundle that is stored as ``dtype``."""
    if not tensor.is_floating_point():
        return tensor.dtype
    return torch.float16 if dtype == "float16" and tensor.ndim > 1 else torch.float32


def _first(names: Collection[str]) -> str:
    first = printable(next(iter(names)))
    return first if len(names) == 1 else f"{first} (and {len(names) - 1} more)"


def _shape(tensor: Tensor) -> str:
    return "×".join(str(size) for size in tensor.shape) or "a scalar"


def _dtype(tensor: Tensor) -> str:
    return _name(tensor.dtype)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
