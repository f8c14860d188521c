"""Wrong versions of what chapter 17 asks for, with words that the chapter's check must say."""

from scratchae.layers import Residual


class InPlace(Residual):
    def forward(self, x):
        x += self.body(x)
        return x


class NoSkip(Residual):
    def forward(self, x):
        return self.body(x)


class SkipForgotten(Residual):
    def backward(self, dy):
        return self.body.backward(dy)


class BodyForgotten(Residual):
    def backward(self, dy):
        self.body.backward(dy)
        return dy


class Halved(Residual):
    def backward(self, dy):
        return super().backward(dy) / 2


class InPlaceBackward(Residual):
    def backward(self, dy):
        dy += self.body.backward(dy)
        return dy


class ShortcutNotAsked(Residual):
    def backward(self, dy):
        return dy + self.body.backward(dy)


class InARow(Residual):
    """The body gets dS in the place of dy."""

    def backward(self, dy):
        skipped = dy if self.shortcut is None else self.shortcut.backward(dy)
        return skipped + self.body.backward(skipped)


class BodyTwice(Residual):
    """dx is right, but the gradients of the body's weights are added twice."""

    def backward(self, dy):
        self.body.backward(dy)
        return super().backward(dy)


def size(t):
    return t.square().mean().sqrt().item()


def measured(
    size=size, centre=lambda x: x.mean(dim=0), inputs=False, late=False, turned_round=True
):
    """by_layer with another size or mean, of inputs, of gradients after backward, or in the wrong order."""

    def by_layer(layers, x, dy):
        signal, spread, gradient = [], [], []
        for layer in layers:
            y = layer.forward(x)
            signal.append(size(x if inputs else y))
            spread.append(size(y - centre(y)))
            x = y
        for layer in reversed(layers):
            dx = layer.backward(dy)
            gradient.append(size(dx if late else dy))
            dy = dx
        return signal, spread, gradient[::-1] if turned_round else gradient

    return by_layer


DEPTH: dict = {
    ("ch17_depth", "Block"): [
        (InPlace, "forward changes x"),
        (NoSkip, "y is F(x) alone"),
        (SkipForgotten, "the skip is forgotten in backward"),
        (BodyForgotten, "the gradient through the body is missing"),
        (Halved, "dx is halved"),
        (InPlaceBackward, "backward changes dy"),
        (ShortcutNotAsked, "with a shortcut: dx is wrong"),
        (InARow, "dS is shortcut.backward(dy)"),
        (BodyTwice, "2 times too large"),
    ],
    ("ch17_depth", "by_layer"): [
        (measured(inputs=True), "not its input"),
        (measured(lambda t: t.norm().item()), "the root of the mean of all squares"),
        (measured(lambda t: t.abs().mean().item()), "the root of the mean of all squares"),
        (measured(centre=lambda x: 0), "subtract the mean over the digits first"),
        (measured(centre=lambda x: x.mean()), "is one for each column"),
        (measured(turned_round=False), "turn it round"),
        (measured(late=True), "append before its backward"),
    ],
}
