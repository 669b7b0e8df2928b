"""LayerNorm, right and wrong, for all exercises that have one in them."""

import torch


def layer_norm(x, weight, bias, eps):
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, correction=0, keepdim=True)
    return (x - mean) / (variance + eps) ** 0.5 * weight + bias


def missing(x, weight, bias, eps):
    return x


def bare(x, weight, bias, eps):
    return layer_norm(x, torch.ones(1), torch.zeros(1), eps)


def over_axes(*axes):
    """The mean and the variance of these axes."""

    def norm(x, weight, bias, eps):
        mean, variance = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
        return (x - mean) / (variance + eps) ** 0.5 * weight + bias

    return norm


def unbiased(x, weight, bias, eps):
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + eps) ** 0.5 * weight + bias


def by_std(x, weight, bias, eps):
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, correction=0, keepdim=True) + eps) * weight + bias


def by_unbiased_std(x, weight, bias, eps):
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + eps) * weight + bias


def by_variance(x, weight, bias, eps):
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + eps) * weight + bias


def not_centred(x, weight, bias, eps):
    return x / (x.var(-1, correction=0, keepdim=True) + eps) ** 0.5 * weight + bias


# What to say of each, to be put in the place of LayerNorm.
WRONG_NORMS = (
    ("the LayerNorm is missing", missing),
    ("the LayerNorm has no weight and no bias", bare),
    ("LayerNorm runs over the tokens; it must run over the numbers of each token, the last axis", over_axes(-2)),
    ("LayerNorm runs over all numbers at once; it must run over those of each token, the last axis", over_axes(-1, -2)),
    ("the variance of LayerNorm divides by D, not by D - 1", unbiased),
    ("eps is added to the variance, inside the square root", by_std),
    ("the variance of LayerNorm divides by D, not by D - 1, and eps goes inside the square root", by_unbiased_std),
    ("LayerNorm divides by the square root of the variance, not by the variance", by_variance),
    ("LayerNorm subtracts the mean before it divides", not_centred),
)
FINISHED_NORMS = (
    "torch.nn.functional.layer_norm",
    "torch.layer_norm",
    "torch.native_layer_norm",
    "torch.nn.LayerNorm",
    "torch.nn.functional.group_norm",
    "torch.nn.GroupNorm",
)
