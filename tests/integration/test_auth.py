"""Who gets in: the table of spec control-plane 4.1 over every route of the control plane, control-plane keys, tokens of a real OpenID provider, audit records.

The provider is npm's oidc-provider (node/provider.mjs): it signs, publishes and rotates its own keys; the gateway discovers it.
"""
import base64
import json
import re
import shutil
import subprocess

import httpx
import pytest

import conftest
from conftest import ROOT, SLOWNESS, SMG, Engine, free_port, wait_until

ADMIN_ID = "00000000-0000-7000-8000-000000000000"
NODE = ROOT / "tests/integration/node"
MISSING = "Missing or invalid Authorization header"
KEYS = ("--control-plane-api-keys", "ann:Ann:admin:adm1n-key", "bob:Bob:user:us3r-key", "colon:b:admin:k:1")


class Gateway(conftest.Gateway):
    """One that ends at once: nothing here is in flight when it is told to."""

    def __init__(self, *flags, **kwargs):
        super().__init__(*flags, **{"grace": 0, **kwargs})


def bearer(token):
    return {"authorization": f"Bearer {token}"} if token is not None else {}


@pytest.fixture(scope="module")
def admin_routes():
    """Every method and path of the control plane, as /openapi.json of a gateway lists them: what a keyless caller is told 401 about."""
    gateway = Gateway("--control-plane-api-keys", "a::admin:a")
    try:
        found = []
        for path, item in gateway.client.get("/openapi.json").json()["paths"].items():
            for method in set(item) & {"get", "post", "put", "patch", "delete"}:
                url = re.sub(r"\{[^}]*\}", ADMIN_ID, path)
                if gateway.client.request(method, url).status_code == 401:
                    found.append((method.upper(), url))
    finally:
        assert gateway.stop() == 0
    assert ("GET", "/workers") in found and ("POST", "/workers") in found and ("DELETE", f"/workers/{ADMIN_ID}") in found
    return found


def data_status(gateway, token):
    return gateway.client.post("/generate", json={"text": "x", "sampling_params": {"max_new_tokens": 1}}, headers=bearer(token)).status_code


# ---- the table ----

TABLE = {
    "nothing": ((), {None: (True, True), "k": (True, True)}),
    "api key": (("--api-key", "k"), {None: (False, False), "k": (True, True), "x": (False, False)}),
    "tenant keys": (("--tenant-api-key", "t:tk"), {None: (False, False), "tk": (True, False), "x": (False, False)}),
    "api key and tenant keys": (("--api-key", "k", "--tenant-api-key", "t:tk", "--tenant-api-key", "t:tk2"),
                                {None: (False, False), "k": (True, True), "tk": (True, False), "tk2": (True, False), "x": (False, False)}),
    "control keys": (KEYS, {None: (True, False), "adm1n-key": (True, True), "us3r-key": (True, False), "x": (True, False)}),
    "control keys and api key": (("--api-key", "k", *KEYS), {None: (False, False), "k": (True, False), "adm1n-key": (False, True), "us3r-key": (False, False)}),
    "control keys and tenant keys": (("--tenant-api-key", "t:tk", *KEYS), {None: (False, False), "tk": (True, False), "adm1n-key": (False, True)}),
}


@pytest.mark.parametrize("row", TABLE)
def test_cp_48_every_cell_of_the_table(start, admin_routes, row):
    flags, cells = TABLE[row]
    gateway = start(Gateway, *flags, workers=[start(Engine)]).ready()
    for token, (data, admin) in cells.items():
        assert (data_status(gateway, token) == 200) == data, (row, token)
        for method, path in admin_routes:
            status = gateway.client.request(method, path, headers=bearer(token)).status_code
            assert (status not in (401, 403)) == admin, (row, token, method, path, status)
        for public in ("/health", "/liveness", "/readiness", "/v1/models"):
            assert gateway.client.get(public, headers=bearer(token)).status_code == 200


