"""The cuda backend on machines without a GPU: its kernels in Triton's interpreter, and through its compiler."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

pytest.importorskip("triton")
TESTS = Path(__file__).resolve().parent


def run(arguments, **environment):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=TESTS.parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="those tests run the kernels on the GPU themselves")
def test_the_stages_in_triton_s_interpreter():
    """The switch to the interpreter works only before Triton's import, hence the process of its own."""
    stages = [
        str(TESTS / name) for name in ("test_stages.py", "test_occupancy.py", "test_workspace.py", "test_query.py")
    ]
    report = run(["-m", "pytest", *stages, "-k", "[cuda", "-q", "-p", "no:cacheprovider"], TRITON_INTERPRET="1")
    assert int(report.split(" passed")[0].split()[-1]) > 45


@pytest.mark.parametrize("capability", [86, 90])
def test_every_kernel_compiles(capability, tmp_path):
    """What the interpreter lets pass: types that change in a loop, shared memory that a GPU does not have."""
    report = run([str(TESTS / "compile_kernels.py"), str(capability)], TRITON_CACHE_DIR=str(tmp_path))
    assert report.count(" bytes of shared memory") > 15


RECORD = """
from obj2ngp.ngp.backends.cuda import record

class Graph:
    ended = 0
    def capture_begin(self):
        self.ended = 0
    def capture_end(self):
        self.ended += 1
        if self.broken:
            raise RuntimeError("operation not permitted when stream is capturing")

class Stop(BaseException):
    pass

def fail():
    raise Stop

graph = Graph()
for graph.broken in (False, True):
    try:
        record(graph, fail)
        raise SystemExit("nothing raised")
    except Stop:
        assert graph.ended == 1
graph.broken = False
record(graph, lambda: None)
assert graph.ended == 1
"""


def test_a_recording_that_fails_has_ended():
    """Whatever fails is what one is told, also where ending the recording fails as a result."""
    run(["-c", RECORD], TRITON_INTERPRET="1", PYTHONPATH=str(TESTS.parent / "workflow_scripts"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_after_a_recording_that_failed_the_gpu_can_be_used():
    from obj2ngp.ngp.backends.cuda import record

    def fail():
        torch.zeros(8, device="cuda").add_(1)
        raise KeyboardInterrupt

    torch.zeros(1, device="cuda")
    with pytest.raises(KeyboardInterrupt), torch.cuda.stream(torch.cuda.Stream()):
        record(torch.cuda.CUDAGraph(), fail)
    assert float(torch.ones(8, device="cuda").sum()) == 8
    graph, total = torch.cuda.CUDAGraph(), torch.zeros(1, device="cuda")
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        record(graph, lambda: total.add_(1))
        graph.replay()
    torch.cuda.synchronize()
    assert float(total) == 1


def test_without_a_gpu_the_backend_says_so():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    code = "from obj2ngp.ngp import backends; print(backends.select('auto').NAME); backends.select('cuda')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TESTS.parent / "workflow_scripts", capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout.strip() == "cpu"
    assert "backend cuda cannot run here" in done.stderr and "CUDA" in done.stderr
