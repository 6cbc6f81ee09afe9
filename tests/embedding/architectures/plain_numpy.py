"""embedkit's own network in plain numpy, one text at a time and without padding: the oracle of the tests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Matrix = NDArray[np.float64]
ACTIVATIONS = {
    "gelu": lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "squareplus": lambda x: (x + np.sqrt(x**2 + 1.52382103)) / 2,
    "smooth-relu": lambda x: (
        x * (1 + erf(x / math.sqrt(2))) / 2 + np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    ),
}


class PlainNumpy:
    """The network of a model's weights and configuration."""

    def __init__(self, model: Any) -> None:
        self.weights = {name: value.double().numpy() for name, value in model.state_dict().items()}
        self.config = model.config

    def __call__(self, ids: list[int]) -> Matrix:
        """Return the token vectors of one text, `(tokens, width)`."""
        x = self.weights["embeddings.word_embeddings.weight"][ids]
        if self.config.positions == "learned":
            x = x + self.weights["embeddings.position_embeddings.weight"][: len(ids)]
        x = self.norm("embeddings.norm", x)
        mix = getattr(self, self.config.mixing.replace("-", "_"))
        for number in range(self.config.num_hidden_layers):
            x = self.residual(f"layers.{number}.mixing", mix, x)
            if self.config.mixing != "gated-attention":
                x = self.residual(f"layers.{number}.feed_forward", self.feed_forward, x)
        return self.norm("norm", x) if self.config.normalization == "pre" else x

    def residual(self, name: str, branch: Any, x: Matrix) -> Matrix:
        if self.config.normalization == "pre":
            return x + branch(f"{name}.branch", self.norm(f"{name}.norm", x))
        alpha = self.config.residual_scale  # as the paper writes it: N(alpha x + B(x))
        eps = self.config.layer_norm_eps * alpha**2
        return self.norm(f"{name}.norm", alpha * x + branch(f"{name}.branch", x), eps)

    def norm(self, name: str, x: Matrix, eps: float | None = None) -> Matrix:
        eps = self.config.layer_norm_eps if eps is None else eps
        unit = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + eps)
        return unit * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def dense(self, name: str, x: Matrix) -> Matrix:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def activate(self, x: Matrix) -> Matrix:
        return ACTIVATIONS[self.config.hidden_act](x)

    def feed_forward(self, name: str, x: Matrix) -> Matrix:
        return self.dense(f"{name}.output", self.activate(self.dense(f"{name}.inner", x)))

    def turned(self, x: Matrix) -> Matrix:
        """Turn the complex numbers x[i] + x[i + size / 2] i by the angles of their positions."""
        if self.config.positions != "rotary":
            return x
        half = x.shape[-1] // 2
        angles = np.outer(np.arange(len(x)), 10000.0 ** (-np.arange(half) / half))
        numbers = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angles)
        return np.concatenate([numbers.real, numbers.imag], axis=1)

    def factor(self, tokens: int) -> float:
        return math.log(tokens) / math.log(512) if self.config.attention_scale == "log-length" else 1.0

    def heads(self, name: str, x: Matrix, mix: Any) -> Matrix:
        parts = [
            np.split(self.dense(f"{name}.{part}", x), self.config.num_attention_heads, axis=1)
            for part in ("query", "key", "value")
        ]
        return self.dense(
            f"{name}.output", np.concatenate([mix(*head) for head in zip(*parts, strict=True)], 1)
        )

    def attention(self, name: str, x: Matrix) -> Matrix:
        def mix(q: Matrix, k: Matrix, v: Matrix) -> Matrix:
            logits = self.factor(len(x)) * self.turned(q) @ self.turned(k).T / math.sqrt(q.shape[1])
            return softmax(logits) @ v

        return self.heads(name, x, mix)

    def kernel_attention(self, name: str, x: Matrix) -> Matrix:
        def features(vectors: Matrix) -> Matrix:
            if self.config.kernel == "elu":
                return np.where(vectors > 0, vectors + 1, np.exp(vectors))
            y = vectors / vectors.shape[1] ** 0.25
            return np.exp(y @ self.weights[f"{name}.projection"].T - (y**2).sum(axis=1, keepdims=True) / 2)

        def mix(q: Matrix, k: Matrix, v: Matrix) -> Matrix:
            f, g = features(q), features(k)
            weights = self.turned(f) @ self.turned(g).T / (f @ g.T).sum(axis=1, keepdims=True)
            return weights @ v

        return self.heads(name, x, mix)

    def gated_attention(self, name: str, x: Matrix) -> Matrix:
        base = self.activate(self.dense(f"{name}.base", x))
        factors, offsets = self.weights[f"{name}.factors"], self.weights[f"{name}.offsets"]
        q, k = (self.turned(base * factors[n] + offsets[n]) for n in range(2))
        logits = q @ k.T / math.sqrt(q.shape[1])
        if self.config.attention_function == "softmax":
            A = softmax(self.factor(len(x)) * logits)
        else:
            A = np.maximum(logits, 0) ** 2 / len(x)
        gate, value = (self.activate(self.dense(f"{name}.{part}", x)) for part in ("gate", "value"))
        return self.dense(f"{name}.output", gate * (A @ value))

    def token_mlp(self, name: str, x: Matrix) -> Matrix:
        gather, spread = self.weights[f"{name}.gather"], self.weights[f"{name}.spread"]
        inner = self.activate(gather[:, : len(x)] @ x + self.weights[f"{name}.gather_bias"][:, None])
        return spread[: len(x)] @ inner + self.weights[f"{name}.spread_bias"][: len(x), None]


def softmax(logits: Matrix) -> Matrix:
    """Return the softmax of rows."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
