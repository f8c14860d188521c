"""Autoencoders built from nothing but tensor arithmetic."""

__version__ = "0.1.0"
