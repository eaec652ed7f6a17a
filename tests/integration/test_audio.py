"""POST /v1/audio/transcriptions: a form on its way (spec data-plane 5.8, case 24), and the cancelling of responses (5.9)."""
import openai
import pytest

from conftest import Engine, Gateway, ScriptedEngine, free_port, wait_until
from test_proxy import ok, scripted

HEARD = b'{"text":"heard"}'


def form(boundary=b"B", **parts):
    """The raw body: exactly what must reach the worker."""
    body = b""
    for name, (head, data) in parts.items():
        body += b"--%s\r\nContent-Disposition: form-data; name=\"%s\"%s\r\n\r\n%s\r\n" % (boundary, name.encode(), head, data)
    return body + b"--%s--\r\n" % boundary


FILE = (b"; filename=\"a.wav\"\r\nContent-Type: audio/wav", b"RIFF\x00\r\n--\xff")
PLAIN = {"file": FILE, "model": (b"", b"mock-model")}


def post(gateway, body, boundary="B"):
    return gateway.client.post("/v1/audio/transcriptions", content=body, headers={"content-type": f"multipart/form-data; boundary={boundary}"})


def test_dp_24_the_form_goes_on_byte_for_byte(start):
    engine, gateway = scripted(start, lambda c, r: c.sendall(ok(HEARD)), "--model-alias", "whisper=mock-model")
    body = form(**PLAIN, unknown=(b"", b"stays"), temperature=(b"", b"0.5"), stream=(b"", b"False"))
    r = post(gateway, body)
    assert r.status_code == 200 and r.content == HEARD
    head, _, sent = engine.requests[0].partition(b"\r\n\r\n")
    assert sent == body and b"content-type: multipart/form-data; boundary=B" in head
    assert post(gateway, body.replace(b"mock-model", b"whisper")).status_code == 200
    assert engine.requests[1].partition(b"\r\n\r\n")[2] == body


@pytest.mark.parametrize("parts, field, words", [
    ({"model": PLAIN["model"]}, "file", "Missing required 'file' part"),
    ({"file": (FILE[0], b""), "model": PLAIN["model"]}, "file", "Uploaded 'file' part is empty"),
    ({"file": FILE}, "model", "Missing required 'model' field"),
    ({**PLAIN, "stream": (b"", b"yes")}, "stream", "Invalid 'stream' value: 'yes' (expected true/false/1/0)"),
    ({**PLAIN, "temperature": (b"", b"1.5")}, "temperature", "Invalid 'temperature' value: 1.5 (must be a finite number in [0.0, 1.0])"),
])
def test_dp_24_wrong_forms_are_refused(start, parts, field, words):
    gateway = start(Gateway)
    r = post(gateway, form(**parts))
    error = r.json()["error"]
    assert (r.status_code, error["message"], error["param"], error["type"]) == (400, words, field, "invalid_request_error")


def test_dp_24_bodies_that_are_no_forms(start):
    gateway = start(Gateway)
    assert gateway.client.post("/v1/audio/transcriptions", json={}).status_code == 415
    r = post(gateway, b"--B\r\nbroken")
    assert r.status_code == 400 and r.json()["error"]["message"].startswith("Failed to read multipart field: ")


def test_dp_24_an_engines_error_is_not_retried(start):
    engine, gateway = scripted(start, lambda c, r: c.sendall(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}"))
    assert post(gateway, form(**PLAIN)).status_code == 500 and len(engine.requests) == 1


def test_the_sdk_transcribes(start):
    gateway = start(Gateway, workers=[start(Engine)]).ready(1)
    client = openai.OpenAI(base_url=gateway.url + "/v1", api_key="none")
    assert client.audio.transcriptions.create(model="mock-model", file=("a.wav", b"RIFF....")).text


def test_a_response_is_cancelled_wherever_it_runs(start):
    def no(c, r):
        c.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 11\r\n\r\n{\"no\":true}")

    def yes(c, r):
        c.sendall(ok(b'{"status":"cancelled"}'))

    gateway = start(Gateway)
    assert gateway.client.post("/v1/responses/resp_1/cancel").json()["error"]["message"] == "No available workers"
    first, second = start(ScriptedEngine, no, model="a"), start(ScriptedEngine, no, model="b")
    for engine in (first, second):
        gateway.client.post("/workers", json={"url": engine.url})
    gateway.ready(2)
    r = gateway.client.post("/v1/responses/resp_1/cancel")
    assert r.status_code == 404 and r.json() == {"no": True}
    assert first.requests[-1].startswith(b"POST /v1/responses/resp_1/cancel ")
    second.reply = yes
    r = gateway.client.post("/v1/responses/resp_1/cancel")
    assert r.status_code == 200 and r.json() == {"status": "cancelled"}


def test_nobody_answers_a_cancel(start):
    gateway = start(Gateway)
    gateway.client.post("/workers", json={"url": f"http://127.0.0.1:{free_port()}"})
    wait_until(lambda: gateway.client.get("/workers").status_code == 200, what="the list")
    r = gateway.client.post("/v1/responses/resp_1/cancel")
    assert r.status_code in (502, 503)  # 503 until the worker is in the table


@pytest.mark.parametrize("path, words", [("/v1/audio/transcriptions", "Audio transcriptions not implemented"), ("/v1/responses/x/cancel", "Cancel response not implemented")])
def test_pairs_do_neither(start, path, words):
    gateway = start(Gateway, "--pd-disaggregation", "--prefill", f"http://127.0.0.1:{free_port()}", "none", "--decode", f"http://127.0.0.1:{free_port()}")
    r = gateway.client.post(path, content=form(**PLAIN), headers={"content-type": "multipart/form-data; boundary=B"})
    assert (r.status_code, r.json()["error"]["message"]) == (501, words)
