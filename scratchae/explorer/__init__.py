"""The explorer: a trained run as one HTML page that runs its encoder and decoder in the browser.

`page` puts everything into one file: the weights as small integers with one scale per row, a sample of
codes, a few digits, and the scripts and style sheets of this folder. It needs no network and no server.
"""

from scratchae.explorer.page import LARGEST, page, write_page

__all__ = ["LARGEST", "page", "write_page"]
