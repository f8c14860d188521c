"""export_onnx: write the encoder and the decoder of a model as ONNX files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import scratchae
from scratchae.files import replacing
from scratchae.interchange import image_forms as image_forms  # these register their forms
from scratchae.interchange import loss_forms as loss_forms
from scratchae.interchange.forms import halves
from scratchae.interchange.graph import Graph, Value, form_of, import_onnx
from scratchae.layers.base import LossFunction
from scratchae.losses import Loss
from scratchae.models import Autoencoder
from scratchae.models.vae import VAE

if TYPE_CHECKING:
    from onnx import ModelProto


def export_onnx(model: Autoencoder, folder: str | Path) -> tuple[Path, Path]:
    """Write folder/encoder.onnx and folder/decoder.onnx; return their paths.

    The encoder has the input "image", (N, *input_shape), and the output "code". The encoder of a VAE has two
    outputs, "mu" and "logvar": the mean and the log-variance of the code. The decoder has the input "code" and
    the output "image". N is open: any number of images is accepted. All tensors are float32. The metadata
    of both files gives the name of the model, the range of the pixels, the shapes of an image and of a
    code, and the version of scratchae.

    Both files compute what the model computes in evaluation mode. The decoder's output is pixels: if the loss
    is made for logits, as BCEWithLogitsLoss, the file ends with their sigmoid. The files are written
    without torch.onnx, node by node, and checked by onnx. Raises ScratchaeError if the package onnx is not
    installed, if a layer has no ONNX form, or if the folder cannot be written.

    >>> import tempfile
    >>> import onnx
    >>> from scratchae.models import build
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     encoder, decoder = export_onnx(build("fc"), folder)
    ...     file = onnx.load(encoder)
    >>> encoder.name, decoder.name, [node.op_type for node in file.graph.node][:3]
    ('encoder.onnx', 'decoder.onnx', ['Gemm', 'Relu', 'Gemm'])
    """
    image = Value("image", model.input_shape)
    encoder = Graph()
    if isinstance(model, VAE):
        before_sampling = encoder.add(model.encoder[:-1], image, "encoder")
        outputs = dict(zip(("mu", "logvar"), halves(encoder, before_sampling), strict=True))
        code = outputs["mu"]
    else:
        code = encoder.add(model.encoder, image, "encoder")
        outputs = {"code": code}
    decoder = Graph()
    output = decoder.add(model.decoder, Value("code", code.shape), "decoder")
    output = expected_pixels(decoder, model.loss, output)
    about = {
        "model": model.name or type(model).__name__,
        "scratchae": scratchae.__version__,
        "pixel_range": json.dumps(model.pixel_range),
        "image_shape": json.dumps(image.shape),
        "code_shape": json.dumps(code.shape),
    }
    files = {
        "encoder": encoder.model([image], outputs, about),
        "decoder": decoder.model([Value("code", code.shape)], {"image": output}, about),
    }
    first, second = (write(file, Path(folder) / f"{name}.onnx") for name, file in files.items())
    return first, second


def expected_pixels(graph: Graph, loss: LossFunction | None, y: Value) -> Value:
    """Add the nodes that turn the output of a decoder into pixels, as `Loss.expected` does."""
    method = getattr(type(loss), "expected", Loss.expected)
    if method is Loss.expected:  # the output is the pixels
        return y
    return Value(form_of(loss, "expected")(graph, loss, y), y.shape)


def write(file: ModelProto, path: Path) -> Path:
    """Write the file, complete or not at all; return its path."""
    with replacing(path) as beside:
        beside.write_bytes(file.SerializeToString(deterministic=True))
    return path


def signature(path: Path) -> tuple[str, str]:
    """Return the inputs and the outputs of an ONNX file as texts, such as "image (N, 784)"."""
    graph = import_onnx().load(path).graph

    def described(values: Sequence) -> str:
        shapes = [
            [axis.dim_param or axis.dim_value for axis in v.type.tensor_type.shape.dim]
            for v in values
        ]
        return ", ".join(
            f"{v.name} ({', '.join(map(str, shape))})"
            for v, shape in zip(values, shapes, strict=True)
        )

    return described(graph.input), described(graph.output)
