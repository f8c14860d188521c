"""Every mistake is answered in one short sentence that says where, what came, and the cure."""

from collections.abc import Callable

import pytest
import torch

from scratchae.errors import ScratchaeError
from scratchae.layers import (
    GELU,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    GroupNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
    Unflatten,
    Upsample,
)
from scratchae.losses import MSELoss
from scratchae.models import build, fc, register
from scratchae.optim import SGD, Adam, AdamW

ones = torch.ones
MISTAKES: dict[str, tuple[Callable[[], object], list[str]]] = {}


def mistake(*said: str):
    """Registers a mistake under its own name, with the pieces that its sentence has to contain."""

    def add(make: Callable[[], object]):
        assert make.__name__ not in MISTAKES
        MISTAKES[make.__name__] = (make, list(said))
        return make

    return add


def say(name: str, make: Callable[[], object], *said: str) -> None:
    assert name not in MISTAKES
    MISTAKES[name] = (make, list(said))


def transposed_to(output_size: tuple[int, ...]) -> torch.Tensor:
    return ConvTranspose2d(1, 1, 3, stride=2)(ones(1, 1, 4, 4), output_size=output_size)


# inputs
say("last_size", lambda: Linear(784, 128)(ones(64, 783)), "(64, 783)", "last size has to match")
say(
    *("unflattened_images", lambda: Linear(784, 128)(ones(64, 1, 28, 28))),
    *("Linear(784, 128)", "(..., 784)", "(64, 1, 28, 28)", "Flatten()"),
)
say("one_feature", lambda: Linear(1, 2)(ones(3)), "Linear(1, 2)", "(3,)", "has to match")
say("number_into_linear", lambda: Linear(3, 2)(torch.tensor(1.0)), "Linear(3, 2)", "()", "3")
say(
    *("channels", lambda: Conv2d(3, 8, 3)(ones(2, 4, 9, 9))),
    *("Conv2d(3, 8", "(N, 3, H, W)", "(2, 4, 9, 9)", "number of channels has to match"),
)
say("vector_into_conv", lambda: Conv2d(1, 8, 3)(ones(5)), "(5,)", "has to match")
say(
    *("no_channel_axis", lambda: Conv2d(1, 8, 3)(ones(64, 28, 28))),
    *("(N, 1, H, W) or (1, H, W)", "(64, 28, 28)", "unsqueeze(1)"),
)
say("hwc", lambda: Conv2d(3, 8, 3)(ones(9, 7, 3)), "(9, 7, 3)", "permute(2, 0, 1)")
say("nhwc", lambda: Conv2d(3, 8, 3)(ones(2, 9, 7, 3)), "(2, 9, 7, 3)", "permute(0, 3, 1, 2)")
say("flat_images", lambda: Conv2d(1, 8, 3)(ones(2, 784)), "(2, 784)", "Unflatten(1, (1, H, W))")
say(
    *("transposed_channels", lambda: ConvTranspose2d(3, 8, 3)(ones(2, 8, 9, 9))),
    *("ConvTranspose2d(3, 8", "(N, 3, H, W)", "(2, 8, 9, 9)"),
)
say(
    *("wrong_dtype", lambda: Linear(3, 2)(ones(5, 3, dtype=torch.float64))),
    *("Linear(3, 2)", "expects float32 but got float64", "x.to(torch.float32)", ".to("),
)
say("conv_dtype", lambda: Conv2d(1, 2, 3)(ones(1, 1, 5, 5).double()), "Conv2d(1, 2", "float64")
say(
    *("transposed_dtype", lambda: ConvTranspose2d(1, 2, 3)(ones(1, 1, 5, 5).double())),
    *("ConvTranspose2d(1, 2", "expects float32"),
)
say("norm_dtype", lambda: BatchNorm1d(3)(ones(5, 3).double()), "BatchNorm1d(3", "float32", ".to(")
say(
    *("dtype_of_statistics", lambda: BatchNorm1d(3, affine=False)(ones(5, 3).double())),
    *("BatchNorm1d(3", "float32", "float64"),
)
say("integers", lambda: Linear(3, 2)(ones(5, 3, dtype=torch.uint8)), "uint8", "torch.float32")
say("integers_into_relu", lambda: ReLU()(ones(5, 3, dtype=torch.long)), "ReLU()", "int64", ".to(")
say("integers_into_leaky", lambda: LeakyReLU()(ones(2, dtype=torch.long)), "LeakyReLU(", "int64")
say("integers_into_tanh", lambda: Tanh()(ones(2, dtype=torch.long)), "Tanh()", "int64")
say("integers_into_sigmoid", lambda: Sigmoid()(ones(2, dtype=torch.long)), "Sigmoid()", "int64")
say("integers_into_flatten", lambda: Flatten()(ones(2, 3, dtype=torch.long)), "Flatten(", "int64")
say("integers_into_silu", lambda: SiLU()(ones(2, dtype=torch.long)), "SiLU()", "int64")
say("integers_into_dropout", lambda: Dropout()(ones(2, dtype=torch.long)), "Dropout(", "int64")
say("integers_into_gelu", lambda: GELU()(ones(2, dtype=torch.long)), "GELU()", "int64")
say("integers_into_softplus", lambda: Softplus()(ones(2, dtype=torch.long)), "Softplus()", "int64")
say("list_into_unflatten", lambda: Unflatten(0, (1, 2))([1.0, 2.0]), "Unflatten(", "list")
say("list", lambda: Linear(3, 2)([1.0, 2.0, 3.0]), "Linear(3, 2)", "list", "torch.as_tensor")
say("other_device", lambda: Linear(3, 2)(ones(5, 3, device="meta")), "cpu", "meta", ".to(")
say(
    *("small_image", lambda: Conv2d(1, 8, 5)(ones(2, 1, 4, 9))),
    *("Conv2d(1, 8", "4 x 9", "kernel", "padding"),
)
say(
    *("nothing_left", lambda: ConvTranspose2d(1, 8, 3, padding=4)(ones(2, 1, 3, 3))),
    *("ConvTranspose2d(1, 8", "3 x 3", "less padding"),
)
say(
    *("nothing_just_so", lambda: ConvTranspose2d(1, 8, 3, padding=2)(ones(2, 1, 2, 2))),
    *("leaves nothing", "2 x 2"),
)
say(
    *("output_size", lambda: ConvTranspose2d(1, 1, 3, stride=2).forward(ones(1, 1, 4, 4), (11, 9))),
    *("outputs from (9, 9) to (10, 10)", "(11, 9)", "in this range"),
)
say("not_an_image", lambda: Conv2d(3, 1, 3)(ones(3)), "got (3,): the number of channels")
say("too_many_axes", lambda: Conv2d(3, 1, 3)(ones(2, 2, 5, 5, 3)), "the number of channels")
say("three_axes", lambda: Conv2d(3, 1, 3)(ones(4, 9, 9)), "(4, 9, 9): the number of channels")
say("flatten_axis", lambda: Flatten(2)(ones(2, 3)), "Flatten(start_dim=2", "(2, 3)")
say("flatten_number", lambda: Flatten()(torch.tensor(1.0)), "Flatten(start_dim=1", "()")
say("unflatten_size", lambda: Unflatten(1, (2, 3))(ones(2, 7)), "Unflatten(", "6", "(2, 7)")
say(
    *("one_value_a_channel", lambda: BatchNorm1d(3)(ones(1, 3))),
    *("BatchNorm1d(3", "one value per channel", "two or more", "eval()"),
)
say(
    *("num_features", lambda: BatchNorm2d(3)(ones(2, 4, 5, 5))),
    *("BatchNorm2d(3", "(N, 3, H, W)", "(2, 4, 5, 5)", "num_features"),
)
say("images_into_1d", lambda: BatchNorm1d(3)(ones(2, 3, 5, 5)), "(N, 3, L)", "(2, 3, 5, 5)")

