"""What every loss of distillation must be: a slow loop's number and its gradient, 0 for a student who agrees,
blind to what is missing, the same by blocks, in parts and under the cache.
"""

import math

import pytest
import torch

from embedkit import spec
from embedkit.losses import distilling
from embedkit.losses.combining import Nested, WeightedSum
from embedkit.losses.registry import losses_comparing
from embedkit.training.gradcache import Chunk, two_passes

EXAMPLES = {  # specs of each kind that has a teacher
    "margin-mse": ["margin-mse", "margin-mse:scale=7.0"],
    "kl": ["kl", "kl:temperature=0.2,teacher_temperature=1.5"],
    "batch-kl": ["batch-kl", "batch-kl:temperature=0.2,teacher_temperature=0.5"],
    "vector-mse": ["vector-mse"],
}
SENTENCES, DIM, VIEWS = 6, 5, 4
COUNTS = [2, 0, 1, 2, 1, 2]  # hard negatives per sentence


def test_every_loss_of_distillation_is_under_contract():
    assert set(losses_comparing("scores", "similarities", "vectors")) == set(EXAMPLES)


@pytest.fixture(params=[text for specs in EXAMPLES.values() for text in specs])
def loss(request):
    """A loss of distillation."""
    return spec.parse("loss", request.param)


def views_of(count=VIEWS, dtype=torch.float64, seed=0):
    """Views of some sentences, of any length, near each other."""
    numbers = torch.Generator().manual_seed(seed)
    shared = torch.randn(SENTENCES, DIM, generator=numbers, dtype=torch.float64)
    noise = torch.randn(count, SENTENCES, DIM, generator=numbers, dtype=torch.float64)
    return [((1 + place) * shared + view).to(dtype) for place, view in enumerate(noise)]


def given(loss, counts=COUNTS, dtype=torch.float64):
    """The arguments of a teacher: scores, or vectors, which may have another number of dimensions where only
    their similarities are compared.
    """
    numbers = torch.Generator().manual_seed(1)
    if loss.compares != "scores":
        dim = 3 if loss.compares == "similarities" else DIM
        made = torch.randn(VIEWS, SENTENCES, dim, generator=numbers, dtype=torch.float64)
        vectors = torch.nn.functional.normalize(made, dim=2).to(dtype)
        return {"teacher": list(vectors), "counts": torch.tensor(counts)}
    scores = 3 * torch.randn(SENTENCES, VIEWS - 1, generator=numbers, dtype=torch.float64)
    places = torch.arange(VIEWS - 1)
    return {"scores": scores.masked_fill(places > torch.tensor(counts)[:, None], torch.nan).to(dtype)}


def parts_of(known, order):
    """What is known of some sentences."""
    return {
        name: [view[order] for view in value] if isinstance(value, list) else value[order]
        for name, value in known.items()
    }


def slow(loss, views, known, texts=None, counts=COUNTS):
    """The loss by loops over numbers."""
    units = [[unit(vector) for vector in view.tolist()] for view in views]
    by_loops = {"MarginMSE": slow_margin_mse, "KL": slow_kl, "BatchKL": slow_batch_kl}
    by_loops |= {"VectorMSE": slow_vector_mse}
    return by_loops[type(loss).__name__](loss, units, known, texts, counts)


def slow_margin_mse(loss, units, known, texts, counts):
    total = 0.0
    for row in range(SENTENCES):
        cosines = [dot(units[0][row], units[view][row]) for view in range(1, 2 + counts[row])]
        scores = known["scores"][row].tolist()
        errors = [
            (loss.scale * (cosines[0] - cosines[place]) - (scores[0] - scores[place])) ** 2
            for place in range(1, len(cosines))
        ]
        total += sum(errors) / max(1, len(errors))
    return total / SENTENCES


def slow_kl(loss, units, known, texts, counts):
    total = 0.0
    for row in range(SENTENCES):
        cosines = [dot(units[0][row], units[view][row]) for view in range(1, 2 + counts[row])]
        scores = known["scores"][row].tolist()[: len(cosines)]
        total += kl(scores, loss.teacher_temperature or loss.temperature, cosines, loss.temperature)
    return total / SENTENCES


def slow_batch_kl(loss, units, known, texts, counts):
    places = [(view, row) for view in range(VIEWS) for row in range(SENTENCES) if view < 2 + counts[row]]
    total = 0.0
    for view, row in places:
        others = [
            (v, r)
            for v, r in places
            if (v, r) != (view, row) and (texts is None or texts[v][r] != texts[view][row])
        ]
        cosines = [dot(units[view][row], units[v][r]) for v, r in others]
        taught = [
            dot(known["teacher"][view][row].tolist(), known["teacher"][v][r].tolist()) for v, r in others
        ]
        total += kl(taught, loss.teacher_temperature or loss.temperature, cosines, loss.temperature)
    return total / (VIEWS * SENTENCES)


