"""What a server refuses: other names, other origins, wrong tokens, and what is too large, long or slow."""

import http.client
import json
import socket
import threading
import time

import pytest

from embedkit.errors import UsageError
from embedkit.serving import client_connection as connection
from embedkit.serving import uvicorn_server
from embedkit.serving.serve_settings import Limits, ServeSettings
from tests.serving.conftest import running

OPEN = ["/", "/page.css", "/scripts/main.js", "/icon.svg", "/docs", "/openapi.json", "/health"]
POST = b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CLOSED = ["/search?q=x", "/documents?id=x", "/indexes", "/metrics", "/v1/models", "/nothing"]


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("127.0.0.1:{port}", True),
        ("localhost:{port}", True),
        ("LOCALHOST", True),
        ("[::1]:{port}", True),
        ("192.168.1.7", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:{port}", False),
        ("localhost@evil.example", False),
        ("evil.example/localhost", False),
        ("", False),
        ("[::1", False),
        ("localhost:port", False),
    ],
)
def test_only_names_of_this_server_are_answered(client, host, answered):
    answer = client.get("/indexes", host=host.format(port=client.port))
    assert answer.status == (200 if answered else 403)
    if not answered:
        assert answer.error.endswith("is not this server; allow a name with `allow_host`")


@pytest.mark.parametrize(
    ("headers", "answered"),
    [
        ({"origin": "http://127.0.0.1:{port}"}, True),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "http://127.0.0.1:1"}, False),
        ({"origin": "null"}, False),
        ({"origin": "file://127.0.0.1:{port}"}, False),
        ({"sec_fetch_site": "same-origin", "sec_fetch_mode": "cors"}, True),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}, False),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, True),
    ],
)
def test_pages_of_other_origins_are_not_answered(client, headers, answered):
    answer = client.get(
        "/indexes", **{name: value.format(port=client.port) for name, value in headers.items()}
    )
    assert answer.status == (200 if answered else 403)
    assert "access-control-allow-origin" not in answer.headers


def test_an_allowed_name_is_answered(index):
    with running([index.path], allow_host=("docs.example",)) as client:
        assert client.get("/indexes", host="docs.example").status == 200
        assert client.get("/indexes", host="other.example").status == 403


def test_a_token_protects_everything_but_the_files_of_the_page(index):
    with running([index.path], token="secret-token") as client:
        for path in OPEN:
            assert client.get(path).status == 200, path
        for path in CLOSED:
            for header in (
                None,
                "Bearer wrong-token",
                "secret-token",
                "Bearer secret-token-x",
                "Bearer secret-toke",
            ):
                answer = client.get(path, **({} if header is None else {"authorization": header}))
                assert answer.status == 401, (path, header)
                assert (
                    answer.error == "the token is missing or wrong; send it as 'Authorization: Bearer TOKEN'"
                )
        assert client.get("/indexes", authorization="Bearer secret-token").status == 200
        assert client.get("/indexes", authorization="bearer  secret-token").status == 200
        assert "secret-token" not in repr(ServeSettings(token="secret-token"))


@pytest.mark.parametrize("token", ["short", "with a space in it", "not-ascii-é", "new\nlines-in-it"])
def test_a_weak_token_is_refused(token):
    with pytest.raises(UsageError, match=r"^`token`: must "):
        ServeSettings(token=token)


@pytest.mark.parametrize("settings", [{"k": 0}, {"seconds": -1}, {"where_memory": "much"}])
def test_a_wrong_limit_is_refused(settings):
    with pytest.raises(UsageError, match=r"^the limit "):
        Limits(**settings)


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/scripts/../../settings.py",
        "/scripts/main.js%00.css",
        "//etc/passwd",
        "/docs/index.html",
        "/manifest.json",
        "/docs.idx/manifest.json",
        "/search/",
        "/index.html",
        "/scripts/",
        "/\\..\\..\\etc",
        "/é".encode().decode("latin-1"),
    ],
)
def test_no_other_path_is_served(client, path):
    raw = exchange(
        client.port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1")
    )
    assert status_of(raw) in (400, 404)
    assert b"root:" not in raw
    assert "message" in json.loads(raw.partition(b"\r\n\r\n")[2])["error"]


def test_methods_and_types_are_checked(client):
    assert client.ask("DELETE", "/search").error == "/search does not answer DELETE"
    assert client.ask("POST", "/indexes").status == 405
    assert client.ask("OPTIONS", "/search").status == 405
    assert client.ask("HEAD", "/health").status == 200
    wrong = client.ask("POST", "/search", b"queries=x", {"content-type": "application/x-www-form-urlencoded"})
    assert (wrong.status, wrong.error) == (
        415,
        "the body must be application/json, got application/x-www-form-urlencoded",
    )


