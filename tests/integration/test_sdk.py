"""The official SDKs talk to the gateway as they talk to their vendors."""
import json
import subprocess

import anthropic
import openai
import pytest

from conftest import ROOT, SLOWNESS


@pytest.fixture
def client(gateway):
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key="none", timeout=30 * SLOWNESS, max_retries=0) as c:
        yield c


MESSAGES = [{"role": "user", "content": "Say hi"}]


def test_openai_python_completes_a_chat(client):
    reply = client.chat.completions.create(model="mock-model", messages=MESSAGES, max_tokens=8)
    assert reply.choices[0].message.content
    assert reply.choices[0].message.role == "assistant"
    assert reply.usage.completion_tokens == 8


def test_openai_python_streams_a_chat(client):
    text, usage, finish = "", None, None
    stream = client.chat.completions.create(model="mock-model", messages=MESSAGES, max_tokens=7, stream=True, stream_options={"include_usage": True})
    for chunk in stream:
        if chunk.usage:
            usage = chunk.usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    assert text and finish in ("stop", "length")
    assert usage.completion_tokens == 7


def test_openai_python_streams_the_text_that_it_completes(client):
    whole = client.chat.completions.create(model="mock-model", messages=MESSAGES, max_tokens=12).choices[0].message.content
    parts = client.chat.completions.create(model="mock-model", messages=MESSAGES, max_tokens=12, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in parts if c.choices) == whole


def test_openai_python_lists_models_and_embeds(client):
    assert [m.id for m in client.models.list()] == ["mock-model"]
    vectors = client.embeddings.create(model="mock-model", input=["a", "b"], encoding_format="float").data
    assert len(vectors) == 2 and len(vectors[0].embedding) == len(vectors[1].embedding) > 0


def test_openai_python_completions_and_responses(client):
    assert client.completions.create(model="mock-model", prompt="Once", max_tokens=4).choices[0].text
    assert client.responses.create(model="mock-model", input="hello").output_text


def test_openai_python_sees_typed_errors(client):
    with pytest.raises(openai.NotFoundError) as e:
        client.chat.completions.create(model="nope", messages=MESSAGES)
    assert e.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as e:
        client.chat.completions.create(model="mock-model", messages=[])
    assert e.value.type == "invalid_request_error" and "messages" in e.value.param


def test_anthropic_python_creates_and_streams_a_message(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key="none", timeout=30 * SLOWNESS, max_retries=0) as c:
        reply = c.messages.create(model="mock-model", max_tokens=8, messages=MESSAGES)
        assert reply.content[0].text
        with c.messages.stream(model="mock-model", max_tokens=8, messages=MESSAGES) as stream:
            assert "".join(stream.text_stream)
        with pytest.raises(anthropic.NotFoundError) as e:
            c.messages.create(model="nope", max_tokens=8, messages=MESSAGES)
        assert e.value.body["type"] == "error"


def test_openai_node_completes_and_streams(gateway):
    out = subprocess.run(["node", "chat.mjs", gateway.url + "/v1"], cwd=ROOT / "tests/integration/node", capture_output=True, text=True, timeout=60 * SLOWNESS)
    assert out.returncode == 0, out.stderr
    result = json.loads(out.stdout)
    assert result["complete"] and result["stream"] == result["complete"]
    assert result["usage"]["completion_tokens"] == 8
    assert result["error"] == {"status": 404, "code": "model_not_found"}
