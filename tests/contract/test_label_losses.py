"""What every loss over labels must be, whatever its file: a slow loop's number and its gradient, blind to
lengths and order, finite in halves, exact when classes are sampled or rows are cached.
"""

import dataclasses
import inspect
import itertools
import math

import pytest
import torch

from embedkit import spec
from embedkit.losses import margin
from embedkit.training.gradcache import Chunk, two_passes

ROWS, DIM, CLASSES = 7, 5, 4
LABELS = torch.tensor([0, 2, 1, 2, 3, 0, 1])


def kinds_that_take(argument):
    """The kinds of losses whose call has an argument of that name."""
    calls = {kind: spec.kind_class("loss", kind).__call__ for kind in spec.kinds("loss")}
    return [kind for kind, call in calls.items() if argument in inspect.signature(call).parameters]


KINDS = kinds_that_take("class_vectors")
SETTINGS = {"scale": "7.5", "margin": "0.2", "centres": "2"}


def specs_of(kind):
    """The kind with its defaults, and with every setting at another value."""
    fields = [field.name for field in dataclasses.fields(spec.kind_class("loss", kind))]
    return [kind, f"{kind}:{','.join(f'{name}={SETTINGS[name]}' for name in fields)}"]


WITH_MARGIN = [kind for kind in KINDS if "margin=" in specs_of(kind)[1]]
each_kind = pytest.mark.parametrize("kind", KINDS)
each_with_margin = pytest.mark.parametrize("kind", WITH_MARGIN)


def test_every_loss_is_under_a_contract():
    """Those of views in test_losses.py, of a teacher's scores or similarities in test_distilling_losses.py,
    and of label sets in tests/losses/kinds/test_zlpr.py.
    """
    assert kinds_that_take("targets") == ["zlpr"]
    assert set(spec.kinds("loss")) == {*KINDS, *kinds_that_take("views"), "zlpr"}


@pytest.fixture(params=[text for kind in KINDS for text in specs_of(kind)])
def loss(request):
    """A loss over labels."""
    return spec.parse("loss", request.param)


def problem(loss, *, rows=ROWS, classes=CLASSES, seed=0, dtype=torch.float64):
    """Rows and class vectors of any length; row 0 is near its class, row 1 is nearly opposite to it."""
    numbers = torch.Generator().manual_seed(seed)
    embeddings = 3 * torch.randn(rows, DIM, generator=numbers, dtype=torch.float64)
    vectors = torch.randn(classes, loss.centres, DIM, generator=numbers, dtype=torch.float64)
    noise = 0.02 * torch.randn(2, DIM, generator=numbers, dtype=torch.float64)
    embeddings[0] = 2 * vectors[0, 0] + noise[0]
    vectors[2] = vectors[2, :1] + 0.02 * vectors[2]
    embeddings[1] = noise[1] - vectors[2, 0]
    return embeddings.to(dtype), vectors.flatten(0, 1).to(dtype)


def options(rows=ROWS, classes=CLASSES):
    """Weights of rows and logarithms of counts."""
    numbers = torch.Generator().manual_seed(9)
    weights = torch.rand(rows, generator=numbers, dtype=torch.float64) + 0.5
    counts = 3 * torch.rand(classes, generator=numbers, dtype=torch.float64)
    return {"row_weights": weights, "log_counts": counts}


def arc_face(loss, cosine):
    theta = math.acos(cosine)
    beyond = theta + loss.margin > math.pi
    return cosine - loss.margin * math.sin(loss.margin) if beyond else math.cos(theta + loss.margin)


TARGETS = {  # what takes the place of the cosine at the label, as the papers write it
    "am-softmax": lambda loss, cosine: cosine - loss.margin,
    "arc-face": arc_face,
    "simpler-a-softmax": lambda loss, cosine: min(math.cos(4 * math.acos(cosine)), cosine),
    "softmax": lambda loss, cosine: cosine,
    "sub-centre": arc_face,
}


