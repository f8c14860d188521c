"""The catalogue of mistakes: importing this package enters the table of every file in it.

A file has a CHAPTER and a table MISTAKES; checking/mistake.py says how a row is written.
"""

from importlib import import_module
from pkgutil import iter_modules

from scratchae.checking.mistake import add_table

for _module in iter_modules(__path__):
    _names = vars(import_module(f"{__name__}.{_module.name}"))
    if "MISTAKES" in _names:
        add_table(_names["MISTAKES"], _names["CHAPTER"], _names)
