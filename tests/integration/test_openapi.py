"""GET /openapi.json is a valid OpenAPI 3.1 document, and the gateway keeps to it: made-up requests are answered with documented statuses and shapes, whatever is in them.

SMG_GENERATED says how many requests (3,000 unless set; `make soak` sends 100,000), SMG_SEED from which seed.
"""
import collections
import json
import os

import jsonschema
import openapi_spec_validator
import pytest

from conftest import SLOWNESS, Gateway, wait_until
from generated import Generator, Sender

REQUESTS = int(os.environ.get("SMG_GENERATED", 3000 // SLOWNESS))
SEED = int(os.environ.get("SMG_SEED", 3))
KEY = "admin-key-of-the-test"


def document(gateway):
    return gateway.client.get("/openapi.json").raise_for_status().json()


def test_the_document_is_valid_openapi(start, engines):
    gateway = start(Gateway, workers=engines)
    openapi_spec_validator.validate(document(gateway))


class Judge:
    """Says of each answer whether the document allows it."""

    def __init__(self, doc):
        self.doc, self.validators = doc, {}

    def validator(self, template, method, status):
        key = (template, method, status)
        if key not in self.validators:
            content = self.doc["paths"][template][method]["responses"][str(status)].get("content", {})
            schema = content.get("application/json", {}).get("schema")
            whole = schema and {**schema, "components": self.doc["components"]}
            self.validators[key] = whole and jsonschema.Draft202012Validator(whole)
        return self.validators[key]

    def judge(self, template, method, status, headers, body):
        assert "x-request-id" in headers
        method = "get" if method == "HEAD" else method.lower()
        if template is None or method not in self.doc["paths"][template]:
            assert status in (200, 400, 401, 403, 404, 405, 408, 413, 414, 417, 431), "an answer for a path or method that is not there"
            return None
        assert str(status) in self.doc["paths"][template][method]["responses"], "a status that the document does not have"
        if not body or "json" not in headers.get("content-type", ""):
            assert status < 300, "an error without a JSON body"
            return None
        answer = json.loads(body)
        validator = self.validator(template, method, status)
        if validator:
            validator.validate(answer)
        return answer


@pytest.mark.timeout(900)
def test_no_request_breaks_the_gateway(start, engines):
    gateway = start(Gateway, "--enable-wasm", "--api-key", KEY, "--worker-startup-timeout-secs", 2, workers=engines)
    doc = document(gateway)
    generator = Generator(doc, SEED, [e.url for e in engines], token=KEY)
    sender = Sender("127.0.0.1", gateway.port, seconds=30 * SLOWNESS)
    judge = Judge(doc)
    seen = collections.Counter()
    for i in range(REQUESTS):
        template, method, target, headers, body = generator.request()
        status, reply, text = sender.send(method, target, headers, body)
        seen[status] += 1
        try:
            if method != "HEAD":
                generator.learn(judge.judge(template, method, status, reply, text))
            # Without a worker to scrape /engine_metrics says 500, as SMG does and the document says.
            assert status not in (500, 502, 504) or (status == 500 and template == "/engine_metrics"), "not a control-plane answer"
        except Exception as e:
            raise AssertionError(f"request {i} of seed {SEED}: {method} {target} {headers} {body!r} -> {status} {reply} {text[:2000]!r}") from e
    sender.close()
    assert seen[202] and seen[400] and seen[404] and seen[422] and seen[401], seen  # it did reach the handlers, not only their guards
    clean_up(gateway)


def clean_up(gateway):
    """Everything that was added goes again, and nothing is counted as in flight."""
    admin = {"authorization": f"Bearer {KEY}"}

    def removed():
        workers = gateway.client.get("/workers", headers=admin).json()["workers"]
        for w in workers:
            gateway.client.delete(f"/workers/{w['id']}", headers=admin)
        return not workers

    wait_until(removed, seconds=30, what="removal of all workers")
    waiting = {k: v for k, v in gateway.metrics().items() if k.startswith("smg_http_inflight_request_age_count") and v}
    assert not waiting, waiting
    assert gateway.running()
