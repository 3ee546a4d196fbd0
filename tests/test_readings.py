"""Readings of a GPU by a faked NVML, of a CPU by faked sensors, and of machines that tell nothing."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from trainer import readings


class NotSupported(Exception):
    pass


class Nvml(SimpleNamespace):
    """As much of `pynvml` as is asked, for one card that is not torch's and one that is."""

    NVMLError = NotSupported
    NVML_TEMPERATURE_GPU = 0

    def __init__(self) -> None:
        super().__init__(handles=0, power=True)

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self.handles += 1
        return {"GPU-11": "first", "GPU-22": "second"}[uuid]

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:
        assert handle == "second"
        return SimpleNamespace(used=6 * 2**30, total=24 * 2**30)

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> Any:
        return SimpleNamespace(gpu=87, memory=40)

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:
        return 71

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        if not self.power:
            raise NotSupported
        return 215_500


@pytest.fixture(autouse=True)
def no_handle_kept():
    readings._gpu.cache_clear()
    yield
    readings._gpu.cache_clear()


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    fake = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid="22"))
    return fake


def test_a_gpu_is_read_in_our_units(nvml: Nvml):
    found = readings.read("cuda")
    assert (found.gpu_gib, found.gpu_limit_gib, found.gpu_use) == (6.0, 24.0, 0.87)
    assert (found.temperature_c, found.power_w) == (71, 215.5)
    assert found.process_gib == pytest.approx(psutil.Process().memory_info().rss / 2**30, rel=0.2)
    readings.read("cuda")
    assert nvml.handles == 1, "the handle is looked up once"


def test_what_a_card_cannot_tell_is_left_out(nvml: Nvml):
    nvml.power = False
    found = readings.read("cuda")
    assert found.power_w is None and found.temperature_c == 71


def test_without_nvml_only_the_process_is_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    found = readings.read("cuda")
    assert found.process_gib > 0 and found.gpu_gib is None and found.temperature_c is None


def test_a_cpu_is_as_hot_as_its_hottest_core(monkeypatch: pytest.MonkeyPatch):
    sensors = {"nvme": [SimpleNamespace(current=90.0)], "coretemp": [SimpleNamespace(current=t) for t in (51.0, 63.0)]}
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: sensors, raising=False)
    assert readings.read("cpu").temperature_c == 63.0
    monkeypatch.setattr(psutil, "sensors_temperatures", dict, raising=False)
    assert readings.read("cpu").temperature_c is None
    monkeypatch.delattr(psutil, "sensors_temperatures")
    found = readings.read("cpu")
    assert found.temperature_c is None and found.gpu_gib is None