def slow(loss, embeddings, vectors, labels=LABELS, row_weights=None, log_counts=None):
    """The loss by loops over numbers."""
    centres = [unit(vector) for vector in vectors.tolist()]
    classes = [centres[start : start + loss.centres] for start in range(0, len(centres), loss.centres)]
    losses = []
    for row, (embedding, label) in enumerate(zip(embeddings.tolist(), labels.tolist(), strict=True)):
        cosines = [max(dot(unit(embedding), centre) for centre in centres) for centres in classes]
        right = math.exp(loss.scale * TARGETS[name_of(loss)](loss, cosines[label]))
        wrong = sum(
            math.exp(loss.scale * cosine) * (1 if log_counts is None else math.exp(log_counts[place]))
            for place, cosine in enumerate(cosines)
            if place != label
        )
        weight = 1 if row_weights is None else float(row_weights[row])
        losses.append(-weight * math.log(right / (right + wrong)))
    return sum(losses) / len(losses)


def name_of(loss):
    return spec.render(loss).partition(":")[0]


def unit(vector):
    length = math.sqrt(sum(value**2 for value in vector))
    return [value / length for value in vector]


def dot(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


def gradients(loss, embeddings, vectors, labels=LABELS, **options):
    """The value, and the gradients of rows and of class vectors."""
    leaves = [tensor.clone().requires_grad_() for tensor in (embeddings, vectors)]
    value = loss(leaves[0], labels, leaves[1], **options)
    return value.detach(), torch.autograd.grad(value, leaves)


@pytest.mark.parametrize("given", [{}, options()])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_slow_loops_number(loss, given, seed):
    embeddings, vectors = problem(loss, seed=seed)
    expected = slow(loss, embeddings, vectors, **given)
    assert float(loss(embeddings, LABELS, vectors, **given)) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("given", [{}, options()])
def test_its_gradient_is_that_of_finite_differences(loss, given):
    leaves = [tensor.requires_grad_() for tensor in problem(loss)]
    assert torch.autograd.gradcheck(lambda rows, vectors: loss(rows, LABELS, vectors, **given), leaves)


@pytest.mark.parametrize("name", ["softmax", *(f"{kind}:margin=0.0" for kind in WITH_MARGIN)])
def test_without_a_margin_it_is_softmax(name):
    """torch's cross-entropy of scaled cosines, the nearest centre counting; gradients too."""
    loss = spec.parse("loss", name)
    leaves = [tensor.requires_grad_() for tensor in problem(loss)]
    unit_rows, unit_vectors = (torch.nn.functional.normalize(tensor, dim=1) for tensor in leaves)
    cosines = (unit_rows @ unit_vectors.T).reshape(ROWS, CLASSES, loss.centres).amax(dim=2)
    expected = torch.nn.functional.cross_entropy(loss.scale * cosines, LABELS)
    value = loss(leaves[0], LABELS, leaves[1])
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(torch.autograd.grad(value, leaves), torch.autograd.grad(expected, leaves))


def test_lengths_do_not_matter(loss):
    """Rows and class vectors are taken at unit length: a gradient never leads along them."""
    embeddings, vectors = problem(loss)
    value, grads = gradients(loss, embeddings, vectors, **options())
    longer = [
        embeddings * torch.arange(1, ROWS + 1)[:, None],
        vectors / torch.arange(1, len(vectors) + 1)[:, None],
    ]
    again, _ = gradients(loss, *longer, **options())
    torch.testing.assert_close(again, value)
    for grad, tensor in zip(grads, (embeddings, vectors), strict=True):
        assert grad.norm() > 1e-3
        along = (grad * tensor).sum(dim=1)
        torch.testing.assert_close(along, torch.zeros_like(along), atol=1e-12, rtol=0)


def test_the_order_of_rows_does_not_matter(loss):
    (embeddings, vectors), given = problem(loss), options()
    order = torch.tensor([3, 6, 0, 5, 1, 4, 2])
    value, (of_rows, of_vectors) = gradients(loss, embeddings, vectors, **given)
    given["row_weights"] = given["row_weights"][order]
    again, mixed = gradients(loss, embeddings[order], vectors, LABELS[order], **given)
    torch.testing.assert_close(again, value)
    torch.testing.assert_close(mixed, (of_rows[order], of_vectors))


def test_the_order_of_classes_does_not_matter(loss):
    (embeddings, vectors), given = problem(loss), options()
    order = torch.tensor([2, 0, 3, 1])  # the class that comes to each place
    places = (order[:, None] * loss.centres + torch.arange(loss.centres)).flatten()
    value, (of_rows, of_vectors) = gradients(loss, embeddings, vectors, **given)
    given["log_counts"] = given["log_counts"][order]
    again, mixed = gradients(loss, embeddings, vectors[places], torch.argsort(order)[LABELS], **given)
    torch.testing.assert_close(again, value)
    torch.testing.assert_close(mixed, (of_rows, of_vectors[places]))


@each_kind
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("cosine", [0.999, 1.0, -1.0])
def test_it_is_finite_and_never_negative_near_its_class(kind, dtype, cosine):
    """At scale 64, in halves: where the sparse form of the articles is negative, or infinite."""
    loss = spec.parse("loss", f"{kind}:scale=64")
    vectors = torch.eye(DIM, dtype=torch.float64)
    embeddings = cosine * vectors + math.sqrt(1 - cosine**2) * vectors.roll(1, dims=0)
    vectors = vectors.repeat_interleave(loss.centres, dim=0).to(dtype)
    value, grads = gradients(loss, embeddings.to(dtype), vectors, torch.arange(DIM))
    assert value.dtype == torch.float32
    assert value >= 0
    assert math.isfinite(value)
    assert all(torch.isfinite(grad).all() and grad.dtype == dtype for grad in grads)


def test_halves_are_worked_in_float32_in_autocast_too(loss):
    """Value and gradient, and where the gradient is asked for within autocast."""
    embeddings, vectors = problem(loss, dtype=torch.bfloat16)
    expected = slow(loss, embeddings.double(), vectors.double())
    value, grads = gradients(loss, embeddings.float(), vectors.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        halves = loss(embeddings, LABELS, vectors)
        inside, within = gradients(loss, embeddings.float(), vectors.float())
    assert float(halves) == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close((inside, within), (value, grads))


def test_class_vectors_may_be_of_another_precision(loss):
    embeddings, vectors = problem(loss)
    value, grads = gradients(loss, embeddings.bfloat16(), vectors.float())
    assert (value.dtype, *(grad.dtype for grad in grads)) == (torch.float32, torch.bfloat16, torch.float32)
    assert loss(embeddings, LABELS, vectors.float()).dtype == torch.float64


@each_with_margin
@pytest.mark.parametrize("seed", range(5))
def test_a_margin_makes_the_loss_larger(kind, seed):
    plain = spec.parse("loss", f"{kind}:scale=5.0,margin=0.0")
    embeddings, vectors = problem(plain, seed=seed)
    values = [
        float(dataclasses.replace(plain, margin=margin)(embeddings[row, None], LABELS[row, None], vectors))
        for row in range(ROWS)
        for margin in (0.0, 0.1, 0.2, 0.35, 0.5)
    ]
    for start in range(0, len(values), 5):
        of_a_row = values[start : start + 5]
        assert all(smaller < larger for smaller, larger in itertools.pairwise(of_a_row))


@pytest.mark.parametrize("drawn", [1, 2, 3])
def test_sampled_classes_have_the_full_sum_of_exponentials_on_average(loss, drawn):
    """Classes 0 and 2 are a batch's; of the other 4 each set of `drawn` stands for all.

    exp(loss) is the sum of exponentials over that at the label, which is the same in every sample.
    """
    mine, others = [0, 2], [1, 3, 4, 5]
    embeddings, vectors = problem(loss, classes=6)
    classes = vectors.reshape(6, loss.centres, DIM)
    log_counts = torch.tensor([0.0] * 2 + [math.log(len(others) / drawn)] * drawn, dtype=torch.float64)
    for row in (0, 1, 3):
        place = torch.tensor([mine.index(int(LABELS[row]))])
        sums = [
            loss(
                embeddings[row, None], place, classes[[*mine, *some]].flatten(0, 1), log_counts=log_counts
            ).exp()
            for some in itertools.combinations(others, drawn)
        ]
        full = loss(embeddings[row, None], LABELS[row, None], vectors).exp()
        torch.testing.assert_close(torch.stack(sums).mean(), full)


def test_a_weight_is_a_row_that_comes_as_often(loss):
    embeddings, vectors = problem(loss)
    weights = torch.tensor([1, 0, 2, 3, 1, 1, 0])
    value, (of_rows, of_vectors) = gradients(loss, embeddings, vectors, row_weights=weights)
    often = torch.arange(ROWS).repeat_interleave(weights)
    again, (of_each, of_same) = gradients(loss, embeddings[often], vectors, LABELS[often])
    share = len(often) / ROWS
    torch.testing.assert_close(value, share * again)
    torch.testing.assert_close(of_rows, share * torch.zeros_like(of_rows).index_add(0, often, of_each))
    torch.testing.assert_close(of_vectors, share * of_same)


@pytest.mark.parametrize("chunk", [1, 3, ROWS])
def test_cached_equals_plain(loss, chunk):
    """Rows that come in chunks give encoder and class vectors the gradient of all at once."""
    inputs, vectors = problem(loss)
    start = torch.eye(DIM, dtype=torch.float64)
    (plain, of_plain), (cached, of_cached) = (
        (start.clone().requires_grad_(), vectors.clone().requires_grad_()) for _ in range(2)
    )
    loss((inputs @ plain).tanh(), LABELS, of_plain, **options()).backward()
    chunks = [Chunk(rows, {"x": inputs[rows]}) for rows in torch.arange(ROWS).flip(0).split(chunk)]
    two_passes(
        lambda features: (features["x"] @ cached).tanh(),
        chunks,
        lambda H: loss(H, LABELS, of_cached, **options()),
        parameters=[of_cached],
    ).backward()
    assert (cached.grad - plain.grad).norm() <= 1e-10 * plain.grad.norm()
    assert (of_cached.grad - of_plain.grad).norm() <= 1e-10 * of_plain.grad.norm()


@pytest.mark.parametrize("block", [1, 9, 20])
def test_blocks_change_nothing(loss, block, monkeypatch):
    embeddings, vectors = problem(loss)
    value, grads = gradients(loss, embeddings, vectors, **options())
    monkeypatch.setattr(margin, "BLOCK", block)
    again, by_blocks = gradients(loss, embeddings, vectors, **options())
    torch.testing.assert_close(again, value)
    torch.testing.assert_close(by_blocks, grads)


def test_one_class_is_nothing_to_learn(loss):
    embeddings, vectors = problem(loss, classes=3)
    labels = torch.zeros(ROWS, dtype=torch.int64)
    value, grads = gradients(loss, embeddings, vectors[: loss.centres], labels)
    assert value == 0
    assert all((grad == 0).all() for grad in grads)


def test_without_gradients_it_is_the_same_number(loss):
    embeddings, vectors = problem(loss)
    value, _ = gradients(loss, embeddings, vectors)
    with torch.no_grad():
        assert loss(embeddings.requires_grad_(), LABELS, vectors) == value


@each_kind
@pytest.mark.parametrize("scale", ["0", "-1", "nan", "inf"])
def test_a_scale_out_of_range_is_refused(kind, scale):
    with pytest.raises(spec.UsageError, match=rf"scale={float(scale)} is not a positive number"):
        spec.parse("loss", f"{kind}:scale={scale}")


@each_with_margin
@pytest.mark.parametrize("value", ["-0.1", "nan", "inf"])
def test_a_margin_out_of_range_is_refused(kind, value):
    with pytest.raises(
        spec.UsageError,
        match=rf"(margin={value} is not between 0 and|margin must be at least 0, got {value})",
    ):
        spec.parse("loss", f"{kind}:margin={value}")


def test_its_spec_reads_back(loss):
    assert spec.parse("loss", spec.render(loss)) == loss
