"""TLS as an operator meets it: the gateway's own certificate, workers behind https://, client certificates both ways, files that change while it runs."""
import os
import shutil
import socket
import ssl
import subprocess
import threading

import httpx
import openai
import pytest
from certs import Authority, openssl
from conftest import SLOWNESS, Engine, Gateway, Process, free_port, raw, wait_until


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def pair(ca):
    return ca.issue("server")


def trusting(ca, **more):
    context = ssl.create_default_context(cafile=str(ca.crt))
    if "cert" in more:
        context.load_cert_chain(*map(str, more["cert"]))
    return context


class TlsEngine(Engine):
    """A mock engine behind TLS."""

    def __init__(self, pair, *flags, host="localhost"):
        self.port = free_port()
        self.url = f"https://{host}:{self.port}"
        Process.__init__(self, ["mock-engine", "--host", "127.0.0.1", "--port", self.port, "--tls-cert-path", pair[0], "--tls-key-path", pair[1], *flags])
        wait_until(lambda: not self.running() or b"mock engine:" in self.output().encode(), what="mock engine")
        assert self.running(), self.output()


class TlsGateway(Gateway):
    """A gateway whose port speaks TLS."""

    def __init__(self, ca, pair, *flags, workers=(), cert=None):
        context = trusting(ca, **({"cert": cert} if cert else {}))
        self.port, self.metrics_port = free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        args = ["launch", "--host", "127.0.0.1", "--port", self.port, "--prometheus-host", "127.0.0.1", "--prometheus-port", self.metrics_port,
                "--shutdown-grace-period-secs", 2, "--tls-cert-path", pair[0], "--tls-key-path", pair[1]]
        if workers:
            args += ["--worker-urls", *[w.url for w in workers]]
        Process.__init__(self, [*args, *flags])
        self.context = context
        self.client = httpx.Client(base_url=self.url, timeout=30 * SLOWNESS, verify=context)

        def up():
            try:
                return not self.running() or self.client.get("/health").status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(up, what="gateway")
        assert self.running(), self.output()


def s_client(port, *flags, text=b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"):
    """What openssl s_client says, with its exit status."""
    p = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", "-servername", "localhost", *map(str, flags)], input=text,
                       capture_output=True, timeout=20 * SLOWNESS)
    return p.returncode, p.stdout.decode(errors="replace") + p.stderr.decode(errors="replace")


def start_fails(*flags):
    p = Process(["launch", "--host", "127.0.0.1", "--port", free_port(), "--prometheus-host", "127.0.0.1", "--prometheus-port", free_port(), *flags])
    assert p.wait() == 1, p.output()
    return p.output()


def failure_of(gateway, worker):
    """Adds WORKER; why its registration failed, as its job_status and the log say."""
    path = gateway.client.post("/workers", json={"url": worker.url}).headers["location"]

    def told():
        return (gateway.client.get(path).json().get("job_status") or {}).get("message") or ""

    wait_until(lambda: "TLS: " in told(), seconds=20, what="a reason")
    assert "TLS: " + told().partition("TLS: ")[2] in gateway.output()
    return told()


# ---- the gateway's own port ----