def test_every_answer_has_the_headers_of_a_careful_server(client):
    for path in (*OPEN, "/search?q=x", "/nothing", "/search"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers


def test_a_body_of_100_mb_is_refused_before_it_is_read(client):
    sent = 0
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as raw:
        raw.sendall(POST + b"Content-Length: 100000000\r\n\r\n")
        answer = raw.recv(65536)
        try:
            while sent < 100_000_000:
                sent += raw.send(b"x" * 65536)
        except (ConnectionError, TimeoutError):
            pass
    assert status_of(answer) == 413
    assert sent < 100_000_000
    assert client.get("/health").json == {"status": "ok"}


def test_a_body_without_a_length_is_counted(index):
    with running([index.path], body=1000) as client:
        chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
        answer = exchange(client.port, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3)
        assert status_of(answer) == 413
        assert (
            client.post("/search", {"queries": ["x" * 2000]}).error == "the body is larger than 1,000 bytes"
        )
        assert client.post("/search", {"queries": ["x"]}).status == 200


def test_ten_thousand_ids_are_refused(client):
    answer = client.get("/documents?" + "&".join(f"id={number}" for number in range(5_000)))
    assert (answer.status, answer.error) == (400, "'id' must be given 1 to 100 times, got 5000")
    longer = client.get("/documents?" + "&".join(f"id={number}" for number in range(100_000)))
    assert longer.status in (400, 431)
    assert client.get("/health").status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"not http at all\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(client, data):
    answer = exchange(client.port, data)
    assert status_of(answer) == 400
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"] == "the request is not valid HTTP"
    assert client.get("/health").status == 200


def test_endless_headers_are_refused(client):
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        answer = b""
        try:
            for number in range(10_000):
                raw.sendall(f"x-{number}: {'y' * 1000}\r\n".encode())
            answer = raw.recv(65536)
        except ConnectionError:
            answer = b"HTTP/1.1 431 "  # it was ended while more was sent
    assert status_of(answer) == 431
    assert client.get("/health").status == 200


def test_clients_that_are_slow_or_silent_are_ended_and_others_are_answered(index, monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(uvicorn_server, "KEEP_ALIVE", 1)
    monkeypatch.setattr(connection, "READ_SECONDS", 0.5)
    starts = [
        b"",
        b"GET /search?q=x HT",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n",
        POST + b"Content-Length: 9\r\n\r\n{",
    ]
    with running([index.path], seconds=1) as client:
        open_ones = [socket.create_connection(("127.0.0.1", client.port), timeout=20) for _ in range(40)]
        for place, raw in enumerate(open_ones):
            raw.sendall(starts[place % len(starts)])
        started = time.monotonic()
        assert client.get("/search?q=folder").status == 200
        assert time.monotonic() - started < 10
        ends = [read_to_the_end(raw) for raw in open_ones]
        assert {status_of(end) for end in ends[1::4]} == {408}
        assert {status_of(end) for end in ends[3::4]} == {408}
        assert client.get("/health").status == 200


def test_a_client_that_does_not_read_its_answer_is_ended(index, monkeypatch):
    monkeypatch.setattr(connection, "READ_SECONDS", 0.5)
    with running([index.path], seconds=1) as client:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        raw.connect(("127.0.0.1", client.port))
        raw.sendall(b"GET /scripts/main.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500)
        time.sleep(4)
        assert client.get("/health").status == 200
        with pytest.raises(ConnectionError):
            keep_sending(raw)
        raw.close()


def keep_sending(raw):
    for _ in range(200):
        raw.sendall(b"x" * 65536)
        time.sleep(0.01)


def test_too_many_connections_and_requests_are_refused(index, monkeypatch):
    with running([index.path], connections=5, requests=2) as client:
        held = [socket.create_connection(("127.0.0.1", client.port), timeout=20) for _ in range(5)]
        time.sleep(0.3)
        assert client.get("/health").status == 503
        for raw in held:
            raw.close()
        time.sleep(0.3)
        release = threading.Event()
        encoder = client.service.indexes["docs"].current.encoding.encoder
        monkeypatch.setattr(type(encoder), "encode", waiting_for(release, type(encoder).encode))
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(client.get("/search?q=folder"))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        refused = client.get("/search?q=folder")
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert refused.error == "2 requests are being answered; try again later"
        assert client.get("/health").status == 200
        release.set()
        for thread in threads:
            thread.join()
        assert [answer.status for answer in answers] == [200, 200]


def waiting_for(event, encode):
    def encode_later(self, texts, role="document"):
        event.wait(20)
        return encode(self, texts, role)

    return encode_later


def test_an_answer_that_takes_too_long_is_given_up(index, monkeypatch):
    release = threading.Event()
    with running([index.path], seconds=0.5) as client:
        encoder = client.service.indexes["docs"].current.encoding.encoder
        monkeypatch.setattr(type(encoder), "encode", waiting_for(release, type(encoder).encode))
        answer = client.get("/search?q=folder")
        assert (answer.status, answer.error) == (503, "the answer took longer than 0.5 seconds")
        release.set()
        time.sleep(0.2)
        assert client.get("/search?q=folder").status == 200


def test_a_server_that_stops_does_not_wait_for_the_rest_of_a_request(index):
    with running([index.path], seconds=5) as client:
        raw = socket.create_connection(("127.0.0.1", client.port), timeout=20)
        raw.sendall(POST + b"Content-Length: 9\r\n\r\n{")
        while b"embedkit_requests_answering 2.0" not in client.get("/metrics").body:
            time.sleep(0.01)
    end = read_to_the_end(raw)
    assert status_of(end) == 503
    assert b"the server is stopping" in end


def exchange(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
        raw.sendall(data)
        return read_to_the_end(raw)


def read_to_the_end(raw):
    parts = []
    try:
        while part := raw.recv(65536):
            parts.append(part)
    except ConnectionError:
        pass
    raw.close()
    return b"".join(parts)


def status_of(answer):
    assert answer.startswith(b"HTTP/1.1 "), answer[:100]
    return int(answer[9:12])


def test_the_connections_of_http_clients_are_kept_open(client):
    kept = http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)
    for _ in range(3):
        kept.request("GET", "/search?q=folder")
        assert kept.getresponse().read()
    kept.close()