def test_cp_48_a_tenant_only_deployment_closes_the_control_plane(start):
    gateway = start(Gateway, "--tenant-api-key", "t:tk")
    for headers in ({}, bearer("tk"), bearer("x"), {"x-api-key": "tk"}):
        r = gateway.client.get("/workers", headers=headers)
        assert r.status_code == 401 and "control plane is closed" in r.json()["error"]["message"]


def test_cp_49_the_scheme_is_case_sensitive_and_other_headers_do_not_count(start):
    gateway = start(Gateway, "--api-key", "k")
    for headers in ({"authorization": "bearer k"}, {"x-api-key": "k"}, {"authorization": "k"}, {"authorization": "Basic azo="}):
        assert gateway.client.post("/generate", json={"text": "x"}, headers=headers).status_code == 401
        assert gateway.client.get("/workers", headers=headers).status_code == 401


def test_cp_50_both_planes_answer_401_in_json_with_a_challenge(start):  # decision 2 in place of SMG's empty body
    gateway = start(Gateway, "--api-key", "k", *KEYS)
    r = gateway.client.post("/generate", json={"text": "x"})
    assert r.status_code == 401 and r.headers["www-authenticate"] == 'Bearer realm="smg"' and r.json()["error"]["code"] == "unauthorized"
    r = gateway.client.get("/workers")
    assert r.status_code == 401 and r.headers["www-authenticate"] == 'Bearer realm="control-plane"'
    assert r.json() == {"error": {"message": MISSING, "type": "Unauthorized", "param": None, "code": "unauthorized"}}
    assert gateway.client.get("/workers", headers=bearer("x")).json()["error"]["message"] == "Invalid authentication token"
    assert gateway.client.post("/v1/messages", json={}).json()["error"]["type"] == "authentication_error"


def test_cp_51_a_user_is_403(start):
    gateway = start(Gateway, *KEYS)
    r = gateway.client.get("/workers", headers=bearer("us3r-key"))
    assert r.status_code == 403 and "www-authenticate" not in r.headers
    assert r.json()["error"]["message"] == "Admin role required for control plane access"


def test_cp_52_a_key_may_contain_colons(start):
    gateway = start(Gateway, *KEYS)
    assert gateway.client.get("/workers", headers=bearer("k:1")).status_code == 200
    assert gateway.client.get("/workers", headers=bearer("1")).status_code == 401


def test_cp_3_the_credential_is_asked_for_before_the_method(start):
    gateway = start(Gateway, *KEYS)
    assert gateway.client.put("/workers").status_code == 401
    r = gateway.client.put("/workers", headers=bearer("adm1n-key"))
    assert r.status_code == 405 and r.headers["allow"] == "POST,GET,HEAD"
    assert gateway.client.get("/nope").status_code == 404
    assert gateway.client.options("/workers", headers={"origin": "https://a.example"}).status_code == 200


def test_keys_come_from_a_file_or_the_environment(start, tmp_path):
    file = tmp_path / "keys"
    file.write_text("# operators\nf1:File:admin:from-f1le\n")
    gateway = start(Gateway, "--control-plane-api-keys-file", file, env={"CONTROL_PLANE_API_KEYS": "e1::admin:from-env, e2::user:user-env"})
    statuses = [gateway.client.get("/workers", headers=bearer(k)).status_code for k in ("from-f1le", "from-env", "user-env", "other")]
    assert statuses == [200, 200, 403, 401]