say(
    *(
        "nothing_left_of_a_column",
        lambda: ConvTranspose2d(1, 1, 1, padding=(1, 0))(ones(2, 1, 2, 5)),
    ),
    *("ConvTranspose2d(1, 1", "nothing of images of 2 x 5", "less padding"),
)

say(
    *("small_image_into_pool", lambda: MaxPool2d(5)(ones(2, 1, 4, 9))),
    *("MaxPool2d(5", "4 x 9", "smaller than its window"),
)
say("flat_into_pool", lambda: AvgPool2d(2)(ones(2, 784)), "AvgPool2d(2", "(2, 784)", "Unflatten")
say("pool_no_channels", lambda: AvgPool2d(2)(ones(2, 0, 4, 4)), "(2, 0, 4, 4)")
say("integers_into_pool", lambda: MaxPool2d(2)(ones(1, 4, 4, dtype=torch.long)), "int64")
say("vectors_into_upsample", lambda: Upsample(4)(ones(2, 3, 5)), "(N, C, H, W)", "(2, 3, 5)")
say("empty_into_upsample", lambda: Upsample(4)(ones(2, 3, 5, 0)), "(N, C, H, W)", "(2, 3, 5, 0)")
say("integers_into_upsample", lambda: Upsample(4)(ones(1, 1, 2, 2, dtype=torch.long)), "int64")
say(
    *("nothing_upsampled", lambda: Upsample(scale_factor=(1, 0.3))(ones(1, 1, 2, 2))),
    *("leaves nothing of images of 2 x 2", "larger scale_factor"),
)

