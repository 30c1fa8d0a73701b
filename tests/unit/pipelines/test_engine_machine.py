"""What the machine offers, told from texts and environment variables, without a GPU."""

import pytest

from pipelines.engine import machine
from universality.errors import InputError

PLAIN = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb)
"""
SPLIT = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
  MIG 3g.40gb     Device  0: (UUID: MIG-1111)
  MIG 3g.40gb     Device  1: (UUID: MIG-2222)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb)
"""


def test_devices_from_nvidia_smi():
    assert machine.parse_devices(PLAIN) == ["0", "1"]
    assert machine.parse_devices(SPLIT) == ["MIG-1111", "MIG-2222", "1"]
    assert machine.parse_devices("No devices were found\n") == []


@pytest.mark.parametrize(
    ("lent", "devices"),
    [("", []), ("-1", []), ("2,3", ["2", "3"]), ("GPU-aaaa, MIG-1", ["GPU-aaaa", "MIG-1"])],
)
def test_lent_devices_are_respected(monkeypatch, lent, devices):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", lent)
    assert machine.visible_devices() == devices


@pytest.mark.parametrize(
    ("devices", "mebibytes"),
    [(["0"], 81559), (["0", "1"], 24576), (["GPU-b"], 24576), (["MIG-7"], None), (["0", "7"], None), ([], None)],
)
def test_memory_of_the_smallest_device(devices, mebibytes):
    listing = "0, GPU-a, 81559\n1, GPU-b, 24576\n2, GPU-c, [N/A]\nbroken\n"
    assert machine.parse_memory(listing, devices) == (mebibytes and mebibytes << 20)


def test_without_nvidia_smi_there_is_no_device(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    assert machine.visible_devices() == []


@pytest.mark.parametrize(
    ("devices", "built_for", "wish", "device"),
    [
        (["0"], "12.8", "auto", "cuda"),
        (["0"], "12.8", "cuda", "cuda"),
        (["0"], "12.8", "cpu", "cpu"),
        ([], "12.8", "auto", "cpu"),
        (["0"], None, "auto", "cpu"),
    ],
)
def test_device_follows_wish_and_machine(monkeypatch, devices, built_for, wish, device):
    monkeypatch.setattr(machine, "visible_devices", lambda: devices)
    monkeypatch.setattr(machine, "torch_cuda_version", lambda: built_for)
    assert machine.choose_device(wish) == device


def test_cuda_that_is_not_there_is_refused_with_all_reasons(monkeypatch):
    monkeypatch.setattr(machine, "visible_devices", lambda: [])
    monkeypatch.setattr(machine, "torch_cuda_version", lambda: None)
    with pytest.raises(InputError, match=r"no CUDA device is visible and .* CPU build"):
        machine.choose_device("cuda")
    with pytest.raises(InputError, match="auto, cpu or cuda"):
        machine.choose_device("gpu")


def test_torch_build_is_read_without_importing_it(monkeypatch, tmp_path):
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "version.py").write_text(
        "__version__ = '2.9'\ncuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n"
    )

    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: Spec)
    assert machine.torch_cuda_version() == "12.8"
    (tmp_path / "version.py").write_text("cuda: Optional[str] = None\n")
    assert machine.torch_cuda_version() is None


def test_cores_and_memory_are_positive():
    assert machine.cores() >= 1
    assert machine.total_memory() > 1e8
