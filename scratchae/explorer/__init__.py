"""The explorer: a trained run as one page that runs its encoder and decoder in the browser.

`page` puts everything into one HTML file: the weights as small whole numbers with one scale a row,
a sample of codes, a few digits, and the plain files beside this one. It needs no network and no server.
"""

from scratchae.explorer.page import LARGEST, page, write_page

__all__ = ["LARGEST", "page", "write_page"]
