from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

import asam_trt
from asam_trt import _ops, _runtime


@pytest.fixture(autouse=True)
def keep_threads() -> Iterator[None]:
    before = asam_trt.get_num_threads()
    yield
    asam_trt.set_num_threads(before)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_both_modules_follow() -> None:
    asam_trt.set_num_threads(3)
    assert _ops.get_num_threads() == _runtime.get_num_threads() == asam_trt.get_num_threads() == 3


def test_results_do_not_depend_on_threads() -> None:
    found = []
    for threads in (1, 2, 5):
        asam_trt.set_num_threads(threads)
        found.append(_ops.philox_normal(1, 101, 16))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("count", [0, -1, 1025])
def test_bad_counts(count: int) -> None:
    for setter in (asam_trt.set_num_threads, _ops.set_num_threads, _runtime.set_num_threads):
        with pytest.raises(ValueError, match=rf"1 \.\. 1024, got {count}"):
            setter(count)


def test_counts_are_whole() -> None:
    with pytest.raises(TypeError):
        asam_trt.set_num_threads(1.5)  # type: ignore[arg-type]


def test_environment_decides_at_first() -> None:
    assert run("import asam_trt; print(asam_trt.get_num_threads())", ASAM_NUM_THREADS="7").stdout == "7\n"


def test_default_is_the_affinity() -> None:
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\nimport asam_trt\n"
    assert run(code + "print(asam_trt.get_num_threads())", ASAM_NUM_THREADS="").stdout == "1\n"


@pytest.mark.parametrize("text", ["0", "-2", "two", "3.5", "2000", "99999999999999999999"])
def test_bad_environment(text: str) -> None:
    done = run("import asam_trt; asam_trt.get_num_threads()", ASAM_NUM_THREADS=text)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ValueError: ASAM_NUM_THREADS")
    assert text in last or text.startswith("9999")


def test_a_forked_child_computes() -> None:
    """A worker of a data loader is forked from a process whose pool has threads that the child lacks."""
    code = """
import os, signal, sys
import numpy as np
from asam_trt import _ops
_ops.set_num_threads(3)
before = _ops.philox_normal(1, 64, 8)
child = os.fork()
if child == 0:
    signal.alarm(20)
    os._exit(0 if np.array_equal(_ops.philox_normal(1, 64, 8), before) else 1)
sys.exit(os.waitpid(child, 0)[1])
"""
    assert run(code).returncode == 0


def test_a_loop_takes_the_threads_that_the_system_has() -> None:
    found = run("""
import resource
import numpy as np
from asam_trt import _ops
_ops.set_num_threads(1)
wanted = _ops.philox_normal(1, 4000, 16)
_ops.set_num_threads(64)
pages = int(open("/proc/self/statm").read().split()[0])
before = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (40 << 20), before[1]))  # some stacks
found = _ops.philox_normal(1, 4000, 16)
resource.setrlimit(resource.RLIMIT_AS, before)
print(_ops.get_num_threads())
_ops.set_num_threads(64)
for one in (found, _ops.philox_normal(1, 4000, 16)):
    np.testing.assert_array_equal(one, wanted)
print(_ops.get_num_threads())
""")
    assert found.returncode == 0, found.stderr
    few, all_again = map(int, found.stdout.split())
    assert 1 <= few < 64 == all_again
