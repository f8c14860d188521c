"""The random cases of every exercise and of every layer, one file for each layer.

Importing this package imports all files in it. Each file declares exercises (`@exercise`) and random
layers (`@layer_case`). For a new layer, add a file.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
