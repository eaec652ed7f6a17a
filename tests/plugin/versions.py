"""The runtime's tests with other versions of wasmtime's library: versions.py --build DIR [--versions 39,40,...]

For each major version the newest release of the Python package is fetched, and the unit tests that run guests are run with its library (SMG_WASMTIME_LIB); from FUTURES on those of calls that a loop begins, too. One line per version; the exit status is 1 when one failed.
"""

import argparse
import glob
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTS = ("call", "direct", "module", "runtime", "storage_hook", "counters", "examples")
OLDEST, NEWEST = 39, 48
FUTURES = 45  # the first whose library can stop a guest halfway; before it only plain guests are called on loops


def library(major, folder):
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", folder, f"wasmtime>={major},<{major + 1}"], check=True)
    (wheel,) = glob.glob(f"{folder}/*.whl")
    with zipfile.ZipFile(wheel) as z:
        (name,) = (n for n in z.namelist() if n.endswith("_libwasmtime.so"))
        return os.path.basename(wheel).split("-")[1], z.extract(name, folder)


def failures(build, path, tests):
    environment = {**os.environ, "SMG_WASMTIME_LIB": path, "SMG_TEST_WASM": str(ROOT / "tests" / "wasm")}
    for test in tests:
        done = subprocess.run([build / "tests" / "unit" / "plugin" / f"test_plugin_{test}"], env=environment, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            yield test, done.stdout + done.stderr


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--versions", default=",".join(map(str, range(OLDEST, NEWEST + 1))))
    args = parser.parse_args()
    bad = False
    for major in map(int, args.versions.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            version, path = library(major, folder)
            tests = TESTS + ("suspended",) * (major >= FUTURES)
            failed = list(failures(args.build.resolve(), path, tests))
        print(f"wasmtime {version}: " + (f"FAILED: {', '.join(t for t, _ in failed)}" if failed else f"{len(tests)} test programs passed"), flush=True)
        for test, text in failed:
            print(f"---- {test}\n{text[-4000:]}")
        bad = bad or bool(failed)
    return bad


if __name__ == "__main__":
    sys.exit(main())
