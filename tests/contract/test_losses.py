"""What every loss that compares views must be: a slow loop's number, its gradient, the same in any order."""

import dataclasses
import math

import pytest
import torch

from embedkit import spec
from embedkit.losses import contrastive as contrast
from embedkit.training.gradcache import Chunk, two_passes

EXAMPLES = {  # specs of each kind that compares views
    "nt-xent": ["nt-xent", "nt-xent:temperature=0.1,hard_negative_weight=3.0,scale_with_candidates=64"],
    "two-view": ["two-view", "two-view:temperature=0.1,hard_negative_weight=3.0,scale_with_candidates=64"],
}
OTHERS = {  # kinds with other targets: test_label_losses.py holds that each has a contract of its own
    kind for kind in spec.kinds("loss") if spec.kind_class("loss", kind).compares != "views"
}
SENTENCES, DIM = 6, 5
each_count = pytest.mark.parametrize("negatives", [0, 1, 2])


def test_every_loss_is_under_contract():
    assert set(spec.kinds("loss")) - OTHERS == set(EXAMPLES)


@pytest.fixture(params=[text for specs in EXAMPLES.values() for text in specs])
def loss(request):
    """A loss that compares views."""
    return spec.parse("loss", request.param)


def views_of(count, *, seed=0, rows=SENTENCES, dtype=torch.float64):
    """`count` views of some rows, of any length, near each other."""
    numbers = torch.Generator().manual_seed(seed)
    shared = torch.randn(rows, DIM, generator=numbers, dtype=torch.float64)
    noise = torch.randn(count, rows, DIM, generator=numbers, dtype=torch.float64)
    return [((1 + place) * shared + view).to(dtype) for place, view in enumerate(noise)]


def texts_of(count):
    """Numbers of texts, `(SENTENCES,)` a view, with doubles within a view and across views."""
    texts = torch.arange(count * SENTENCES).reshape(count, SENTENCES)
    texts[0, 2] = texts[0, 4]
    texts[1, 1] = texts[0, 3]
    texts[-1, 0] = texts[0, 5]
    return list(texts)


def slow(loss, views, texts=None, rows=range(SENTENCES)):
    """The loss by loops over numbers, as the articles write it."""
    by_loops = {"TwoView": slow_two_view, "NTXent": slow_nt_xent}[type(loss).__name__]
    units = [[unit(vector.tolist()) for vector in view] for view in views]
    numbers = [view.tolist() for view in texts] if texts is not None else None
    return by_loops(loss, units, numbers, rows)


def slow_two_view(loss, views, texts, rows):
    """View 0 of each sentence against view 1 of all, and all hard negatives."""
    losses = []
    for row in rows:
        others = []  # (vector, text, is own hard negative)
        for view in range(1, len(views)):
            for column in range(SENTENCES):
                if (view, column) == (1, row):
                    continue
                own = view > 1 and column == row
                others.append((views[view][column], texts and texts[view][column], own))
        mine = texts and (texts[0][row], texts[1][row])
        losses.append(slow_row(loss, views[0][row], views[1][row], others, mine))
    return sum(losses) / len(losses)


def slow_nt_xent(loss, views, texts, rows):
    """Views 0 and 1 interleaved: rows 2 i and 2 i + 1 are sentence i; the positive of row r is r XOR 1."""
    rows_of = [(view, sentence) for sentence in range(SENTENCES) for view in (0, 1)]
    losses = []
    for r, (view, sentence) in enumerate(rows_of):
        if sentence not in rows:
            continue
        positive = rows_of[r ^ 1]
        others = []
        for other, column in rows_of + [(v, c) for v in range(2, len(views)) for c in range(SENTENCES)]:
            if (other, column) in ((view, sentence), positive):
                continue
            own = other > 1 and column == sentence
            others.append((views[other][column], texts and texts[other][column], own))
        mine = texts and (texts[view][sentence], texts[positive[0]][positive[1]])
        losses.append(slow_row(loss, views[view][sentence], views[positive[0]][positive[1]], others, mine))
    return sum(losses) / len(losses)


