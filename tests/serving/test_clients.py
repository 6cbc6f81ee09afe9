"""Clients that others wrote: OpenAI's package, curl, and an MCP client."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embedkit import load
from tests.serving.conftest import ENCODER, TEXTS, make_index, running

PROGRAM = str(Path(sys.executable).with_name("embedkit"))


def test_the_client_of_openai(index):
    openai = pytest.importorskip("openai")
    with (
        running([index.path], token="secret-token") as server,
        openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="secret-token") as client,
    ):
        wanted = load(ENCODER).encode(TEXTS)
        answer = client.embeddings.create(model="docs", input=TEXTS)  # base64, by default
        np.testing.assert_array_equal(np.array([each.embedding for each in answer.data], np.float32), wanted)
        plain = client.embeddings.create(
            model=ENCODER, input=TEXTS[0], encoding_format="float", dimensions=64
        )
        np.testing.assert_array_equal(np.array(plain.data[0].embedding, np.float32), wanted[0])
        assert [model.id for model in client.models.list()] == ["docs", ENCODER]
        with pytest.raises(openai.BadRequestError, match="tokens of another tokenizer"):
            client.embeddings.create(model="docs", input=[[1, 2]])
        with pytest.raises(openai.NotFoundError, match="unknown model 'text-embedding-3-small'"):
            client.embeddings.create(model="text-embedding-3-small", input="x")
        with pytest.raises(openai.AuthenticationError, match="the token is missing or wrong"):
            client.with_options(api_key="another").models.list()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(client, tmp_path):
    def curl(*arguments):
        done = subprocess.run(["curl", "-s", *arguments], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    root = f"http://localhost:{client.port}"
    found = curl(
        "-G", f"{root}/search", "--data-urlencode", "q=整个目录", "--data-urlencode", "where=lang = 'zh'"
    )
    assert [hit["id"] for hit in found["hits"]] == ["id/3"]
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(100_000_000)
    refused = curl("-H", "content-type: application/json", "--data-binary", f"@{large}", f"{root}/search")
    assert refused["error"]["message"] == "the body is larger than 8,000,000 bytes"
    assert "must be application/json" in curl("-d", "{}", f"{root}/search")["error"]["message"]


def test_an_mcp_client_searches_and_reads(tmp_path):
    mcp = pytest.importorskip("mcp")
    make_index(tmp_path / "docs.idx")
    command = mcp.StdioServerParameters(command=PROGRAM, args=["serve", str(tmp_path / "docs.idx"), "--mcp"])

    async def main():
        async with mcp.Client(command) as client:
            tools = (await client.list_tools()).tools
            found = await client.call_tool("search", {"query": "folder", "k": 2, "where": "lang = 'en'"})
            read = await client.call_tool("get", {"ids": ["id/3", "none"]})
            wrong = await client.call_tool("search", {"query": "folder", "where": "sleep_ms(9)"})
            missing = await client.call_tool("get", {"ids": ["none"]})
            return tools, found, read, wrong, missing

    tools, found, read, wrong, missing = asyncio.run(main())
    assert [tool.name for tool in tools] == ["search", "get"]
    assert len(found.structured_content["hits"]) == 2
    assert read.structured_content["documents"][0]["text"] == TEXTS[3]
    assert read.structured_content["missing"] == ["none"]
    assert wrong.is_error
    assert "calls the function 'sleep_ms', which a condition may not call" in wrong.content[0].text
    assert missing.is_error
    assert "no document of id 'none'" in missing.content[0].text