def slow_vector_mse(loss, units, known, texts, counts):
    total = 0.0
    for row in range(SENTENCES):
        for view in range(2 + counts[row]):
            teacher = unit(known["teacher"][view][row].tolist())
            total += sum((a - b) ** 2 for a, b in zip(units[view][row], teacher, strict=True))
    return total / (VIEWS * SENTENCES)


def kl(teacher, teacher_temperature, student, temperature):
    """The sum of p log(p / q) over candidates."""
    p, q = softmax(teacher, teacher_temperature), softmax(student, temperature)
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def softmax(values, temperature):
    powers = [math.exp(value / temperature) for value in values]
    return [power / sum(powers) for power in powers]


def unit(vector):
    length = math.sqrt(sum(value**2 for value in vector))
    return [value / length for value in vector]


def dot(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("counts", [COUNTS, [2] * SENTENCES])
def test_it_is_the_slow_loops_number(loss, counts):
    views, known = views_of(), given(loss, counts)
    expected = slow(loss, views, known, counts=counts)
    assert expected > 1e-3
    assert float(loss(views, **known)) == pytest.approx(expected, rel=1e-9)


def test_its_gradient_is_that_of_finite_differences(loss):
    views, known = [view.requires_grad_() for view in views_of()], given(loss)
    assert torch.autograd.gradcheck(lambda *views: loss(views, **known), views)


def test_what_fills_missing_places_has_no_gradient_and_changes_nothing(loss):
    views, known = [view.requires_grad_() for view in views_of()], given(loss)
    value = loss(views, **known)
    gradients = torch.autograd.grad(value, views)
    others = [view.detach().clone() for view in views]
    for row, count in enumerate(COUNTS):
        for place in range(count, VIEWS - 2):
            assert not gradients[2 + place][row].any()
            others[2 + place][row] = torch.full((DIM,), 7.0)
    torch.testing.assert_close(loss(others, **known), value.detach())
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_the_mean_over_parts_is_that_of_all(loss):
    """As processes have it: each returns the mean of its own rows among all."""
    views, known = views_of(), given(loss)
    parts = [loss(views, None, rows, **known) for rows in (slice(3), slice(3, None))]
    torch.testing.assert_close((parts[0] + parts[1]) / 2, loss(views, **known))


def test_the_order_of_sentences_does_not_matter(loss):
    views, known, order = views_of(), given(loss), torch.tensor([3, 0, 5, 1, 4, 2])
    mixed = loss([view[order] for view in views], **parts_of(known, order))
    torch.testing.assert_close(mixed, loss(views, **known))


def test_a_sentence_without_any_score_counts_as_nothing():
    for name in losses_comparing("scores"):
        loss = spec.parse("loss", name)
        views, known = [view.requires_grad_() for view in views_of()], given(loss)
        known["scores"][0] = torch.nan
        value = loss(views, **known)
        rest = loss([view[1:] for view in views], **parts_of(known, slice(1, None)))
        torch.testing.assert_close(value, rest * (SENTENCES - 1) / SENTENCES)
        assert all(torch.isfinite(grad).all() for grad in torch.autograd.grad(value, views))


def test_a_student_that_agrees_has_nothing_to_learn(loss):
    """The teacher has the student's own cosines, times the scale of its loss."""
    views = [view.requires_grad_() for view in views_of()]
    units = [torch.nn.functional.normalize(view.detach(), dim=1) for view in views]
    if loss.compares != "scores":
        known = {"teacher": units, "counts": torch.tensor(COUNTS)}
    else:
        factor = getattr(loss, "scale", 1.0)
        known = {"scores": factor * torch.stack([(units[0] * u).sum(dim=1) for u in units[1:]], dim=1)}
    ratio = (getattr(loss, "teacher_temperature", None) or 1.0) / getattr(loss, "temperature", 1.0)
    if getattr(loss, "teacher_temperature", None) is not None:
        known = {
            name: [view * ratio**0.5 for view in value] if name == "teacher" else value * ratio
            for name, value in known.items()
            if name != "counts"
        } | ({"counts": known["counts"]} if "counts" in known else {})
    value = loss(views, **known)
    assert abs(float(value.detach())) < 1e-12
    assert all(grad.norm() < 1e-12 for grad in torch.autograd.grad(value, views))


@pytest.mark.parametrize("tile", [1, 2, 5])
@pytest.mark.parametrize("doubles", [False, True])
def test_blocks_change_nothing(tile, doubles, monkeypatch):
    """And texts of equal number are not compared; the oracle is a loop."""
    texts = [torch.arange(SENTENCES) + SENTENCES * view for view in range(VIEWS)]
    if doubles:
        texts[1][2], texts[0][4] = texts[0][2], texts[0][1]
    for name in losses_comparing("similarities"):
        loss = spec.parse("loss", name)
        views, known = [view.requires_grad_() for view in views_of()], given(loss)
        whole = loss(views, texts, **known)
        expected = torch.autograd.grad(whole, views)
        monkeypatch.setattr(distilling, "TILE", tile)
        value = loss(views, texts, **known)
        assert float(value.detach()) == pytest.approx(slow(loss, views, known, texts), rel=1e-9)
        torch.testing.assert_close(torch.autograd.grad(value, views), expected)
        monkeypatch.undo()


def test_sentences_alone_are_taught_similarities():
    """One view is enough; a batch of equal texts has nothing to compare, and no NaN."""
    for name in losses_comparing("similarities"):
        loss = spec.parse("loss", name)
        views, teacher = [views_of(1)[0].requires_grad_()], given(loss)["teacher"][:1]
        assert torch.autograd.gradcheck(lambda view: loss([view], teacher=teacher), views)  # noqa: B023
        value = loss(views, [torch.zeros(SENTENCES, dtype=torch.int64)], teacher=teacher)
        assert float(value.detach()) == 0
        assert not torch.autograd.grad(value, views)[0].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_large_logits_are_finite(dtype):
    for name in EXAMPLES:
        sharp = spec.parse(
            "loss", name + {"margin-mse": ":scale=1000", "vector-mse": ""}.get(name, ":temperature=0.001")
        )
        views = [view.requires_grad_() for view in views_of(dtype=dtype)]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            value = sharp(views, **given(sharp, dtype=torch.float32))
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        assert all(torch.isfinite(grad).all() for grad in torch.autograd.grad(value, views))


@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "in a weighted sum of nested losses"])
@pytest.mark.parametrize("chunk", [1, 5, SENTENCES * VIEWS])
def test_cached_equals_plain(loss, chunk, wrapped):
    """The loss of vectors that come in chunks has the gradient of the loss of all."""
    known = given(loss)
    if wrapped:
        both = WeightedSum((spec.parse("loss", "two-view"), loss), (1.0, 0.5))
        loss, known = Nested(both, (5, 2), (1.0, 0.3)), {"counts": torch.tensor(COUNTS), **known}
    numbers = torch.Generator().manual_seed(1)
    rows = VIEWS * SENTENCES
    inputs = torch.randn(rows, DIM, generator=numbers, dtype=torch.float64)
    plain, cached = (torch.eye(DIM, dtype=torch.float64).requires_grad_() for _ in range(2))

    def whole(H):
        return loss(H.chunk(VIEWS), None, slice(None), **known)

    whole((inputs @ plain).tanh()).backward()
    chunks = [Chunk(part, {"x": inputs[part]}) for part in torch.arange(rows).flip(0).split(chunk)]
    two_passes(lambda features: (features["x"] @ cached).tanh(), chunks, whole).backward()
    assert plain.grad.norm() > 0
    assert (cached.grad - plain.grad).norm() <= 1e-10 * plain.grad.norm()