def slow_row(loss, query, positive, others, texts):
    """-log of the positive's share; others with a text in `texts` do not count."""
    counted = [(vector, own) for vector, text, own in others if texts is None or text not in texts]
    n0 = loss.scale_with_candidates
    factor = 1.0 if n0 is None else math.log(1 + len(counted)) / math.log(n0)
    scale = factor / loss.temperature
    right = math.exp(scale * dot(query, positive))
    wrong = (
        (loss.hard_negative_weight if own else 1.0) * math.exp(scale * dot(query, vector))
        for vector, own in counted
    )
    return -math.log(right / (right + sum(wrong)))


def unit(vector):
    length = math.sqrt(sum(value**2 for value in vector))
    return [value / length for value in vector]


def dot(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


def gradients(loss, views, texts=None, rows=slice(None)):
    """The value, and the gradient of every view."""
    leaves = [view.clone().requires_grad_() for view in views]
    value = loss(leaves, texts, rows)
    return value.detach(), torch.autograd.grad(value, leaves)


@each_count
@pytest.mark.parametrize("doubles", [False, True])
@pytest.mark.parametrize("rows", [slice(None), slice(2, 5)])
def test_it_is_the_slow_loops_number(loss, negatives, doubles, rows):
    views = views_of(2 + negatives)
    texts = texts_of(2 + negatives) if doubles else None
    expected = slow(loss, views, texts, range(*rows.indices(SENTENCES)))
    assert float(loss(views, texts, rows)) == pytest.approx(expected, rel=1e-12)


@each_count
@pytest.mark.parametrize("doubles", [False, True])
def test_its_gradient_is_that_of_finite_differences(loss, negatives, doubles):
    views = [view.requires_grad_() for view in views_of(2 + negatives)]
    texts = texts_of(2 + negatives) if doubles else None
    assert torch.autograd.gradcheck(lambda *views: loss(views, texts), views)


@each_count
def test_the_order_of_sentences_does_not_matter(loss, negatives):
    views, texts = views_of(2 + negatives), texts_of(2 + negatives)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    value, grads = gradients(loss, views, texts)
    again, mixed = gradients(loss, [view[order] for view in views], [numbers[order] for numbers in texts])
    torch.testing.assert_close(again, value)
    torch.testing.assert_close([grad[order] for grad in grads], list(mixed))


@each_count
@pytest.mark.parametrize("tile", [1, 2, 5])
def test_tiles_change_nothing(loss, negatives, tile, monkeypatch):
    views, texts = views_of(2 + negatives), texts_of(2 + negatives)
    value, grads = gradients(loss, views, texts, slice(1, 6))
    tiles = counted(monkeypatch)
    monkeypatch.setattr(contrast, "TILE", tile)
    again, by_tiles = gradients(loss, views, texts, slice(1, 6))
    assert len(tiles) > 1
    assert all(rows.stop - rows.start <= tile >= columns.stop - columns.start for rows, columns in tiles)
    torch.testing.assert_close(again, value)
    torch.testing.assert_close(by_tiles, grads)


def counted(monkeypatch):
    """The rows and columns of each tile of logits that is worked on, from now on."""
    tiles = []
    plain = contrast._Tiles._logits

    def counting(self, rows, columns):
        tiles.append((rows, columns))
        return plain(self, rows, columns)

    monkeypatch.setattr(contrast._Tiles, "_logits", counting)
    return tiles


def test_no_logits_are_kept_for_backward(loss, monkeypatch):
    """What is kept for backward is as large as the vectors, not as the logits."""
    rows = 256
    monkeypatch.setattr(contrast, "TILE", 32)
    views = [view.requires_grad_() for view in views_of(2, rows=rows)]
    kept = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        value = loss(views)
    vectors = 2 * rows * DIM * 8
    assert 0 < sum(kept.values()) < 8 * vectors < rows * rows * 8 / 2
    value.backward()


@each_count
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_large_logits_are_finite(negatives, dtype):
    for name in EXAMPLES:
        sharp = spec.parse("loss", f"{name}:temperature=0.001")
        value, grads = gradients(sharp, views_of(2 + negatives, dtype=dtype))
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        assert all(torch.isfinite(grad).all() and grad.dtype == dtype for grad in grads)


def test_halves_are_worked_in_float32_in_autocast_too(loss):
    halves = views_of(3, dtype=torch.bfloat16)
    expected = slow(loss, [view.double() for view in halves])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(halves)
    assert float(inside) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_scale_is_the_usual_one_at_the_reference(name):
    """log n / log n0 is 1 at n = n0, and the candidates that are left out are not in n."""
    plain, views, texts = spec.parse("loss", name), views_of(2), texts_of(2)
    candidates = {"two-view": SENTENCES, "nt-xent": 2 * SENTENCES - 1}[name]
    at_reference = spec.parse("loss", f"{name}:scale_with_candidates={candidates}")
    torch.testing.assert_close(at_reference(views), plain(views))
    assert abs(at_reference(views, texts) - plain(views, texts)) > 1e-3


@pytest.mark.parametrize("chunk", [1, 3, SENTENCES * 2])
def test_cached_equals_plain(loss, chunk):
    """The loss of vectors that come in chunks has the gradient of the loss of all."""
    numbers = torch.Generator().manual_seed(1)
    inputs = torch.randn(2 * SENTENCES, DIM, generator=numbers, dtype=torch.float64)
    plain, cached = (torch.eye(DIM, dtype=torch.float64).requires_grad_() for _ in range(2))
    loss((inputs @ plain).tanh().chunk(2)).backward()
    chunks = [Chunk(rows, {"x": inputs[rows]}) for rows in torch.arange(2 * SENTENCES).flip(0).split(chunk)]
    two_passes(
        lambda features: (features["x"] @ cached).tanh(), chunks, lambda H: loss(H.chunk(2))
    ).backward()
    assert (cached.grad - plain.grad).norm() <= 1e-10 * plain.grad.norm()


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("temperature=0", "temperature=0.0 is not a positive number"),
        ("temperature=-1", "temperature=-1.0 is not a positive number"),
        ("temperature=nan", "temperature=nan is not a positive number"),
        ("temperature=inf", "temperature=inf is not a positive number"),
        ("hard_negative_weight=0", "hard_negative_weight=0.0 is not a positive number"),
        ("scale_with_candidates=1", "scale_with_candidates must be at least 2, got 1"),
        ("guide_margin=-0.1", "guide_margin must be at least 0 and less than 2, got -0.1"),
    ],
)
def test_settings_out_of_range_are_refused(name, settings, message):
    with pytest.raises(spec.UsageError, match=message):
        spec.parse("loss", f"{name}:{settings}")


