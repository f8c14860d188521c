"""Wrong versions of what chapters ask for beyond the library's exercises, with what the check must say."""

OWN_MISTAKES: dict = {}  # (chapter, name): [(wrong version, words that its check must say)]