@pytest.mark.parametrize("flags, says", [
    (("--control-plane-api-keys", "a:b:s3cret"), "Expected 'id:name:role:key'"),
    (("--control-plane-api-keys", "a:b:root:s3cret"), "Valid roles: admin, user"),
    (("--control-plane-api-keys", "a:b:admin:s3cret", "a:c:user:s3cret2"), "the id 'a' is given twice"),
    (("--control-plane-api-keys", "a:b:admin:s3cret", "c:c:user:s3cret"), "have the same key"),
    (("--tenant-api-key", "s3cret"), "<redacted>"),
    (("--tenant-api-key", "a:s3cret", "--tenant-api-key", "b:s3cret"), "duplicate API key value"),
    (("--jwt-issuer", "https://idp.example"), "must be specified together"),
    (("--jwt-issuer", "https://10.0.0.1", "--jwt-audience", "a"), "SSRF protection"),
    (("--jwt-issuer", "http://idp.example", "--jwt-audience", "a"), "Only HTTPS URLs are allowed"),
    (("--control-plane-api-keys-file", "/nowhere/keys"), "/nowhere/keys"),
])
def test_auth_that_cannot_be_set_up_ends_the_start_without_showing_a_secret(flags, says):
    done = subprocess.run([SMG, "launch", "--port", str(free_port()), "--prometheus-port", str(free_port()), *flags], capture_output=True, text=True,
                          timeout=30 * SLOWNESS)
    assert done.returncode in (1, 2) and says in done.stderr, done.stderr
    assert "s3cret" not in done.stderr + done.stdout


# ---- tokens ----