def test_its_spec_reads_back(loss):
    assert spec.parse("loss", spec.render(loss)) == loss


@pytest.mark.parametrize("tile", [4, 1024])
def test_hard_negatives_that_a_row_lacks_count_for_nothing(loss, tile, monkeypatch):
    """The oracle is a loop over the candidates that are there; what fills empty places changes nothing."""
    monkeypatch.setattr(contrast, "TILE", tile)
    counts = [0, 2, 1, 2, 0, 1]
    views = [view.requires_grad_() for view in views_of(4)]
    given = torch.tensor(counts)
    value = loss(views, counts=given)
    number = float(value.detach())
    units = [torch.nn.functional.normalize(view, dim=1).tolist() for view in views]
    assert number == pytest.approx(with_counts(loss, units, counts), rel=1e-9)
    gradients = torch.autograd.grad(value, views)
    others = [view.detach().clone() for view in views]
    for row, count in enumerate(counts):
        for place in range(count, 2):
            assert not gradients[2 + place][row].any()
            others[2 + place][row] = torch.full((DIM,), 7.0)
    assert float(loss(others, counts=given)) == pytest.approx(number, rel=1e-12)
    full = torch.full_like(given, 2)
    torch.testing.assert_close(loss(views, counts=full), loss(views))


def guide_of(count, seed=3):
    """Unit vectors of another encoder, 4 dimensions each, for `count` views."""
    numbers = torch.Generator().manual_seed(seed)
    made = torch.randn(count, SENTENCES, 4, generator=numbers, dtype=torch.float64)
    return list(torch.nn.functional.normalize(made, dim=2))


