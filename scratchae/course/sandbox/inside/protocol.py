"""The protocol between the grader and the sandbox: frames of a JSON header and raw numbers, no pickle.

    magic (4 bytes), length of the header (u32), length of the body (u64), header, body

Both sides load this file, so it imports nothing of scratchae. A tensor is {"tensor": dtype, "shape":
[...], "stride": [...], "offset": n, "at": first byte, "bytes": n}, and its bytes are in the body.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from math import prod

import torch
from torch import Tensor

HEAD = struct.Struct("<4sIQ")
MAGIC = b"scae"
MAX_HEADER = 256 * 1024
MAX_BODY = 4 * 1024 * 1024
MAX_AXES = 6
DTYPES = {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class ProtocolError(Exception):
    """Bytes that are not a frame: forged, cut off or too large."""


def frame(header: dict, body: bytes = b"") -> bytes:
    """Return one frame as bytes.

    >>> list(Frames().feed(frame({"id": 1}, b"ab")))
    [({'id': 1}, b'ab')]
    """
    text = json.dumps(header).encode()
    return HEAD.pack(MAGIC, len(text), len(body)) + text + body


class Frames:
    """Cuts a stream of bytes into frames. Raises ProtocolError at the first bytes that are not a frame."""

    def __init__(self, max_header: int = MAX_HEADER, max_body: int = MAX_BODY) -> None:
        self.waiting = bytearray()
        self.max_header, self.max_body = max_header, max_body

    def feed(self, data: bytes) -> Iterator[tuple[dict, bytes]]:
        """Yield the frames that are complete with `data`."""
        self.waiting += data
        while len(self.waiting) >= HEAD.size:
            magic, n, m = HEAD.unpack_from(self.waiting)
            if magic != MAGIC or n > self.max_header or m > self.max_body:
                raise ProtocolError(
                    "its answer does not follow the grader's protocol, or is too large"
                )
            if len(self.waiting) < HEAD.size + n + m:
                return
            text = bytes(self.waiting[HEAD.size : HEAD.size + n])
            body = bytes(self.waiting[HEAD.size + n : HEAD.size + n + m])
            del self.waiting[: HEAD.size + n + m]
            try:
                header = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise ProtocolError("the header of its answer is not JSON") from error
            if not isinstance(header, dict):
                raise ProtocolError("the header of its answer is not a JSON object")
            yield header, body


class Packer:
    """Converts values to JSON for a header. The bytes of tensors are collected in `body`."""

    def __init__(self, max_body: int = MAX_BODY) -> None:
        self.body = bytearray()
        self.max_body = max_body

    def pack(self, value: object) -> object:
        """Return the value for the header. For a value that cannot be sent, only the name of its type is sent.

        >>> packer = Packer()
        >>> packer.pack((1, torch.ones(2)))
        {'tuple': [1, {'tensor': 'float32', 'shape': [2], 'stride': [1], 'offset': 0, 'at': 0, 'bytes': 8}]}
        """
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) is tuple:
            return {"tuple": [self.pack(item) for item in value]}
        if type(value) is list:
            return {"list": [self.pack(item) for item in value]}
        if type(value) is torch.Generator:
            return {"generator": value.initial_seed()}
        if type(value) is Tensor:
            return self.pack_tensor(value)
        return {"other": type(value).__name__[:40]}

    def pack_tensor(self, value: Tensor, memory: bool = False) -> dict:
        """Pack a tensor. memory: send its whole memory, so that it has the same strides on the other side."""
        shape, dtype = list(value.shape), str(value.dtype).removeprefix("torch.")
        kind = value.layout is torch.strided and value.device.type == "cpu"
        if not kind or dtype not in DTYPES or len(shape) > MAX_AXES:
            where = value.device.type if value.layout is torch.strided else "sparse"
            return {"unsent": where, "dtype": dtype, "shape": shape}
        value = value.detach().resolve_conj().resolve_neg()
        if memory:
            flat = value.as_strided((value.untyped_storage().nbytes() // value.itemsize,), (1,), 0)
            stride, offset = list(value.stride()), value.storage_offset()
        else:
            if value.numel() * value.itemsize + len(self.body) > self.max_body:
                return {"unsent": "large", "dtype": dtype, "shape": shape}
            flat = value.contiguous().flatten()
            stride, offset = list(torch.empty(shape, device="meta").stride()), 0
        raw, at = flat.numpy().tobytes(), len(self.body)
        self.body += raw
        spec = {"tensor": dtype, "shape": shape, "stride": stride, "offset": offset}
        return spec | {"at": at, "bytes": len(raw)}


class Unsent:
    """A tensor sent only as dtype and shape. kind: the reason, "meta", "sparse", "cuda" or "large"."""

    def __init__(self, kind: str, dtype: str, shape: tuple[int, ...]) -> None:
        self.kind, self.dtype, self.shape = kind, dtype, shape


class Other:
    """A value that is neither a tensor nor a number. Only the name of its type is known."""

    def __init__(self, name: str) -> None:
        self.name = name


def unpack(spec: object, body: bytes) -> object:
    """Return the value that `Packer.pack` was given. Raises ProtocolError if anything does not fit.

    >>> packer = Packer()
    >>> unpack(packer.pack([torch.tensor([1.0, 2.0]), "a"]), bytes(packer.body))
    [tensor([1., 2.]), 'a']
    """
    if spec is None or type(spec) in (bool, int, float, str):
        return spec
    if type(spec) is not dict or len(spec) > 8:
        raise ProtocolError("its answer holds something that is no value")
    for name, kind in (("tuple", tuple), ("list", list)):
        if name in spec:
            items = spec[name]
            if type(items) is not list or len(items) > 4096:
                raise ProtocolError("its answer holds a wrong list")
            return kind(unpack(item, body) for item in items)
    if "generator" in spec:
        return torch.Generator().manual_seed(natural(spec["generator"]))
    if "other" in spec:
        return Other(word(spec["other"]))
    if "unsent" in spec:
        shape = tuple(natural(n) for n in some(spec.get("shape"), 64))
        return Unsent(word(spec["unsent"]), word(spec.get("dtype")), shape)
    if "tensor" in spec:
        return unpack_tensor(spec, body)
    raise ProtocolError("its answer holds something that is no value")


def unpack_tensor(spec: dict, body: bytes) -> Tensor:
    """Return a tensor with its own memory, after checking every length."""
    dtype = DTYPES.get(word(spec["tensor"]))
    if dtype is None:
        raise ProtocolError("its answer holds numbers of an unknown kind")
    shape = [natural(n) for n in some(spec.get("shape"), MAX_AXES)]
    stride = [natural(n) for n in some(spec.get("stride"), MAX_AXES)]
    offset, at, size = (natural(spec.get(name)) for name in ("offset", "at", "bytes"))
    if len(shape) != len(stride) or at + size > len(body) or size % dtype.itemsize:
        raise ProtocolError("its answer holds a tensor whose lengths do not fit")
    last = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
    if prod(shape) and last >= size // dtype.itemsize:
        raise ProtocolError("its answer holds a tensor whose lengths do not fit")
    if not prod(shape):
        return torch.zeros(shape, dtype=dtype)
    flat = torch.frombuffer(bytearray(body[at : at + size]), dtype=dtype)
    return flat.as_strided(shape, stride, offset)


def some(value: object, max_length: int) -> list:
    """Return a list that is not too long."""
    if type(value) is not list or len(value) > max_length:
        raise ProtocolError("its answer holds a wrong list")
    return value


def natural(value: object) -> int:
    """Return an integer of at least 0."""
    if type(value) is not int or not 0 <= value < 2**63:
        raise ProtocolError("its answer holds a wrong number")
    return value


def word(value: object) -> str:
    """Return a text of at most 40 letters, digits and underscores, which can be shown safely."""
    if type(value) is not str:
        raise ProtocolError("its answer holds a wrong name")
    return "".join(c for c in value if c.isascii() and (c.isalnum() or c == "_"))[:40]
