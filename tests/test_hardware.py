"""This machine, without torch."""

import os
import subprocess
import sys

import psutil
import pytest

from trainer import hardware
from trainer.hardware import GpuDevice, Machine


def test_this_machine_is_described_in_one_sentence():
    machine = Machine(cpu_name="x", cores=2, memory_gib=23.54, cpu_bf16=True)
    assert machine.describe() == "This machine has 2 cores, 23 GiB of memory and no GPU."
    card = GpuDevice(name="NVIDIA GeForce RTX 4090", memory_gib=24.0, row="rtx-4090")
    one = machine.model_copy(update={"gpus": [card]})
    assert one.describe().endswith("and the GPU NVIDIA GeForce RTX 4090 (24 GiB).")
    two = machine.model_copy(update={"gpus": [card, card], "cores": 1})
    assert two.describe() == (
        "This machine has 1 core, 23 GiB of memory and 2 GPUs, each NVIDIA GeForce RTX 4090 (24 GiB)."
    )


def test_what_is_detected_is_this_machine():
    machine = hardware.detect()
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert 0 < machine.memory_gib <= psutil.virtual_memory().total / 2**30 + 0.01
    assert hardware.cpu_has_bf16() == machine.cpu_bf16


def test_a_container_s_limit_counts_as_the_memory(monkeypatch):
    read = hardware._text
    monkeypatch.setattr(hardware, "_text", lambda path: "2147483648\n" if path.name == "memory.max" else read(path))
    assert hardware.detect.__wrapped__().memory_gib == 2.0


@pytest.mark.parametrize(("limit", "cores"), [("50000 100000", 1), ("max 100000", None)])
def test_a_container_s_share_of_the_cores_counts(monkeypatch, limit, cores):
    read = hardware._text
    monkeypatch.setattr(hardware, "_text", lambda path: limit if path.name == "cpu.max" else read(path))
    assert hardware.detect.__wrapped__().cores == (cores or len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("flags", "bf16"), [("avx2 avx512f avx512_bf16", True), ("fpu amx_bf16", True), ("avx2 avx512f", False)]
)
def test_bf16_is_read_from_the_processor_s_flags(monkeypatch, flags, bf16):
    monkeypatch.setattr(
        hardware, "_text", lambda path: f"model name\t: Test\nflags\t\t: {flags}\n" if path.name == "cpuinfo" else ""
    )
    machine = hardware.detect.__wrapped__()
    assert (machine.cpu_name, machine.cpu_bf16) == ("Test", bf16)


def test_what_nvidia_smi_prints_becomes_devices():
    text = "NVIDIA A100-SXM4-80GB, 81920\nNVIDIA GeForce GTX 1080 Ti, 11264\nnot a line\n"
    assert hardware.parse_nvidia_smi(text) == [
        GpuDevice(name="NVIDIA A100-SXM4-80GB", memory_gib=80.0, row="a100-80gb"),
        GpuDevice(name="NVIDIA GeForce GTX 1080 Ti", memory_gib=11.0, row=None),
    ]
    assert hardware.parse_nvidia_smi(text)[1].plan_name == "11gb"


def test_a_broken_driver_is_no_gpu(monkeypatch):
    def broken(*_args, **_options):
        raise subprocess.CalledProcessError(9, "nvidia-smi")

    monkeypatch.setattr(hardware.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(hardware.subprocess, "run", broken)
    assert hardware.detect.__wrapped__().gpus == []


def test_nothing_heavy_is_imported():
    heavy = "{'torch', 'transformers', 'gradio', 'langchain_core', 'datasets'}"
    code = (
        f"import sys, trainer.sizing, trainer.readiness, assistant.planner.dialogue; print({heavy} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
