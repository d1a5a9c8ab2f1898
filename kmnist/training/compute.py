"""``Compute``: where and how a training computes: resolved once, when a run begins, and kept, as the settings are."""

import copy
import ctypes
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch

from kmnist.cores import available_cores
from kmnist.errors import SettingError

FASTER = 0.85  # of the time with fewer threads: what one more must reach, for it may be taken from others
WARM_UP, STEPS, SECONDS = 3, 12, 0.4  # of each number of threads that is tried


@dataclass(frozen=True)
class Compute:
    """Where and how.

    Attributes:
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        precision: of the matrix products: ``fp32`` or ``bf16``.
        threads: of the CPU.
    """

    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 1

    @contextmanager
    def active(self) -> Iterator[None]:
        """Compute so within the block.

        Denormal numbers are rounded to zero: the plain net's loss falls to 1e-12, where they would make a CPU crawl.
        Both hold for everything else in the thread, hence only around the arithmetic.
        """
        keep_freed_memory()
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        torch.set_flush_denormal(True)
        try:
            yield
        finally:
            torch.set_flush_denormal(False)
            torch.set_num_threads(before)

    def as_tags(self) -> dict[str, str]:
        """As tags of a run."""
        return {"device": self.device, "precision": self.precision, "threads": str(self.threads)}


@cache
def keep_freed_memory() -> None:
    """Let glibc keep what a step frees for the next one, in this process from here on.

    It would give the memory back and ask for it again with each step: hundreds of thousands of page faults an epoch, in
    which one thread holds up the others. A convolutional net's epoch takes a tenth to a fifth less (``man mallopt``).
    """
    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "mallopt"):  # musl has none
        return
    trim_threshold, mmap_threshold = -1, -3
    libc.mallopt(mmap_threshold, 32 << 20)  # the most that it takes: what is larger goes back at once
    libc.mallopt(trim_threshold, 2**31 - 1)


def set_threads(threads: int) -> None:
    """Compute with so many threads of the CPU from here on: for a process that does nothing but answer."""
    torch.set_num_threads(threads)


def resolve_device(name: str = "auto") -> torch.device:
    """``auto`` is the first CUDA GPU where there is one, else the CPU.

    Raises:
        SettingError: the device does not exist on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingError(
            f"device={name}: cannot be used on this machine ({str(error).splitlines()[0]}); use auto, cpu or cuda"
        ) from error
    return device


def resolve_devices() -> list[str]:
    """Every CUDA GPU of this machine, else the CPU: for workers, of which each gets one."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [f"cuda:{number}" for number in range(gpus)] if gpus > 1 else [str(resolve_device())]


def resolve_precision(precision: str, device: torch.device) -> str:
    """``auto`` is bf16 where the processor multiplies bf16 in hardware (AMX, AVX512-BF16, GPUs from Ampere on)."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    able = torch.cpu.get_capabilities()
    return "bf16" if able.get("amx_bf16", False) or able.get("avx512_bf16", False) else "fp32"


def _most_threads() -> int:
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a number for each level of nesting
    cores = available_cores()
    return min(cores, int(told)) if told.isdecimal() and int(told) else cores


def measure_threads(step: Callable[[], object], most: int | None = None) -> int:
    """The number of threads to compute with, found by trying: the fewest that are about as fast as any.

    Counting cores would not do. OpenMP's threads wait for each other at every operation: where another process holds
    a core for a moment, two threads take 4 to 30 times as long as one.

    Args:
        step: what is going to be done over and over.
        most: threads to try; ``None``: as many as there are cores, or as ``OMP_NUM_THREADS`` allows.
    """
    keep_freed_memory()
    before, best, best_seconds = torch.get_num_threads(), 1, float("inf")
    try:
        for threads in _candidates(most or _most_threads()):
            torch.set_num_threads(threads)
            seconds = _median_seconds(step)
            if seconds < FASTER * best_seconds:
                best, best_seconds = threads, seconds
            elif threads > 1:
                break  # more would only wait more
    finally:
        torch.set_num_threads(before)
    return best


def trial_step(model: torch.nn.Module, pixels: torch.Tensor, labels: torch.Tensor, bf16: bool) -> Callable[[], object]:
    """A step of a training on copies: it changes neither ``model`` nor any random number that is drawn later."""
    twin = copy.deepcopy(model)
    optimizer = torch.optim.SGD(twin.parameters(), 0.0)

    def step() -> None:
        with torch.random.fork_rng(devices=[]), torch.autocast(pixels.device.type, torch.bfloat16, enabled=bf16):
            output = twin(pixels)
        optimizer.zero_grad()
        torch.nn.functional.nll_loss(output.float(), labels).backward()
        optimizer.step()

    return step


def _candidates(most: int) -> list[int]:
    doubled = [2**power for power in range(most.bit_length()) if 2**power < most]
    return [*doubled, most]


def _median_seconds(step: Callable[[], object]) -> float:
    for _ in range(WARM_UP):
        step()
    times: list[float] = []
    while len(times) < STEPS and sum(times) < SECONDS:
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