def test_combined_losses_are_sums_by_hand():
    views, contrast, taught = views_of(), spec.parse("loss", "nt-xent"), spec.parse("loss", "kl")
    known = {"counts": torch.tensor(COUNTS), **given(taught)}
    both = WeightedSum((contrast, taught), (1.0, 0.5))
    expected = contrast(views, counts=known["counts"]) + 0.5 * taught(views, scores=known["scores"])
    torch.testing.assert_close(both(views, None, slice(None), **known), expected)
    nested = Nested(contrast, (5, 3, 1), (1.0, 0.5, 2.0))
    by_hand = sum(
        weight * contrast([view[:, :dim] for view in views], counts=known["counts"])
        for dim, weight in ((5, 1.0), (3, 0.5), (1, 2.0))
    )
    torch.testing.assert_close(nested(views, None, slice(None), **known), by_hand)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kl:temperature=0", "temperature=0.0 is not a positive number"),
        ("batch-kl:teacher_temperature=-1", "teacher_temperature=-1.0 is not a positive number"),
        ("margin-mse:scale=nan", "scale=nan is not a positive number"),
    ],
)
def test_settings_out_of_range_are_refused(text, message):
    with pytest.raises(spec.UsageError, match=message):
        spec.parse("loss", text)


def test_its_spec_reads_back(loss):
    assert spec.parse("loss", spec.render(loss)) == loss
