"""Ordinary networks, which the method is applied to: layers, networks, losses and gradient descent."""

from nmnc_ref.nn import activation, convolution, dense, feedforward, initialisation, loss, recurrent, sgd

__all__ = ["activation", "convolution", "dense", "feedforward", "initialisation", "loss", "recurrent", "sgd"]
