"""PyTorch's own samples of its modules, run through ours: outputs and all gradients agree.

torch.testing lists for each module of torch.nn how it is made and called. Each sample either gives
the same numbers here, or is refused in one sentence and stands in REFUSED.
"""

import pytest
import torch

from scratchae import layers, losses
from scratchae.errors import ScratchaeError
from scratchae.layers import BatchNorm1d, Conv2d, ConvTranspose2d, Layer, LeakyReLU, Linear, ReLU
from tests.helpers.tensors import assert_close
from tests.helpers.torch_samples import MODULES, torch_samples

WITHOUT_PARAMETERS = (
    *(
        "AvgPool2d",
        "BCEWithLogitsLoss",
        "CrossEntropyLoss",
        "GELU",
        "LeakyReLU",
        "MaxPool2d",
        "MSELoss",
        "ReLU",
        "SiLU",
        "Sigmoid",
    ),
    *("Softplus", "Tanh"),
)
OURS = [name for name in MODULES if hasattr(layers, name) or hasattr(losses, name)]

# (module, sample) -> a piece of the sentence
REFUSED: dict[tuple[str, str], str] = {("MaxPool2d", "return_indices"): "omit return_indices"}


@pytest.mark.parametrize("name", OURS)
def test_every_sample_of_torch_gives_the_same_numbers_or_is_refused(name):
    samples = torch_samples()["modules"][name]
    assert samples
    for sample in samples:
        if message := REFUSED.get((name, sample["desc"])):
            with pytest.raises(ScratchaeError, match=message):
                compare(name, sample)
        else:
            compare(name, sample)


def compare(name: str, sample: dict) -> None:
    (args, kwargs), (inputs, named) = sample["made"], sample["given"]
    x, *rest = [*inputs, *named.values()]
    place = {} if name in WITHOUT_PARAMETERS else {"dtype": torch.float64}
    module = getattr(torch.nn, name)(*args, **kwargs, **place).train(sample["training"])
    owner = layers if hasattr(layers, name) else losses
    ours = getattr(owner, name)(*args, **kwargs, **place)
    if isinstance(ours, Layer):
        ours.train(sample["training"]).load_state_dict(module.state_dict())

    y = ours(*inputs, **named)
    x_torch = x.clone().requires_grad_()
    theirs = module(**dict.fromkeys(named, x_torch)) if named else module(x_torch, *rest)
    if theirs.isnan().all():  # a mean over nothing, because all samples are ignored
        assert y.isnan().all()
        return
    assert_close(f"y, {sample['desc']}", y, theirs, scale=1.0)

    dy = torch.randn_like(theirs) if isinstance(ours, Layer) else torch.ones_like(theirs)
    dx = ours.backward(dy) if isinstance(ours, Layer) else ours.backward()
    theirs.backward(dy)
    assert_close(f"dx, {sample['desc']}", dx, x_torch.grad, scale=1.0)
    for key, parameter in module.named_parameters():
        assert_close(
            f"d{key}, {sample['desc']}", getattr(ours, key).grad, parameter.grad, scale=1.0
        )


def test_a_layer_is_called_with_input_by_name():
    x = torch.randn(4, 3)
    layer = Linear(3, 2)
    assert torch.equal(layer(input=x), layer(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("ours", "theirs", "arguments"),
    [
        (Linear, torch.nn.Linear, (7, 5)),
        (Conv2d, torch.nn.Conv2d, (2, 5, 3)),
        (ConvTranspose2d, torch.nn.ConvTranspose2d, (2, 5, 3)),
        (BatchNorm1d, torch.nn.BatchNorm1d, (5,)),
    ],
)
def test_a_layer_is_made_in_a_dtype_and_on_a_device_with_the_numbers_of_torch(
    ours, theirs, arguments, dtype
):
    torch.manual_seed(3)
    module = theirs(*arguments, dtype=dtype, device="cpu")
    torch.manual_seed(3)
    layer = ours(*arguments, dtype=dtype, device="cpu")
    for key, tensor in layer.named_parameters():
        assert tensor.grad.dtype == dtype and torch.equal(tensor, module.get_parameter(key))
    for key, tensor in layer.named_buffers():
        assert tensor.dtype == module.get_buffer(key).dtype
    state = ours(*arguments, device="meta").state_dict()
    assert all(tensor.device.type == "meta" for tensor in state.values())


@pytest.mark.parametrize("output_size", [None, (11, 12), [12, 11], (2, 3, 11, 12)])
@pytest.mark.parametrize("batch", [(2,), ()])
def test_the_output_size_of_a_transposed_convolution_can_be_chosen(output_size, batch):
    torch.manual_seed(0)
    arguments = {"stride": 2, "padding": 1, "output_padding": 1, "dtype": torch.float64}
    layer = ConvTranspose2d(4, 3, 3, **arguments)
    module = torch.nn.ConvTranspose2d(4, 3, 3, **arguments)
    module.load_state_dict(layer.state_dict())
    x = torch.randn(*batch, 4, 6, 6, dtype=torch.float64, requires_grad=True)
    if output_size is not None and len(output_size) == 4 and not batch:
        output_size = output_size[1:]
    y, theirs = layer(x.detach(), output_size=output_size), module(x, output_size=output_size)
    assert_close("y", y, theirs)
    dy = torch.randn_like(y)
    theirs.backward(dy)
    assert_close("dx", layer.backward(dy), x.grad)
    assert_close("dweight", layer.weight.grad, module.weight.grad)


def test_inplace_may_be_said_to_be_false():
    assert repr(ReLU(inplace=False)) == "ReLU()"
    assert LeakyReLU(0.5, inplace=False).negative_slope == 0.5


@pytest.mark.parametrize("layer", [Conv2d(2, 3, 3), ConvTranspose2d(2, 3, 3)])
def test_a_single_image_is_a_batch_of_one(layer):
    x = torch.randn(2, 5, 7)
    y = layer(x)
    dy = torch.randn_like(y)
    dx, gradients = layer.backward(dy), [tensor.grad.clone() for tensor in layer.parameters()]
    layer.zero_grad()
    assert torch.equal(layer(x[None])[0], y)
    assert torch.equal(layer.backward(dy[None])[0], dx)
    for tensor, gradient in zip(layer.parameters(), gradients, strict=True):
        assert torch.equal(tensor.grad, gradient)
