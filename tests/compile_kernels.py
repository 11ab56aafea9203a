"""Compiles every kernel that a training step and an occupancy update launch, for a GPU that need not be there.

    python tests/compile_kernels.py 90        (compute capability 9.0)

The stages run on the CPU with a Triton driver that compiles and does not launch. Prints a line a kernel.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.errors import OutOfResources
from triton.runtime.jit import JITFunction

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

from obj2ngp.ngp.backends.cuda import Backend  # noqa: E402
from obj2ngp.ngp.config import NetworkConfig, OccupancyConfig, TrainConfig  # noqa: E402
from obj2ngp.ngp.training import TrainingRun  # noqa: E402
from obj2ngp.views.posed_images import PosedImages  # noqa: E402

MAX_SHARED_MEMORY = {86: 99 << 10, 90: 227 << 10}  # bytes a block may have: CUDA C++ programming guide
CAPABILITY = int(sys.argv[1])


class CompileOnly:
    """The part of a Triton driver that compiling asks for."""

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        return GPUTarget("cuda", CAPABILITY, 32)


def compile_only(kernel, *arguments, grid, warmup, **options):
    compiled = launch(kernel, *arguments, grid=grid, warmup=True, **options)
    shared = compiled.metadata.shared
    print("{}: {} bytes of shared memory".format(kernel.__name__, shared))
    if shared > MAX_SHARED_MEMORY[CAPABILITY]:
        raise OutOfResources(shared, MAX_SHARED_MEMORY[CAPABILITY], "shared memory")


class Properties:
    multi_processor_count, major = 2, CAPABILITY // 10


triton.runtime.driver.set_active(CompileOnly())
launch, JITFunction.run = JITFunction.run, compile_only
Backend.DEVICE, torch.cuda.get_device_properties = "cpu", lambda device: Properties
Backend.capture = lambda self, stages: stages

pose = np.eye(4, dtype=np.float32)[None, :3].copy()
pose[0, 2, 3] = 1.5
images = PosedImages(np.full((1, 16, 16, 4), 255, np.uint8), pose, 16.0, (8.0, 8.0), ["0"], 1.0, np.full(3, 0.5))
NETWORKS = NetworkConfig(), NetworkConfig(density_width=128, color_width=128, features=4)
for network in NETWORKS:
    config = TrainConfig(
        samples_per_step=2048, distortion=0.1, occupancy=OccupancyConfig(resolution=16), network=network
    )
    space = TrainingRun.alone(images, config, Backend).workspace
    space.step()
    assert space.backend.fused or network is not NETWORKS[0]  # where it must: the default one
    space.update_occupancy()
space.backend.composite(space.rays, space.samples, space.step_size)
