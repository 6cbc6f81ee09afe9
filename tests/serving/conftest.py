"""Small indexes, and servers of this process that answer on a free port."""

import http.client
import json
import threading
from contextlib import contextmanager
from typing import NamedTuple

import pytest

pytest.importorskip("starlette", reason="the serve extra is not installed")
pytest.importorskip("uvicorn", reason="the serve extra is not installed")

from embedkit import Index, build_index, describe, encode_batches, load
from embedkit.data.text.record import Record
from embedkit.serving.http_app import make_app
from embedkit.serving.search_service import SearchService
from embedkit.serving.serve_settings import Limits, ServeSettings
from embedkit.serving.server import listening
from embedkit.serving.uvicorn_server import make_server

TEXTS = [
    "copy a whole folder",
    "send a letter to a friend",
    "wait for a thread to end",
    "复制整个目录树",
    "the <script>alert('x')</script> of a folder & \"quotes\"",
    "Ǆ 𝔘nicode 𝟙 letters in a folder",
]
COUNT = len(TEXTS)
ENCODER = "hash:dim=64"


def records(count=COUNT, first=0):
    for number in range(first, first + count):
        text = TEXTS[number] if number < len(TEXTS) else f"document {number} of a folder"
        lang = "zh" if number == 3 else "en"
        yield Record(f"id/{number}", text, {"lang": lang, "year": 2000 + number})


def make_index(path, count=COUNT):
    encoder = load(ENCODER)
    return build_index(path, describe(encoder), encode_batches(encoder, records(count)))


class Answer(NamedTuple):
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        message = self.json["error"]["message"]
        assert "\n" not in message
        return message


class Client(NamedTuple):
    port: int
    service: SearchService

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask(
            "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    def post(self, path, value, **headers):
        body = value if isinstance(value, bytes) else json.dumps(value)
        return self.ask("POST", path, body, {"content-type": "application/json", **headers})


@contextmanager
def running(paths, **settings):
    """A server of these indexes; keyword arguments are settings and limits."""
    known = {name: settings.pop(name) for name in list(settings) if name in Limits.__dataclass_fields__}
    chosen = ServeSettings(port=0, limits=Limits(**known), **settings)
    service = SearchService(paths, chosen.limits)
    with listening(chosen) as listener:
        server = make_server(make_app(service, chosen), chosen.limits)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Client(listener.getsockname()[1], service)
        finally:
            server.should_exit = True
            thread.join(timeout=60)
            service.close()
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Index:
    return make_index(tmp_path_factory.mktemp("served") / "docs.idx")


@pytest.fixture(scope="module")
def client(index):
    with running([index.path]) as client:
        yield client
