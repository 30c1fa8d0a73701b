"""The stream of a GPU, on the CPU: the rows of the host's stream, read ahead by a thread that nothing depends on."""

import threading
import time
from typing import Any

import numpy as np
import pytest
import torch

from universality.errors import InputError
from universality.sae import device_stream, training_loop
from universality.sae.device_stream import DeviceStream, HostBatches, batches
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.stream import RowStream
from universality.sae.training import train_points, train_sae, train_saes

CPU = torch.device("cpu")
ROWS = np.random.default_rng(0).standard_normal((6000, 24), dtype=np.float32)
CONFIG = SAETrainingConfig.model_validate(
    {"d_sae": 70, "k": 5, "tokens": 40 * 128, "batch_rows": 128, "lr": 4e-3, "dead_after": 400}
)
#: Buffers of so many rows: eight chunks, or all.
SMALL, WHOLE = 4 * 24 * 1024, 10**9


class Watched:
    """Rows that count what is read of them, and fail where they are told to."""

    def __init__(self, rows, fails_after=None):
        self._rows, self.shape, self.read, self.fails_after = rows, rows.shape, 0, fails_after
        self._lock = threading.Lock()

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, which):
        if isinstance(which, slice):
            with self._lock:
                self.read += which.stop - which.start
                if self.fails_after is not None and self.read > self.fails_after:
                    raise OSError("the disk is gone")
        return self._rows[which]


class InChunks(Watched):
    """The same in chunks of their own."""

    def __init__(self, rows):
        super().__init__(rows)
        self.boundaries = np.array([0, 100, 100, 900, 1700, 2500, len(rows)])

    def chunks(self, numbers):
        for number in numbers:
            yield self[self.boundaries[number] : self.boundaries[number + 1]]


def streams(rows: Any = ROWS, buffer_bytes=SMALL, end=10**9):
    host, other = (RowStream(rows, 128, 3, buffer_bytes=buffer_bytes) for _ in range(2))
    return host, DeviceStream(other, CPU, end)


@pytest.fixture
def ahead(monkeypatch):
    """Trainings read ahead."""
    monkeypatch.setattr(training_loop, "batches", DeviceStream)


@pytest.mark.parametrize("rows", [ROWS, ROWS.astype(np.float16), InChunks(ROWS)])
@pytest.mark.parametrize("buffer_bytes", [SMALL, WHOLE])
def test_batches_are_those_of_the_host(rows, buffer_bytes):
    host, ours = streams(rows, buffer_bytes)
    for start in (*range(0, 14_000, 700), 300, 12_345, 5990):  # over ends of buffers and passes, and back
        assert ours.batch(start, 700).numpy().tobytes() == host.batch(start, 700).tobytes()
    ours.close()


def test_a_batch_is_its_own():
    _, ours = streams(buffer_bytes=WHOLE)
    before = ours.batch(0, 64).clone()
    ours.batch(0, 64).zero_()
    assert torch.equal(ours.batch(0, 64), before)
    ours.close()


def test_data_that_fit_are_read_once_and_buffers_once_a_pass():
    for buffer_bytes, passes in ((WHOLE, 1), (SMALL, 3)):
        rows = Watched(ROWS)
        ours = streams(rows, buffer_bytes, end=3 * 6000)[1]
        for start in range(0, 18_000, 500):
            ours.batch(start, 500)
        ours.close()
        assert rows.read == passes * 47 * 128


def waited_for(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_the_next_buffer_is_read_before_it_is_asked_for_and_none_beyond_the_end():
    rows = Watched(ROWS)
    ours = streams(rows, end=2048)[1]
    ours.batch(0, 128)
    assert waited_for(lambda: rows.read == 2 * 1024)
    ours.batch(1024, 128)
    ours.close()
    assert rows.read == 2 * 1024


def test_paused_it_reads_nothing():
    rows = Watched(ROWS)
    ours = streams(rows)[1]
    with ours.paused():
        ours._next = (0, ours._reader.submit(ours._load, 0))
        time.sleep(0.05)
        assert rows.read == 0
    ours.batch(0, 1)
    assert rows.read >= 1024
    ours.close()


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("next-rows", "rows"))]


def weights(result):
    return {name: value.tobytes() for name, value in result.sae.to_tensors()[1].items()}


@pytest.mark.parametrize("buffer_mb", [1, 256])
def test_trainings_that_read_ahead_end_in_the_same_bytes(monkeypatch, buffer_mb):
    config = CONFIG.model_copy(update={"buffer_mb": buffer_mb, "tokens": 100 * 128})
    rows = np.tile(ROWS, (3, 1))  # 1.7 MB
    expected = train_sae(rows, config, sae_seed=1)
    monkeypatch.setattr(training_loop, "batches", DeviceStream)
    found = train_sae(rows, config, sae_seed=1)
    assert weights(found) == weights(expected)
    assert found.history["loss"].tobytes() == expected.history["loss"].tobytes()
    assert not threads()