say("group_channels", lambda: GroupNorm(2, 4)(ones(2, 3, 5)), "(N, 4, ...)", "(2, 3, 5)", "axis 1")
say("group_vector", lambda: GroupNorm(2, 4)(ones(4)), "(N, 4, ...)", "(4,)")
say("group_of_one", lambda: GroupNorm(4, 4)(ones(1, 4)), "one value per group", "fewer groups")
say("group_dtype", lambda: GroupNorm(2, 4)(ones(2, 4).double()), "float32 but got float64")

# backward
say("backward_first", lambda: Linear(3, 2).backward(ones(5, 2)), "Linear(3, 2)", "call forward")
say("model_backward_first", lambda: fc().backward(ones(5, 784)), "before forward")


def after_forward(dy: object) -> object:
    layer = Linear(3, 2)
    layer.forward(ones(5, 3))
    return layer.backward(dy)


say("dy_shape", lambda: after_forward(ones(2)), "Linear(3, 2).backward", "(5, 2)", "(2,)", "dy")
say("dy_summed", lambda: after_forward(ones(())), "(5, 2)", "()", "of every element")
say("dy_dtype", lambda: after_forward(ones(5, 2).double()), "float32", "float64", ".backward")
say("dy_number", lambda: after_forward(1.0), "Linear(3, 2).backward", "float", "torch.Tensor")


@mistake("before forward", "call forward")
def backward_after_forget():
    layer = Linear(3, 2)
    layer.forward(ones(5, 3))
    layer.forget()
    layer.backward(ones(5, 2))


@mistake("before forward", "call forward")
def backward_after_a_move():
    layer = Linear(3, 2)
    layer.forward(ones(5, 3))
    layer.to(torch.float64).backward(ones(5, 2).double())


