"""Settings as text: "noise=0.3,mask=0.1" is read into a small dataclass, and written from it.

The command line, `fit` and config.json use this form for corruption and augmentation.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import ClassVar, NoReturn, Self

from scratchae.errors import ScratchaeError


class SettingsText:
    """The base class of frozen dataclasses whose fields are numbers, all 0 by default.

    kind: what it is called in messages. most: for each field, the greatest value that makes sense.
    An object in which all fields are 0 does nothing, and is False.

    >>> from scratchae.data import Corruption
    >>> corruption = Corruption.parse("noise=0.3, mask=0.1")
    >>> corruption.noise, corruption.salt, str(corruption), bool(Corruption())
    (0.3, 0.0, 'noise=0.3,mask=0.1', False)
    """

    kind: ClassVar[str]
    most: ClassVar[Mapping[str, float]]

    def __post_init__(self) -> None:
        for name, most in self.most.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                self.wrong(name, "a number")
            if not 0 <= value <= most:  # also if it is NaN
                self.wrong(name, f"a number from 0 to {most:g}")

    def wrong(self, name: str, expected: str) -> NoReturn:
        """Raise the ScratchaeError about the value of a field."""
        value = getattr(self, name)
        raise ScratchaeError(f"{self.kind}: {name} is {value!r}, but it must be {expected}")

    def __str__(self) -> str:
        values = asdict(self)  # type: ignore[call-overload]
        return ",".join(f"{name}={number(value)}" for name, value in values.items() if value)

    def __bool__(self) -> bool:
        return any(asdict(self).values())  # type: ignore[call-overload]

    @classmethod
    def parse(cls, text: str | Self | None) -> Self | None:
        """Return the settings that a text such as "noise=0.3,mask=0.1" describes.

        An object is returned as it is. None, "none" and settings that do nothing give None. Raises
        ScratchaeError if a name is unknown or is there twice, or if a value is wrong.
        """
        if text is None or text == "none":
            return None
        if isinstance(text, cls):
            return text or None
        if not isinstance(text, str):
            raise ScratchaeError(
                f"{cls.kind} must be a text such as {cls.example()!r} or a {cls.__name__}, but got {text!r}"
            )
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        values: dict[str, float] = {}
        for part in text.split(","):
            name, equals, value = (word.strip() for word in part.partition("="))
            if not equals:
                raise ScratchaeError(
                    f"{cls.kind} expects NAME=VALUE, such as {cls.example()}, but got {part.strip()!r}"
                )
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"the names are {', '.join(names)}"
                raise ScratchaeError(f"there is no {cls.kind} called {name!r}: {hint}")
            if name in values:
                raise ScratchaeError(f"{cls.kind}: {name} is given twice: omit one of the values")
            try:
                values[name] = float(value)
            except ValueError as error:
                raise ScratchaeError(
                    f"{cls.kind}: {name} is {value!r}, but it must be a number, as in {cls.example()}"
                ) from error
        return cls(**values) or None

    @classmethod
    def example(cls) -> str:
        """Return a text that `parse` reads."""
        raise NotImplementedError


def number(value: float) -> str:
    """Return the shortest text of a number that reads as the same number again.

    >>> number(10.0), number(0.3)
    ('10', '0.3')
    """
    return str(value).removesuffix(".0")
