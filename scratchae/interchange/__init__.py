"""Interchange: models and weights for other programs.

`export_onnx` writes a model as ONNX files, which onnxruntime and many other programs run without Python or
torch. `form` adds your own layer to what can be written. `save_weights` and `load_weights` exchange weights
with torch.nn.
"""

from scratchae.interchange.export import export_onnx
from scratchae.interchange.graph import Graph, Value, form
from scratchae.interchange.weights import load_weights, save_weights

__all__ = ["Graph", "Value", "export_onnx", "form", "load_weights", "save_weights"]
