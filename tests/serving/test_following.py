"""An index that changes on disk while it is served: no request fails, and answers are of the newest state."""

import shutil
import threading
import time

from embedkit import describe, encode_batches, load
from embedkit.indexing.edit import add, compact, delete
from tests.serving.conftest import ENCODER, make_index, records, running


def until(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def ids(client, query="folder", **parameters):
    text = "&".join(f"{name}={value}" for name, value in parameters.items())
    return [hit["id"] for hit in client.get(f"/search?q={query}&k=1000&{text}").json["hits"]]


def added(path, first, count):
    encoder = load(ENCODER)
    add(path, describe(encoder), encode_batches(encoder, records(count, first)))


def test_every_change_is_followed_and_no_request_fails(tmp_path):
    path = make_index(tmp_path / "docs.idx", 20).path
    statuses, stop = set(), threading.Event()

    def keep_asking(query):
        while not stop.is_set():
            statuses.add(client.get(f"/search?q={query}&k=5&hybrid&where=year>2001").status)

    with running([path]) as client:
        threads = [threading.Thread(target=keep_asking, args=(f"folder+{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for change in range(6):
            added(path, 20 + 10 * change, 10)
            until(lambda change=change: len(ids(client)) == 30 + 10 * change - 2 * change)
            delete(path, [f"id/{2 * change}", f"id/{2 * change + 1}"])
            until(lambda change=change: len(ids(client)) == 28 + 10 * change - 2 * change)
            if change == 3:
                compact(path)
        stop.set()
        for thread in threads:
            thread.join()
        assert statuses == {200}
        assert "id/0" not in ids(client)
        assert "id/79" in ids(client)


def test_an_index_that_is_built_anew_is_served_with_its_own_encoder(tmp_path):
    path = make_index(tmp_path / "docs.idx", 4).path
    with running([path]) as client:
        assert client.get("/search?q=folder").json["hits"][0]["score"] < 1
        encoder = load("hash:dim=32")
        from embedkit import build_index

        build_index(tmp_path / "new.idx", describe(encoder), encode_batches(encoder, records(6)))
        shutil.move(path, tmp_path / "old.idx")
        shutil.move(tmp_path / "new.idx", path)
        until(lambda: len(ids(client)) == 6)
        assert client.get("/indexes").json["indexes"][0]["dimension"] == 32


def test_an_index_that_is_damaged_or_gone_is_named_and_the_last_state_answers(tmp_path, caplog):
    path = make_index(tmp_path / "docs.idx", 6).path
    with running([path]) as client:
        before = ids(client)
        manifest = (path / "manifest.json").read_bytes()
        (path / "manifest.json").write_bytes(manifest[:-20])
        until(lambda: client.get("/health").json == {"status": "degraded", "failing": ["docs"]})
        assert ids(client) == before
        time.sleep(1)  # it is looked at again, and logged once
        assert len(caplog.messages) == 1
        assert caplog.messages[0].endswith("; the last state of docs keeps answering")
        assert "manifest.json is damaged" in client.get("/indexes").json["indexes"][0]["failure"]
        assert 'embedkit_index_failing{index="docs"} 1.0' in client.get("/metrics").body.decode()
        (path / "manifest.json").unlink()
        until(lambda: "has no manifest.json" in client.get("/indexes").json["indexes"][0]["failure"])
        assert ids(client) == before
        (path / "manifest.json").write_bytes(manifest)
        until(lambda: client.get("/health").json == {"status": "ok"})
        assert ids(client) == before