@pytest.mark.parametrize("error", [KeyboardInterrupt, InterruptedError])
def test_an_interrupt_loses_nothing_and_counts_what_was_trained_on_not_what_was_read(ahead, error):
    config, states = CONFIG.model_copy(update={"buffer_mb": 1, "tokens": 100 * 128}), []
    rows = Watched(np.tile(ROWS, (6, 1)))  # buffers of 81 chunks
    whole = train_sae(rows, config, sae_seed=1)
    rows.read = 0

    def progress(done, total, **facts):
        if done == 20 * 128:
            assert waited_for(lambda: rows.read == 2 * 81 * 128), "the next buffer is read already"
            raise error

    with pytest.raises(error):
        train_sae(rows, config, sae_seed=1, progress=progress, on_state=lambda *state: states.append(state))
    ((arrays, meta),) = states
    assert meta["step"] == len(arrays["loss"]) == 20
    assert not threads()
    resumed = train_sae(rows, config, sae_seed=1, state=(arrays, meta))
    assert weights(resumed) == weights(whole)


def test_what_the_thread_meets_is_said_by_the_training(ahead):
    rows = Watched(np.tile(ROWS, (3, 1)), fails_after=81 * 128)  # in the second buffer
    told = []
    with pytest.raises(OSError, match="the disk is gone"):
        train_sae(
            rows,
            CONFIG.model_copy(update={"buffer_mb": 1, "tokens": 100 * 128}),
            sae_seed=1,
            progress=lambda done, total, **facts: told.append(done // 128),
        )
    assert told[-1] == 80, "all rows before it were trained on"
    assert not threads()


def test_seeds_of_one_config_read_their_rows_once(ahead):
    rows = Watched(ROWS)
    train_saes(rows, CONFIG, sae_seeds=[1, 2, 3], order_seed=0)
    assert rows.read == 47 * 128


POINTS = [CONFIG.model_copy(update={"buffer_mb": 1, "tokens": 100 * 128, **own}) for own in (
    {}, {"d_sae": 40}, {"k": 3, "lr": 1e-3}, {"architecture": "relu", "k": None, "l1_coefficient": 0.01},
)]  # fmt: skip


def points(rows, configs, options=None):
    options = options or [{} for _ in configs]
    return train_points(rows, configs, sae_seeds=[4, 5], order_seed=2, options=options)


@pytest.mark.parametrize("stream", [lambda rows, device, end: HostBatches(rows, device), DeviceStream])
def test_points_side_by_side_read_each_buffer_once_and_end_as_alone(monkeypatch, stream):
    monkeypatch.setattr(training_loop, "batches", stream)
    rows = Watched(np.tile(ROWS, (4, 1)))
    configs = [config.model_copy(update={"batch_rows": 100}) for config in POINTS]  # one batch lies in two buffers
    alone = [train_saes(rows, config, sae_seeds=[4, 5], order_seed=2) for config in configs]
    each, rows.read = rows.read // len(configs), 0
    found = points(rows, configs)
    assert rows.read == each
    for seeds, expected in zip(found, alone, strict=True):
        assert [weights(one) for one in seeds] == [weights(one) for one in expected]
        assert seeds[1].history["fvu"].tobytes() == expected[1].history["fvu"].tobytes()
    assert not threads()


@pytest.mark.parametrize("error", [KeyboardInterrupt, InterruptedError])
def test_points_that_are_interrupted_all_save_and_go_on_from_wherever_they_are(error):
    rows = Watched(np.tile(ROWS, (4, 1)))
    whole, states = points(rows, POINTS), [[] for _ in POINTS]

    def progress(done, total, **facts):
        if done == 90 * 128:
            raise error

    options = [{"on_state": lambda *state, own=own: own.append(state)} for own in states]
    options[2]["progress"] = progress
    with pytest.raises(error):
        points(rows, POINTS, options)
    assert [[meta["step"] for _, meta in own] for own in states] == [[100], [100], [90], [81]]
    resumed = points(rows, POINTS, [{}, *({"state": own[-1]} for own in states[1:])])
    assert [[weights(one) for one in seeds] for seeds in resumed] == [
        [weights(one) for one in seeds] for seeds in whole
    ]


def test_points_whose_batches_differ_are_refused():
    with pytest.raises(
        InputError, match="tokens, batch_rows and buffer_mb of train_points must be equal in all configs"
    ):
        points(ROWS, [CONFIG, CONFIG.model_copy(update={"batch_rows": 64})])


def test_a_device_takes_the_buffer_where_it_has_room(monkeypatch):
    made = []
    monkeypatch.setattr(device_stream, "DeviceStream", lambda *given: made.append(given))
    stream = RowStream(ROWS, 128, 3, buffer_bytes=2**30)
    assert isinstance(batches(stream, CPU, 7), HostBatches)
    for memory, roomy in ((2**33, True), (2**33 - 1, False)):
        monkeypatch.setattr(device_stream, "device_memory", lambda device, memory=memory: memory)
        found = batches(stream, torch.device("cuda"), 7)
        assert isinstance(found, HostBatches) != roomy
    assert made == [(stream, torch.device("cuda"), 7)]