# arguments
say("kernel_0", lambda: Conv2d(1, 8, 0), "Conv2d", "kernel_size", ">= 1", "got 0")
say("kernel_triple", lambda: Conv2d(1, 8, (3, 3, 3)), "kernel_size", "pair", "(3, 3, 3)")
say("kernel_float", lambda: Conv2d(1, 8, 3.5), "kernel_size", "whole number", "got 3.5")
say("kernel_floats", lambda: Conv2d(1, 8, (3.0, 3)), "kernel_size", "whole number", "(3.0, 3)")
say("kernel_bool", lambda: Conv2d(1, 8, True), "kernel_size", "whole number", "got True")
say("stride_0", lambda: ConvTranspose2d(1, 8, 3, stride=0), "ConvTranspose2d", "stride", "got 0")
say("dilation_0", lambda: Conv2d(1, 8, 3, dilation=(1, 0)), "dilation", "(1, 0)")
say("negative_padding", lambda: Conv2d(1, 8, 3, padding=-1), "padding", ">= 0", "got -1")
say("unknown_padding", lambda: Conv2d(1, 8, 3, padding="sam"), "'same'", "'valid'", "'sam'")
say(
    *("transposed_same", lambda: ConvTranspose2d(1, 8, 3, padding="same")),
    *("ConvTranspose2d", "padding", "'same'"),
)
say(
    *("same_with_stride", lambda: Conv2d(1, 8, 3, stride=2, padding="same")),
    *("Conv2d", "'same'", "stride=2", "as a number"),
)
say("groups", lambda: Conv2d(4, 6, 3, groups=4), "Conv2d", "4 input", "6 output", "groups=4")
say("groups_of_inputs", lambda: Conv2d(3, 6, 3, groups=2), "3 input", "6 output", "groups=2")
say(
    *("transposed_groups", lambda: ConvTranspose2d(4, 6, 3, groups=4)),
    *("ConvTranspose2d", "4 input", "6 output", "groups=4"),
)
say(
    "transposed_channels_0", lambda: ConvTranspose2d(0, 6, 3), "ConvTranspose2d expects in_channels"
)
say("channels_float", lambda: Conv2d(3.0, 6, 3), "in_channels", "whole number", "got 3.0")
say("channels_0", lambda: Conv2d(0, 6, 3), "Conv2d", "in_channels", "got 0")
say(
    *("output_padding", lambda: ConvTranspose2d(1, 8, 3, stride=2, output_padding=2)),
    *("ConvTranspose2d", "output_padding=2", "stride=2", "smaller"),
)
say(
    *("too_large_an_output", lambda: transposed_to((12, 10))),
    *("ConvTranspose2d(1, 1, 3", "(9, 9)", "(10, 10)", "4 x 4", "output_size is (12, 10)"),
)
say("too_small_an_output", lambda: transposed_to((8, 10)), "(9, 9)", "output_size is (8, 10)")
say("output_size_of_one", lambda: transposed_to((10,)), "output_size is (10,)")
say(
    *("padding_mode", lambda: Conv2d(1, 8, 3, padding_mode="reflect")),
    *("Conv2d", "padding_mode='zeros'", "'reflect'", "before the layer"),
)
say(
    *("transposed_padding_mode", lambda: ConvTranspose2d(1, 8, 3, padding_mode="circular")),
    *("ConvTranspose2d", "'circular'"),
)
say("inplace", lambda: ReLU(inplace=True), "ReLU", "overwrites", "omit inplace=True")
say("leaky_inplace", lambda: LeakyReLU(0.1, True), "LeakyReLU", "overwrites")
say("weights_of_integers", lambda: Linear(3, 2, dtype=torch.long), "floating-point", "int64")
say("features_0", lambda: Linear(3, 0), "Linear", "out_features", "got 0")
say("features_float", lambda: Linear(3.0, 2), "Linear", "in_features", "whole number", "3.0")
say("num_features_0", lambda: BatchNorm2d(0), "BatchNorm2d", "num_features", "got 0")
say("num_features_float", lambda: BatchNorm2d(3.0), "num_features", "whole number", "3.0")
say("eps", lambda: BatchNorm2d(3, eps=-1e-5), "BatchNorm2d", "eps >= 0", "-1e-05")
say("momentum", lambda: BatchNorm2d(3, momentum=2), "BatchNorm2d", "momentum", "0 and 1", "got 2")
say("slope", lambda: LeakyReLU("steep"), "LeakyReLU", "negative_slope", "'steep'")
say("groups_0", lambda: GroupNorm(0, 4), "num_groups", ">= 1", "got 0")
say("group_channels_0", lambda: GroupNorm(2, 0), "num_channels", ">= 1", "got 0")
say("groups_float", lambda: GroupNorm(2.0, 4), "num_groups", "whole number", "got 2.0")
say("groups_uneven", lambda: GroupNorm(3, 4), "4 channels into 3 equal groups", "divide")
say("group_eps", lambda: GroupNorm(2, 4, eps=-1), "GroupNorm", "eps >= 0", "got -1")
say("dropout_inplace", lambda: Dropout(0.5, True), "Dropout", "overwrites")
say("dropout_text", lambda: Dropout("0.5"), "Dropout", "p to be a number", "'0.5'")
say("dropout_percent", lambda: Dropout(50), "Dropout", "from 0 to 1", "got 50")
say("dropout_negative", lambda: Dropout(-0.1), "from 0 to 1", "got -0.1")
say("pool_kernel_0", lambda: MaxPool2d(0), "MaxPool2d", "kernel_size", "got 0")
say("pool_stride_0", lambda: AvgPool2d(2, 0), "AvgPool2d", "stride", ">= 1", "got 0")
say("pool_dilation_0", lambda: MaxPool2d(2, dilation=0), "MaxPool2d", "dilation", "got 0")
say("pool_padding", lambda: MaxPool2d((3, 2), padding=2), "half of kernel_size", "padding=2")
say("pool_negative_padding", lambda: AvgPool2d(3, padding=-1), "AvgPool2d", "padding", ">= 0")
say(
    "indices",
    lambda: MaxPool2d(2, return_indices=True),
    "omit return_indices",
    "max_pool2d_forward",
)
say("divisor_0", lambda: AvgPool2d(2, divisor_override=0), "divisor_override", "got 0")
say("divisor_float", lambda: AvgPool2d(2, divisor_override=2.5), "whole number", "got 2.5")
say("divisor_bool", lambda: AvgPool2d(2, divisor_override=True), "whole number", "got True")
say("upsample_mode", lambda: Upsample(4, mode="bilinear"), "'nearest' only", "'bilinear'")
say("upsample_corners", lambda: Upsample(4, align_corners=True), "align_corners", "omit it")
say("upsample_both", lambda: Upsample(4, 2), "either size or scale_factor", "size=4")
say("upsample_neither", lambda: Upsample(), "either size or scale_factor", "size=None")
say(
    *("upsample_recompute", lambda: Upsample(4, recompute_scale_factor=True)),
    *("given size", "omit recompute_scale_factor"),
)
say("upsample_size", lambda: Upsample(0), "Upsample", "size", "got 0")
say("upsample_factor", lambda: Upsample(scale_factor=-1), "scale_factor", "> 0", "got -1")
say("upsample_factor_0", lambda: Upsample(scale_factor=0), "scale_factor", "> 0", "got 0")
say("upsample_factors", lambda: Upsample(scale_factor=(1, 2, 3)), "a pair", "(1, 2, 3)")
say("upsample_endless", lambda: Upsample(scale_factor=float("inf")), "scale_factor", "got inf")
say("upsample_bool", lambda: Upsample(scale_factor=True), "scale_factor", "got True")
say("upsample_text", lambda: Upsample(scale_factor="2"), "scale_factor", "'2'")
say("approximate", lambda: GELU("sigmoid"), "GELU", "'none' or 'tanh'", "'sigmoid'")
say("silu_inplace", lambda: SiLU(True), "SiLU", "overwrites", "omit inplace=True")
say("beta_0", lambda: Softplus(0), "Softplus divides by beta", "beta=0")
say("beta_text", lambda: Softplus("1"), "Softplus", "beta to be a number", "'1'")
say("threshold_bool", lambda: Softplus(1, True), "Softplus", "threshold", "True")
say("slope_bool", lambda: LeakyReLU(True), "LeakyReLU", "negative_slope", "True")
say("unflatten_0", lambda: Unflatten(1, (0, 3)), "Unflatten", "unflattened_size", "(0, 3)")
say("unflatten_float", lambda: Unflatten(1, (2.0, 3)), "unflattened_size", "(2.0, 3)")
say("unflatten_number", lambda: Unflatten(1, 3), "Unflatten", "unflattened_size", "3")
say("a_class", lambda: Sequential(Linear(3, 2), ReLU), "Sequential", "1 is", "write ReLU()")
say("a_function", lambda: Sequential(torch.relu), "Sequential holds layers", "0 is", "relu")