def test_tls_1_2_and_1_3_are_spoken_and_nothing_older(start, ca, pair):
    g = start(TlsGateway, ca, pair)
    for version, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
        status, text = s_client(g.port, version, "-CAfile", ca.crt, "-verify_return_error")
        assert status == 0 and "HTTP/1.1 200" in text and name in text, text
    status, text = s_client(g.port, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert status != 0 and "HTTP/1.1" not in text
    status, text = s_client(g.port, "-tls1_2", "-cipher", "AES128-SHA")
    assert status != 0, "a suite without forward secrecy was accepted"


def test_the_least_version_can_be_raised(start, ca, pair):
    g = start(TlsGateway, ca, pair, "--tls-min-version", "1.3")
    assert s_client(g.port, "-tls1_3")[0] == 0
    assert s_client(g.port, "-tls1_2")[0] != 0


def test_http_1_1_is_agreed_on_and_a_client_without_it_is_refused(start, ca, pair):
    g = start(TlsGateway, ca, pair)
    assert "ALPN protocol: http/1.1" in s_client(g.port, "-alpn", "h2,http/1.1")[1]
    status, text = s_client(g.port, "-alpn", "smtp")
    assert status != 0 and "no application protocol" in text


def test_sessions_are_resumed(start, ca, pair, tmp_path):
    g = start(TlsGateway, ca, pair)
    for version in ("-tls1_2", "-tls1_3"):
        saved = tmp_path / f"session{version}"
        assert "New, TLS" in s_client(g.port, version, "-sess_out", saved)[1]
        assert "Reused, TLS" in s_client(g.port, version, "-sess_in", saved)[1]


def test_renegotiation_is_refused(start, ca, pair):
    g = start(TlsGateway, ca, pair)
    p = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{g.port}", "-tls1_2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    out, _ = p.communicate(b"R\n", timeout=20 * SLOWNESS)
    assert b"RENEGOTIATING" in out and b"no renegotiation" in out, out


def test_plain_http_to_the_tls_port_is_told_so_and_counted(start, ca, pair):
    g = start(TlsGateway, ca, pair)
    answer = raw(g.port, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ") and b"plain_http_on_tls_port" in answer
    assert g.metrics()['smg_tls_handshakes_total{side="server",result="plain_http"}'] == 1
    assert httpx.get(g.url + "/health", verify=g.context).status_code == 200


def test_garbage_and_silence_do_no_harm(start, ca, pair):
    g = start(TlsGateway, ca, pair)
    for data in (b"\0" * 200, b"\x16\x03\x01\x40\x00" + b"\xff" * 9000, b"SSH-2.0-x\r\n", os.urandom(3000)):
        raw(g.port, data, half_close=True)
    with socket.create_connection(("127.0.0.1", g.port)):
        assert g.client.get("/health").status_code == 200
    assert g.client.get("/health").status_code == 200


def test_openai_sdk_and_streams_over_https(start, ca, pair):
    g = start(TlsGateway, ca, pair, workers=[start(Engine, "--output-tokens", 500)]).ready(1)
    client = openai.OpenAI(base_url=g.url + "/v1", api_key="none", http_client=httpx.Client(verify=g.context, timeout=30 * SLOWNESS))
    said = client.chat.completions.create(model="mock-model", messages=[{"role": "user", "content": "hello"}])
    assert said.choices[0].message.content
    parts = [c.choices[0].delta.content for c in client.chat.completions.create(
        model="mock-model", messages=[{"role": "user", "content": "hello"}], stream=True) if c.choices]
    assert len(parts) >= 500


def test_big_bodies_go_both_ways(start, ca, pair):
    """16 MiB up, and down again: through back-pressure on either side of the gateway."""
    workers = [start(TlsEngine, pair, "--echo")]
    g = start(TlsGateway, ca, pair, "--ca-cert-paths", ca.crt, workers=workers).ready(1)
    text = "word " * (4 << 20 >> 2)
    r = g.chat(text, max_tokens=100)
    assert r.status_code == 200, r.text[:500]
    # What a slow reader gets is whole.
    with g.client.stream("POST", "/v1/chat/completions", json={"model": "mock-model", "stream": True, "max_tokens": 60000,
                                                                "messages": [{"role": "user", "content": "word " * 60000}]}) as r:
        got = b"".join(r.iter_bytes(1000))
    assert got.rstrip().endswith(b"data: [DONE]") and len(got) > 4 << 20


def test_the_probe_and_metrics_ports_stay_plain(start, ca, pair):
    port = free_port()
    g = start(TlsGateway, ca, pair, "--health-check-port", port)
    assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    assert httpx.get(f"http://127.0.0.1:{g.metrics_port}/metrics").status_code == 200


# ---- files ----


def test_missing_and_wrong_files_stop_the_start(ca, pair, tmp_path):
    crt, key = pair
    other = ca.issue("other")
    junk = tmp_path / "junk.pem"
    junk.write_text("not a certificate\n")
    locked = tmp_path / "locked.key"
    openssl("pkcs8", "-topk8", "-in", key, "-out", locked, "-passout", "pass:secret")
    for flags, words in (
        (["--tls-cert-path", crt], "Both --tls-cert-path and --tls-key-path must be specified together"),
        (["--client-cert-path", crt], "Both --client-cert-path and --client-key-path must be specified together"),
        (["--tls-client-ca-path", ca.crt], "--tls-client-ca-path needs --tls-cert-path"),
        (["--tls-cert-path", "/none.crt", "--tls-key-path", key], "Failed to read server certificate from /none.crt: No such file"),
        (["--tls-cert-path", crt, "--tls-key-path", "/none.key"], "Failed to read server key from /none.key: No such file"),
        (["--tls-cert-path", junk, "--tls-key-path", key], "Failed to create TLS config: server certificate"),
        (["--tls-cert-path", crt, "--tls-key-path", junk], "Failed to create TLS config: server key"),
        (["--tls-cert-path", crt, "--tls-key-path", other[1]], "is not that of the certificate"),
        (["--tls-cert-path", crt, "--tls-key-path", locked], "is encrypted with a passphrase"),
        (["--client-cert-path", "/none.crt", "--client-key-path", key], "Failed to read client certificate from /none.crt"),
        (["--ca-cert-paths", "/none.crt"], "Failed to read CA certificate from /none.crt"),
        (["--ca-cert-paths", junk], "Failed to create TLS config: CA certificate"),
    ):
        text = start_fails(*flags)
        assert words in text, (words, text)
        assert "secret" not in text


def test_keys_of_every_form_are_read(start, ca, tmp_path):
    """PKCS#8, PKCS#1 and SEC1."""
    crt, key = ca.issue("rsa", rsa=True)
    pkcs1, sec1 = tmp_path / "pkcs1.key", tmp_path / "sec1.key"
    openssl("rsa", "-in", key, "-traditional", "-out", pkcs1)
    ec_crt, ec_key = ca.issue("ec")
    openssl("ec", "-in", ec_key, "-out", sec1)
    assert "RSA PRIVATE" in pkcs1.read_text() and "EC PRIVATE" in sec1.read_text()
    for pair in ((crt, key), (crt, pkcs1), (ec_crt, sec1)):
        g = start(TlsGateway, ca, pair)
        assert g.client.get("/health").status_code == 200


def test_an_expired_certificate_of_our_own_is_warned_of(ca):
    crt, key = ca.issue("late", ends="20200201000000Z")
    p = Process(["launch", "--host", "127.0.0.1", "--port", free_port(), "--prometheus-host", "127.0.0.1", "--prometheus-port", free_port(),
                 "--tls-cert-path", crt, "--tls-key-path", key])
    wait_until(lambda: "the certificate has expired" in p.output(), what="a warning")
    assert p.stop() == 0


def shown_by(port, ca):
    """The subject of the certificate that a new connection gets."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s, trusting(ca).wrap_socket(s, server_hostname="localhost") as t:
        return dict(x[0] for x in t.getpeercert()["subject"])["commonName"]


def test_changed_certificates_are_used_without_a_restart_and_without_a_failed_request(start, ca, engines, tmp_path):
    crt, key = tmp_path / "live.crt", tmp_path / "live.key"

    def put(name):
        for source, to in zip(ca.issue(name), (crt, key)):
            shutil.copy(source, str(to) + ".new")
            os.replace(str(to) + ".new", to)

    put("first")
    g = start(TlsGateway, ca, (crt, key), workers=engines).ready(2)
    assert shown_by(g.port, ca) == "first"
    failures, stop = [], threading.Event()

    def traffic(fresh):
        kept = httpx.Client(verify=g.context, timeout=30 * SLOWNESS)
        body = {"model": "mock-model", "messages": [{"role": "user", "content": "hi"}]}
        while not stop.is_set():
            try:
                r = (httpx if fresh else kept).post(g.url + "/v1/chat/completions", json=body, **({"verify": g.context} if fresh else {}))
                if r.status_code != 200:
                    failures.append(r.text)
            except httpx.HTTPError as e:
                failures.append(repr(e))

    threads = [threading.Thread(target=traffic, args=(fresh,)) for fresh in (True, False)]
    for t in threads:
        t.start()
    try:
        put("second")
        wait_until(lambda: shown_by(g.port, ca) == "second", what="the second certificate")
        crt.write_text("-----BEGIN CERTIFICATE-----\nbroken\n")
        wait_until(lambda: g.metrics().get('smg_tls_reloads_total{side="server",result="failed"}'), what="a failed reload")
        assert shown_by(g.port, ca) == "second"
        put("third")
        wait_until(lambda: shown_by(g.port, ca) == "third", what="the third certificate")
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not failures, failures[:3]
    assert g.output().count("changed TLS files do not load") == 1


# ---- client certificates ----


def test_clients_must_show_a_certificate_of_the_authority_that_was_given(start, ca, pair, tmp_path):
    mine = ca.issue("client")
    stranger = Authority(tmp_path, "stranger").issue("client")
    g = start(TlsGateway, ca, pair, "--tls-client-ca-path", ca.crt, cert=mine)
    assert g.client.get("/health").status_code == 200
    for version in ("-tls1_2", "-tls1_3"):
        status, text = s_client(g.port, version, "-cert", mine[0], "-key", mine[1])
        assert "HTTP/1.1 200" in text, text
        assert "HTTP/1.1" not in s_client(g.port, version)[1]
        assert "HTTP/1.1" not in s_client(g.port, version, "-cert", stranger[0], "-key", stranger[1])[1]
    metrics = g.metrics()
    assert metrics['smg_tls_handshakes_total{side="server",result="no_certificate"}'] == 2
    assert metrics['smg_tls_handshakes_total{side="server",result="unknown_authority"}'] == 2


def test_workers_that_want_a_client_certificate_get_it(start, ca, pair):
    worker = start(TlsEngine, pair, "--tls-client-ca-path", ca.crt)
    mine = ca.issue("gateway")
    g = start(Gateway, "--ca-cert-paths", ca.crt, "--client-cert-path", mine[0], "--client-key-path", mine[1], workers=[worker]).ready(1)
    assert g.chat().status_code == 200


def test_a_worker_that_refuses_us_says_why(start, ca, pair):
    worker = start(TlsEngine, pair, "--tls-client-ca-path", ca.crt)
    g = start(Gateway, "--ca-cert-paths", ca.crt, "--worker-startup-timeout-secs", 1)
    assert "wants a client certificate" in failure_of(g, worker)


# ---- workers behind https:// ----


def test_requests_streams_and_probes_go_over_https(start, ca, pair):
    workers = [start(TlsEngine, pair), start(TlsEngine, pair, host="127.0.0.1")]
    g = start(Gateway, "--ca-cert-paths", ca.crt, workers=workers).ready(2)
    for _ in range(6):
        assert g.chat().status_code == 200
    with g.client.stream("POST", "/v1/chat/completions", json={"model": "mock-model", "stream": True, "messages": [{"role": "user", "content": "x"}]}) as r:
        assert "[DONE]" in "".join(r.iter_text())
    assert sum('side="client",result="ok"' in s for s in g.metrics()) >= 1


def test_workers_without_a_port_are_asked_at_443(start):
    """Nobody listens there: the refusal shows that port 443 was tried, not none."""
    g = start(Gateway, "--worker-startup-timeout-secs", 1, workers=[])
    assert g.client.post("/workers", json={"url": "https://127.0.0.1"}).status_code == 202
    wait_until(lambda: "connection refused" in g.output(), seconds=20, what="a refusal")


@pytest.mark.parametrize("kind, words", [("expired", "the certificate has expired"), ("early", "the certificate is not valid yet"),
                                         ("name", "the certificate is for another host name"), ("self", "the certificate is self-signed"),
                                         ("stranger", "the certificate is from an unknown authority")])
def test_workers_with_bad_certificates_are_refused_with_the_reason(start, ca, tmp_path, kind, words):
    pair = {"expired": lambda: ca.issue("expired", ends="20200201000000Z"), "early": lambda: ca.issue("early", begins="20980101000000Z"),
            "name": lambda: ca.issue("name", hosts="DNS:elsewhere.example,IP:127.0.0.2"), "self": lambda: ca.self_signed(),
            "stranger": lambda: Authority(tmp_path, "stranger").issue("server")}[kind]()
    worker = start(TlsEngine, pair)
    g = start(Gateway, "--ca-cert-paths", ca.crt, "--worker-startup-timeout-secs", 1)
    assert words in failure_of(g, worker)
    r = g.chat()
    assert r.status_code in (404, 502, 503) and str(worker.port) not in r.text and "https" not in r.text


def test_a_certificate_that_expires_under_way_is_a_502_without_the_workers_url(start, ca, tmp_path):
    """A registered worker that comes back with a bad certificate: requests are told 502, and nothing about where it is."""
    worker = start(TlsEngine, ca.issue("fine"))
    g = start(Gateway, "--ca-cert-paths", ca.crt, "--health-check-interval-secs", 3600, workers=[worker]).ready(1)
    assert g.chat().status_code == 200
    worker.stop()
    crt, key = ca.issue("gone", ends="20200201000000Z")
    again = Process(["mock-engine", "--host", "127.0.0.1", "--port", worker.port, "--tls-cert-path", crt, "--tls-key-path", key])
    try:
        wait_until(lambda: "mock engine:" in again.output(), what="mock engine")
        r = g.chat()
        assert r.status_code == 502 and str(worker.port) not in r.text and "localhost" not in r.text, r.text
        wait_until(lambda: "the certificate has expired" in g.output(), what="the reason in the log")
    finally:
        again.stop()


class Truncator:
    """A TLS server that ends a length-less reply with a bare FIN, or with close_notify before it."""

    def __init__(self, pair):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*map(str, pair))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self.listener.getsockname()[1]}"
        self.notify = False
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(plain,), daemon=True).start()

    def answer(self, plain):
        try:
            s = self.context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False)
            head = s.recv(65536)
            if b"/v1/chat" not in head:
                body = b'{"object":"list","data":[{"id":"mock-model","object":"model","owned_by":"x"}]}'
                s.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                s.unwrap()
                return
            s.sendall(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{"choices":[]}')
            if self.notify:
                s.unwrap()
            else:
                os.close(os.dup(s.fileno()))
                socket.socket.shutdown(s, socket.SHUT_RDWR)
                s.detach()
        except (OSError, ValueError):
            pass


def test_a_reply_without_a_length_that_is_cut_is_not_taken_for_whole(start, ca, pair):
    server = Truncator(pair)
    g = start(Gateway, "--ca-cert-paths", ca.crt, workers=[server]).ready(1)
    server.notify = True
    r = g.chat()
    assert r.status_code == 200 and r.json() == {"choices": []}
    server.notify = False
    try:
        r = g.chat()
        assert r.status_code == 502, r.text
    except httpx.HTTPError:
        pass  # the head was out already: the connection is cut


def test_bench_measures_over_https(start, ca, pair):
    worker = start(TlsEngine, pair)
    p = Process(["bench", worker.url, "--model", "mock-model", "--requests", 50, "--concurrency", 4, "--ca-cert-paths", ca.crt, "--quiet"])
    assert p.wait() == 0, p.output()


def test_the_systems_authorities_are_found_by_name_not_by_reading_their_directory(start, ca, pair, tmp_path):
    system = tmp_path / "certs"
    system.mkdir()
    by_hash = openssl("x509", "-hash", "-noout", "-in", ca.crt, text=True).stdout.strip() + ".0"
    os.utime(system, (1, 2))  # a first reading of a directory that was changed since the last one sets its time of access
    g = start(Gateway, env={"SSL_CERT_DIR": str(system), "SSL_CERT_FILE": str(tmp_path / "none")})
    worker = start(TlsEngine, pair)
    g.client.post("/workers", json={"url": worker.url}).raise_for_status()
    wait_until(lambda: "worker cannot be trusted yet" in g.output(), seconds=20, what="a refusal")
    # whoever reads the names does so on a loop, for each handshake with an unknown issuer
    assert os.stat(system).st_atime == 1
    shutil.copy(ca.crt, system / by_hash)
    g.ready(1)