class Provider:
    """The OpenID provider's process."""

    def __init__(self, port=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.args = ["provider.mjs"]
        self.popen = subprocess.Popen([shutil.which("node"), "provider.mjs", str(self.port)], cwd=NODE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_until(lambda: not self.running() or self.up(), seconds=30, what="the OpenID provider")
        assert self.running(), self.output()

    def up(self):
        try:
            return httpx.get(self.url + "/test/counts", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def running(self):
        return self.popen.poll() is None

    def stop(self):
        self.popen.kill()
        self.popen.wait()
        return 0

    def output(self):
        return self.popen.stdout.read().decode() if not self.running() else ""

    def token(self, client="ops"):
        r = httpx.post(self.url + "/token", data={"grant_type": "client_credentials", "client_id": client, "client_secret": f"{client}-secret",
                                                  "resource": "urn:smg", "scope": "api"}, timeout=30 * SLOWNESS)
        assert r.status_code == 200, r.text
        return r.json()["access_token"]

    def rotate(self, alg="RS256", keep=False):
        return httpx.post(self.url + f"/test/rotate?alg={alg}" + ("&keep=1" if keep else ""), timeout=30 * SLOWNESS).text

    def outage(self, on):
        httpx.post(self.url + "/test/outage" + ("?on=1" if on else ""))

    def counts(self):
        return httpx.get(self.url + "/test/counts").json()


@pytest.fixture(scope="module")
def provider_process():
    process = Provider()
    yield process
    process.stop()


@pytest.fixture
def provider(provider_process):
    """The provider, up, with one fresh RS256 key."""
    provider_process.outage(False)
    provider_process.rotate()
    return provider_process


def jwt_flags(provider, *more):
    return ("--jwt-issuer", provider.url, "--jwt-audience", "smg", "--jwt-role-claim", "realm_access.roles", "--jwt-role-mapping", "Gateway.Admin=admin",
            "viewer=user", *more)


def ask(gateway, token):
    r = gateway.client.get("/workers", headers=bearer(token))
    return r.status_code, r.json()["error"]["message"] if r.status_code != 200 else None


def forged(token, header=None, claims=None, signature=None):
    """The token with other parts (its signature no longer fits, unless nothing changed)."""
    parts = token.split(".")
    for i, part in ((0, header), (1, claims)):
        if part is not None:
            old = json.loads(base64.urlsafe_b64decode(parts[i] + "=="))
            parts[i] = base64.urlsafe_b64encode(json.dumps({k: v for k, v in {**old, **part}.items() if v is not None}).encode()).decode().rstrip("=")
    return ".".join(parts[:2] + [parts[2] if signature is None else signature])


def test_cp_53_tokens_of_a_real_provider(start, provider):
    gateway = start(Gateway, *jwt_flags(provider))
    token = provider.token()
    assert ask(gateway, token) == (200, None)
    assert ask(gateway, provider.token("dev")) == (403, "Admin role required for control plane access")
    assert ask(gateway, None) == (401, MISSING)
    assert ask(gateway, forged(token, header={"alg": "HS256"})) == (401, "Invalid JWT: Algorithm mismatch: token uses HS256 but key requires RS256")
    assert ask(gateway, forged(token, header={"alg": "none"}, signature=""))[1].startswith("Invalid JWT: Algorithm mismatch: token uses none")
    assert ask(gateway, forged(token, header={"kid": None})) == (401, "Invalid JWT: Token header missing 'kid' claim")
    assert ask(gateway, forged(token, claims={"aud": "other"})) == (401, "Invalid JWT: Failed to decode token: InvalidSignature")
    assert ask(gateway, token[:-4] + "AAAA")[1] == "Invalid JWT: Failed to decode token: InvalidSignature"
    fetched = provider.counts()["jwks"]
    assert ask(gateway, forged(token, header={"kid": "k2"})) == (401, "Invalid JWT: Failed to get signing key: Key not found for kid: k2")
    assert provider.counts()["jwks"] == fetched + 1  # exactly one


def test_cp_53_expired_and_foreign_tokens(start, provider):
    for flags in (("--jwt-audience", "other"), ("--jwt-audience", "smg", "--jwt-jwks-uri", provider.url + "/jwks", "--jwt-issuer", provider.url + "/")):
        gateway = start(Gateway, *(("--jwt-issuer", provider.url, *flags) if "--jwt-issuer" not in flags else flags))
        status, message = ask(gateway, provider.token())
        assert status == 401 and ("InvalidAudience" in message or "InvalidIssuer" in message)


@pytest.mark.parametrize("alg", ["RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_keys_rotate_while_the_gateway_runs(start, provider, alg):
    gateway = start(Gateway, *jwt_flags(provider))
    old = provider.token()
    assert ask(gateway, old)[0] == 200
    provider.rotate(alg)
    fetched = provider.counts()["jwks"]
    assert ask(gateway, provider.token()) == (200, None)  # the new kid made it look again
    assert provider.counts()["jwks"] == fetched + 1
    assert ask(gateway, old)[0] == 401  # that key was withdrawn


def test_an_outage_of_the_provider_locks_nobody_out_who_has_a_token(start, provider):
    gateway = start(Gateway, *jwt_flags(provider))
    token = provider.token()
    assert ask(gateway, token)[0] == 200
    provider.outage(True)
    assert ask(gateway, token)[0] == 200
    r = gateway.client.get("/workers", headers=bearer(forged(token, header={"kid": "unknown"})))
    assert r.status_code == 503 and int(r.headers["retry-after"]) > 0  # it may be a good one: nobody knows
    provider.outage(False)
    kid = provider.rotate(keep=True)
    fresh = provider.token()
    assert kid and wait_until(lambda: ask(gateway, fresh)[0] == 200, seconds=30, what="the new key")
    assert ask(gateway, token)[0] == 200


def test_a_provider_that_is_down_at_the_start(start):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    done = subprocess.run([SMG, "launch", "--port", str(free_port()), "--prometheus-port", str(free_port()), "--jwt-issuer", url, "--jwt-audience", "smg"],
                          capture_output=True, text=True, timeout=60 * SLOWNESS)
    assert done.returncode == 1 and "identity provider cannot be asked for its keys" in done.stderr and "--jwt-jwks-uri" in done.stderr
    stand_in = start(Gateway, "--jwt-issuer", url, "--jwt-audience", "smg", "--jwt-jwks-uri", url + "/jwks", "--jwt-role-claim", "realm_access.roles",
                     "--jwt-role-mapping", "Gateway.Admin=admin")
    status, message = ask(stand_in, "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AAAA")
    assert status == 503 and message == "The identity provider's keys cannot be fetched; try again later"
    provider = start(Provider, port)
    token = provider.token()
    wait_until(lambda: ask(stand_in, token)[0] == 200, seconds=30, what="recovery")


def test_cp_54_keys_and_tokens_side_by_side(start, provider):
    gateway = start(Gateway, *jwt_flags(provider), "--control-plane-api-keys", "a::admin:sk-x", "b::admin:a.b.c")
    assert ask(gateway, "sk-x") == (200, None)
    status, message = ask(gateway, "a.b.c")
    assert status == 401 and message.startswith("Invalid JWT: ")
    assert ask(gateway, provider.token()) == (200, None)


def test_cp_55_malformed_tokens(start, provider):
    gateway = start(Gateway, *jwt_flags(provider))
    for token in ("not-a-jwt", "", "only.two.parts.is.not.enough", "eyJhbGciOiJub25lIn0", ".....", "..", "a.b.c", "x" * 20000):
        r = gateway.client.get("/workers", headers={"authorization": f"Bearer {token}".strip()})
        assert r.status_code in (401, 431), token


def test_cp_56_role_mapping(start, provider):
    gateway = start(Gateway, "--jwt-issuer", provider.url, "--jwt-audience", "smg", "--jwt-role-claim", "realm_access.roles", "--jwt-role-mapping",
                    "Gateway.Admin=admin")
    assert ask(gateway, provider.token())[0] == 200
    other = start(Gateway, "--jwt-issuer", provider.url, "--jwt-audience", "smg", "--jwt-role-claim", "realm_access.roles", "--jwt-role-mapping", "viewer=user")
    assert ask(other, provider.token())[0] == 403


def test_a_client_that_leaves_while_keys_are_fetched_is_forgotten(start):
    """The provider accepts and never answers: what waits for it must not outlive its client, nor hold up the end of the gateway."""
    import socket
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        gateway = start(Gateway, "--jwt-issuer", url, "--jwt-audience", "smg", "--jwt-jwks-uri", url + "/jwks")
        for _ in range(5):
            with pytest.raises(httpx.TimeoutException):
                httpx.get(gateway.url + "/workers", headers=bearer("eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AAAA"), timeout=0.2)
        wait_until(lambda: gateway.metrics().get("smg_http_connections_active") == 0, what="no request in flight")
        assert gateway.client.get("/health").status_code == 200
        assert gateway.stop() == 0


# ---- the worker's side ----

def test_gateway_credentials_never_reach_a_worker(start, provider):
    engine = start(Engine)
    gateway = start(Gateway, *jwt_flags(provider), "--control-plane-api-keys", "a::admin:sk-x", workers=[engine]).ready()
    token = provider.token()
    for credential in ("sk-x", token, "someone-elses"):
        gateway.chat(headers=bearer(credential))
        gateway.client.get("/get_model_info", headers=bearer(credential))
    seen = json.dumps(engine.requests())
    assert "sk-x" not in seen and token not in seen


# ---- audit ----

def audit_records(gateway):
    return [json.loads(line) for line in gateway.output().splitlines() if '"control_plane_audit"' in line]


def test_audit_records_are_complete_whatever_the_log_level(start):
    gateway = start(Gateway, *KEYS, "--log-level", "error", "--log-json")
    gateway.client.get("/workers", headers={**bearer("adm1n-key"), "x-request-id": "r-1"})
    gateway.client.delete(f"/workers/{ADMIN_ID}?x=y", headers={**bearer("adm1n-key"), "x-request-id": "r-2"})
    gateway.client.get("/workers", headers={**bearer("us3r-key"), "x-request-id": "r-3"})
    gateway.client.get("/workers", headers={**bearer("wr0ng"), "x-request-id": "r-4"})
    gateway.client.get("/workers", headers={"x-request-id": "r-5"})
    gateway.client.get("/health")
    records = wait_until(lambda: len(r := audit_records(gateway)) >= 5 and r, what="five audit records")
    assert len(records) == 5
    picked = [tuple(r.get(k) for k in ("principal", "auth_method", "role", "method", "path", "resource", "outcome", "status", "request_id", "details"))
              for r in records]
    assert picked == [
        ("ann", "api_key", "admin", "GET", "/workers", None, "success", 200, "r-1", None),
        ("ann", "api_key", "admin", "DELETE", f"/workers/{ADMIN_ID}", ADMIN_ID, "success", 404, "r-2", None),
        ("bob", "api_key", "user", "GET", "/workers", None, "denied", 403, "r-3", "Admin role required for control plane access"),
        ("unauthenticated", "none", "user", "GET", "/workers", None, "denied", 401, "r-4", "Invalid token"),
        ("unauthenticated", "none", "user", "GET", "/workers", None, "denied", 401, "r-5", MISSING),
    ]
    assert all(r["target"] == "smg::audit" and r["level"] == "INFO" for r in records)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|\+00:00)", r["timestamp"]) for r in records)


def test_the_audit_of_an_added_worker_names_it(start):
    gateway = start(Gateway, *KEYS, "--log-json")
    r = gateway.client.post("/workers", json={"url": f"http://127.0.0.1:{free_port()}"}, headers=bearer("adm1n-key"))
    record = wait_until(lambda: audit_records(gateway), what="a record")[0]
    assert r.status_code == record["status"] == 202 and record["resource"] == r.json()["worker_id"]


def test_audit_as_text_and_with_the_serving_key(start):
    gateway = start(Gateway, "--api-key", "k")
    gateway.client.get("/workers", headers=bearer("k"))
    text = wait_until(lambda: "control_plane_audit" in (out := gateway.output()) and out, what="an audit record")
    assert re.search(r' INFO smg::audit: control_plane_audit timestamp="[^"]+" principal="auth:[0-9a-f]{64}" auth_method="api_key" role="admin" method="GET" '
                     r'path="/workers" outcome="success" request_id="req-\w+" status=200', text)


def test_audit_can_be_switched_off(start):
    gateway = start(Gateway, *KEYS, "--disable-audit-logging")
    gateway.client.get("/workers", headers=bearer("adm1n-key"))
    gateway.client.get("/workers")
    assert gateway.stop() == 0
    assert "control_plane_audit" not in gateway.output()


def test_a_path_cannot_forge_a_record(start):
    gateway = start(Gateway, *KEYS, "--log-json")
    gateway.client.get("/workers/%0acontrol_plane_audit%20principal=root", headers={**bearer("adm1n-key"), "x-request-id": 'a"b\\c'})
    assert len(wait_until(lambda: audit_records(gateway), what="a record")) == 1


def test_cp_81_no_secret_in_answers_or_logs(start, provider):
    gateway = start(Gateway, *jwt_flags(provider), "--api-key", "s3rving-key", "--tenant-api-key", "t:t3nant-key", *KEYS, "--log-level", "debug",
                    workers=[start(Engine)])
    token = provider.token()
    stray = forged(token, claims={"aud": "x"})
    answers = []
    for credential in ("s3rving-key", "t3nant-key", "adm1n-key", "us3r-key", token, stray, "str4y-key"):
        for method, path in (("GET", "/workers"), ("POST", "/workers"), ("PUT", "/workers"), ("GET", "/nope"), ("POST", "/generate"), ("DELETE", "/workers/x")):
            r = gateway.client.request(method, path, headers=bearer(credential), json={"url": "nonsense"} if method == "POST" else None)
            answers.append(r.text + str(r.headers))
    assert gateway.stop() == 0
    everything = "".join(answers) + gateway.output()
    for secret in ("s3rving-key", "t3nant-key", "adm1n-key", "us3r-key", "str4y-key", token, token.split(".")[2], stray.split(".")[1]):
        assert secret not in everything