@mistake("twice", "ReLU()", "1", "3", "new one")
def one_layer_twice():
    relu = ReLU()
    Sequential(Linear(3, 3), relu, Linear(3, 3), relu)


# weights
def loading(**changes) -> None:
    state = {**Linear(3, 2).state_dict(), **changes}
    Linear(3, 2).load_state_dict({key: value for key, value in state.items() if value is not None})


say("key_missing", lambda: loading(bias=None), "missing bias", "do not belong")
say("key_unknown", lambda: loading(scale=ones(2)), "unknown scale", "do not belong")
say("key_shape", lambda: loading(bias=ones(3)), "bias", "(2,)", "(3,)", "sizes")

# losses
say("loss_shapes", lambda: MSELoss()(ones(2, 3), ones(3)), "MSELoss", "(2, 3)", "(3,)", "reshape")
say("loss_empty", lambda: MSELoss()(ones(0, 3), ones(0, 3)), "MSELoss", "empty batch")
say("loss_dtypes", lambda: MSELoss()(ones(2), ones(2).double()), "target", "float32", "float64")
say(
    "loss_integers", lambda: MSELoss()(*2 * [ones(2, dtype=torch.long)]), "MSELoss expects", "int64"
)
say("loss_backward_first", lambda: MSELoss().backward(), "MSELoss.backward", "call loss(")


# optimisers
def parameters() -> list[torch.Tensor]:
    return Linear(3, 2).parameters()