@each_count
@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_candidates_that_the_guide_prefers_are_left_out(loss, negatives, margin, monkeypatch):
    """The oracle is a loop over the candidates whose guided similarity is at most the positive's; the
    gradient by tiles is that of all logits at once, which is that of finite differences.
    """
    guided = dataclasses.replace(loss, guide_margin=margin)
    views, guide = [view.requires_grad_() for view in views_of(2 + negatives)], guide_of(2 + negatives)
    units = [torch.nn.functional.normalize(view, dim=1).tolist() for view in views]
    counts, known = [negatives] * SENTENCES, [view.tolist() for view in guide]
    expected = with_counts(guided, units, counts, known)
    assert abs(expected - with_counts(guided, units, counts)) > 1e-3
    assert torch.autograd.gradcheck(lambda *views: guided(views, guide=guide), views)
    whole = guided(views, guide=guide)
    monkeypatch.setattr(contrast, "TILE", 2)
    tiled = guided(views, guide=guide)
    for value in (whole, tiled):
        assert float(value.detach()) == pytest.approx(expected, rel=1e-9)
    torch.testing.assert_close(torch.autograd.grad(tiled, views), torch.autograd.grad(whole, views))


@each_count
def test_a_guide_of_some_rows_sees_all_candidates(loss, negatives):
    """The mean over rows is that of two processes' means, each over its own rows."""
    views, guide = views_of(2 + negatives), guide_of(2 + negatives)
    half = SENTENCES // 2
    parts = [loss(views, rows=rows, guide=guide) for rows in (slice(half), slice(half, None))]
    torch.testing.assert_close((parts[0] + parts[1]) / 2, loss(views, guide=guide))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_guide_leaves_out_no_copy_of_the_positive_by_rounding(dtype):
    """Equal vectors of the guide have the positive's similarity, which is not above it."""
    loss, views = spec.parse("loss", "two-view"), views_of(3, dtype=dtype)
    guide = [view.to(dtype) for view in guide_of(2)]
    guide = [guide[0], *(guide[1][:1].expand(SENTENCES, -1) for _ in range(2))]
    torch.testing.assert_close(loss(views, guide=guide), loss(views))


def with_counts(loss, units, counts, guide=None):
    """The loss where row i has the first `counts[i]` hard negatives only, by loops; candidates that `guide`
    finds more similar than the positive, less the margin, do not count.
    """
    both = type(loss).__name__ == "NTXent"
    places = [(view, row) for view in ((0, 1) if both else (1,)) for row in range(SENTENCES)]
    places += [(2 + place, row) for row, count in enumerate(counts) for place in range(count)]
    total, queries = 0.0, [(view, row) for view in ((0, 1) if both else (0,)) for row in range(SENTENCES)]
    for view, row in queries:
        candidates = [place for place in places if place != (view, row)]
        if guide is not None:
            known = {(v, r): dot(guide[view][row], guide[v][r]) for v, r in candidates}
            most = known[1 - view, row] - loss.guide_margin
            candidates = [place for place in candidates if place == (1 - view, row) or known[place] <= most]
        factor = 1 / loss.temperature
        if loss.scale_with_candidates is not None:
            factor *= math.log(len(candidates)) / math.log(loss.scale_with_candidates)
        logits = {}
        for other, column in candidates:
            cosine = sum(a * b for a, b in zip(units[view][row], units[other][column], strict=True))
            own = other > 1 and column == row
            logits[other, column] = factor * cosine + (math.log(loss.hard_negative_weight) if own else 0.0)
        target = logits[1 - view, row]
        total += math.log(sum(math.exp(logit) for logit in logits.values())) - target
    return total / len(queries)
