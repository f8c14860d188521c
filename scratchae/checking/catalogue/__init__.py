"""The catalogue of mistakes: importing this package adds the table of every file in it.

A file has a CHAPTER and a table MISTAKES. checking/mistake.py explains how to write a row.
"""

from importlib import import_module
from pkgutil import iter_modules

from scratchae.checking.mistake import add_table

for _module in iter_modules(__path__):
    _names = vars(import_module(f"{__name__}.{_module.name}"))
    if "MISTAKES" in _names:
        add_table(_names["MISTAKES"], _names["CHAPTER"], _names)