say("no_parameters", lambda: Adam([]), "Adam", "no parameters", "model.parameters()")
say("no_tensors", lambda: Adam(["weight"]), "Adam", "str", "model.parameters()")
say("betas", lambda: Adam(parameters(), betas=(0.9, 1.0)), "Adam", "betas", "(0.9, 1.0)")
say("three_betas", lambda: Adam(parameters(), betas=(0.9, 0.9, 0.9)), "Adam", "two numbers")
say("one_beta", lambda: AdamW(parameters(), betas=0.9), "AdamW", "betas", "0.9", "two numbers")
say("negative_lr", lambda: SGD(parameters(), lr=-0.1), "SGD", "lr >= 0", "-0.1")
say("endless_lr", lambda: Adam(parameters(), lr=float("inf")), "Adam", "lr", "finite", "inf")
say(
    "integer_parameter",
    lambda: Adam([ones(2, dtype=torch.long)]),
    "Adam",
    "floating-point",
    "int64",
)
say("nan_lr", lambda: Adam(parameters(), lr=float("nan")), "Adam", "lr", "nan")
say("text_lr", lambda: Adam(parameters(), lr="0.1"), "Adam", "lr", "'0.1'")
say("negative_decay", lambda: AdamW(parameters(), weight_decay=-1.0), "weight_decay", "-1.0")
say("negative_eps", lambda: Adam(parameters(), eps=-1.0), "Adam", "eps", "-1.0")
say("negative_momentum", lambda: SGD(parameters(), momentum=-1.0), "SGD", "momentum", "-1.0")
say("nesterov", lambda: SGD(parameters(), nesterov=True), "SGD", "nesterov", "momentum")
say(
    *("nesterov_dampened", lambda: SGD(parameters(), momentum=0.9, dampening=0.1, nesterov=True)),
    *("SGD", "nesterov", "no dampening"),
)
say("twice", lambda: SGD(2 * [*parameters()[:1]]), "SGD", "same parameter twice")
say(
    *("two_dtypes", lambda: SGD([ones(2), ones(2).double()])),
    *("SGD", "one dtype", "float64", "model.to("),
)


@mistake("Adam", "parameter 0", "after model.to")
def model_moved_after_the_optimiser_was_made():
    model = Linear(3, 2)
    optimizer = Adam(model.parameters())
    model.to(dtype=torch.float64)
    optimizer.step()


@mistake("SGD", "parameter 0", "after model.to")
def an_empty_parameter_moved_to_another_dtype():
    parameter = torch.zeros(0)  # it has no place in memory, so only its dtype tells
    parameter.grad = torch.zeros(0)
    optimizer = SGD([parameter])
    parameter.grad = None
    parameter.data = parameter.data.double()
    optimizer.step()


@mistake("SGD.step", "parameter 1", "(2,)", "no gradient", "backward(dy)")
def parameter_without_gradient():
    model = Linear(3, 2)
    optimizer = SGD(model.parameters())
    model.bias.grad = None
    optimizer.step()


@mistake("Adam", "parameter 0", "only one for each model")
def two_optimisers_on_a_model():
    model = Linear(3, 2)
    first, _ = Adam(model.parameters()), Adam(model.parameters())
    first.step()


@mistake("does not belong to this model", "exp_avg", "8 numbers", "12 parameters")
def optimiser_state_of_another_model():
    Adam(Linear(3, 3).parameters()).load_state_dict(Adam(parameters()).state_dict())


@mistake("does not belong to Adam", "exp_avg")
def optimiser_state_of_another_optimiser():
    Adam(parameters()).load_state_dict(SGD(parameters()).state_dict())


@mistake("does not belong to Adam", "and its settings")
def optimiser_state_without_its_settings():
    state = Adam(parameters()).state_dict()
    del state["lr"]
    Adam(parameters()).load_state_dict(state)


@mistake("does not belong to Adam", "exp_avg, exp_avg_sq and its settings")
def optimiser_state_of_the_same_optimiser_with_amsgrad():
    Adam(parameters()).load_state_dict(Adam(parameters(), amsgrad=True).state_dict())


# models
say("unknown_model", lambda: build("convv"), "'convv'", "did you mean 'conv'?")
say("unlike_any_model", lambda: build("transformer"), "'transformer'", "fc", "conv")
say("registered_twice", lambda: register("fc", lambda generator: None), "'fc'", "another name")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_in_one_short_sentence(name):
    make, said = MISTAKES[name]
    with pytest.raises(ScratchaeError) as caught:
        make()
    sentence = str(caught.value)
    for piece in said:
        assert piece in sentence
    assert "\n" not in sentence
    assert len(sentence) < 220


def test_forgetting_a_model_drops_what_its_loss_keeps_and_its_penalties():
    model, x = Linear(2, 2), torch.zeros(3, 2)
    model.loss = MSELoss()
    model.loss(model(x), x)
    model.penalty = x.sum()
    model.forget()
    assert model.loss.saved is None and not list(model.penalties())
