"""The scripts of tools/ do what they promise."""
import pathlib
import re
import shutil
import signal
import subprocess
import sys

from conftest import ROOT, SLOWNESS, SMG, free_port, free_ports, wait_until


def layers(root):
    return subprocess.run([sys.executable, ROOT / "tools/check-layers", "--root", root], capture_output=True, text=True)


def test_the_layers_hold():
    r = layers(ROOT)
    assert r.returncode == 0, r.stdout


def test_a_forbidden_include_fails(tmp_path):
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs/architecture.md", tmp_path / "docs")
    (tmp_path / "src/json").mkdir(parents=True)
    file = tmp_path / "src/json/x.c"
    file.write_text('#include "base/str.h"\n#include "json/json.h"\n')
    assert layers(tmp_path).returncode == 0
    file.write_text('#include "base/str.h"\n#include "http/message.h"\n')
    r = layers(tmp_path)
    assert r.returncode == 1 and 'src/json/x.c:2: json may not include http ("http/message.h")' in r.stdout
    file.write_text('#include "other.h"\n')
    assert "does not name its room" in layers(tmp_path).stdout
    (tmp_path / "src/attic").mkdir()
    (tmp_path / "src/attic/y.h").write_text("")
    assert "room attic has no row" in layers(tmp_path).stdout


def test_make_run_prints_a_curl_line_that_works(tmp_path):
    port, out = free_port(), tmp_path / "out"
    engine = free_ports(2)
    env = {"PATH": "/usr/bin:/bin:/usr/local/bin", "SMG_PORT": str(port), "SMG_METRICS_PORT": str(free_port()), "SMG_ENGINE_PORT": str(engine)}
    with out.open("wb") as f:
        p = subprocess.Popen([ROOT / "tools/run", SMG], stdout=f, stderr=subprocess.STDOUT, env=env)
    try:
        line = wait_until(lambda: re.search(r"^curl -N .*$", out.read_text(), re.M), seconds=20, what="a curl line")
        reply = subprocess.run(line.group(0), shell=True, capture_output=True, text=True, timeout=30 * SLOWNESS)
        assert reply.stdout.rstrip().endswith("data: [DONE]"), reply.stderr
    finally:
        p.send_signal(signal.SIGTERM)
        p.wait(20 * SLOWNESS)


def test_every_source_file_is_in_the_build():
    for meson in pathlib.Path(ROOT / "src").rglob("meson.build"):
        text = meson.read_text()
        for c in meson.parent.glob("*.c"):
            assert f"'{c.name}'" in text, f"{c} is not listed in {meson}"
