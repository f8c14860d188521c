"""Wrong versions of what chapters ask for beyond the library's exercises; those have the catalogue.

OWN_MISTAKES[chapter, name] is a list of (wrong version, words that the chapter's check must say).
"""

from tests.helpers.chapter_mistakes.depth import DEPTH
from tests.helpers.chapter_mistakes.early import EARLY
from tests.helpers.chapter_mistakes.generative import GENERATIVE
from tests.helpers.chapter_mistakes.late import LATE
from tests.helpers.chapter_mistakes.noise import NOISE

OWN_MISTAKES: dict = EARLY | LATE | GENERATIVE | NOISE | DEPTH
