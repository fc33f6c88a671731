"""What a session must remember outlives it, exactly, and stays small."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitalwire import frame
from vitalwire.errors import UsageError
from vitalwire.messages import Frame
from vitalwire.registry import Registry
from vitalwire.session import Refused, ReplayState, Session
from vitalwire.session.chain import Chain, declarations, link_of
from vitalwire.session.replay_state import Seen, Stored
from vitalwire.testing import FakeDevice


def story() -> tuple[FakeDevice, list[Frame]]:
    """Return a device and frames with gaps, burned and dropped numbers."""
    device = FakeDevice("one")
    raws = [device.descriptor(), *(device.status() for _ in range(8))]
    raws += [device.reboot(burn=2), device.status(), device.dropped(raws[3:5]), device.status()]
    return device, [frame.parse(raw) for raw in raws]


def same(left: Chain, right: Chain) -> bool:
    """Compare two chains."""
    return (left.head, left.boot, left.digest, left.holes) == (right.head, right.boot, right.digest, right.holes)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_the_chain_comes_back_exact(data: st.DataObject) -> None:
    """In whatever order and portions frames become durable, the reopened chain is the one that saw them."""
    device, frames = STORY
    order = data.draw(st.permutations(frames))[: data.draw(st.integers(1, len(frames)))]
    cut = data.draw(st.integers(0, len(order)))
    path = Path(data.draw(st.just(str(FOLDER)))) / f"{os.urandom(6).hex()}.db"
    state = ReplayState(path)
    for part in (order[:cut], order[cut:]):
        state.store(Stored(device.thumbprint, each, False) for each in part)
    state.close()
    expected = Chain(device.thumbprint)
    for each in order:
        expected.add(link_of(each), declarations(each))
    reopened = ReplayState(path)
    assert same(reopened.chain(device.thumbprint), expected)
    for each in order:
        assert reopened.seen(device.thumbprint, each.seq) == Seen(each.digest[:16], aside=False)
    reopened.close()


STORY = story()
FOLDER = Path()


@pytest.fixture(autouse=True, scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER
    FOLDER = tmp_path_factory.mktemp("states")


def test_a_failed_store_changes_nothing(tmp_path: Path) -> None:
    """If a portion cannot be stored as a whole, neither the file nor the memory knows any of it."""
    device, frames = STORY
    state = ReplayState(tmp_path / "state.db")
    state.store([Stored(device.thumbprint, frames[0], False)])

    def broken() -> object:
        yield Stored(device.thumbprint, frames[1], False)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        state.store(broken())  # type: ignore[arg-type]
    assert state.chain(device.thumbprint).head == 1
    assert state.seen(device.thumbprint, 2) is None
    state.store([Stored(device.thumbprint, frames[1], True)])
    assert state.seen(device.thumbprint, 2) == Seen(frames[1].digest[:16], aside=True)


def test_a_kill_leaves_everything_that_was_confirmed(tmp_path: Path) -> None:
    """A reader killed while it stores comes back with every confirmed number, and takes the next ones."""
    program = (
        "import sys\n"
        "from vitalwire.registry import Registry\nfrom vitalwire.session import ReplayState, Session, Verified\n"
        "from vitalwire.testing import FakeDevice\n"
        "device = FakeDevice('one'); registry = Registry(sys.argv[1] + '/r.db')\n"
        "registry.enrol(device.thumbprint, 'one')\n"
        "session = Session(registry, ReplayState(sys.argv[1] + '/s.db'))\n"
        "session.receive(device.descriptor(), 0)\n"
        "for _ in range(100000):\n"
        "    session.durable(session.receive(device.status(), 0)); print(device.seq, flush=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        confirmed = [int(process.stdout.readline()) for _ in range(50)]
        process.send_signal(signal.SIGKILL)
        confirmed += [int(line) for line in process.stdout.read().splitlines()]
    (device,) = Registry(tmp_path / "r.db")
    state = ReplayState(tmp_path / "s.db")
    chain = state.chain(device.thumbprint)
    assert confirmed[-1] <= chain.head <= confirmed[-1] + 1
    assert chain.holes == []
    assert all(state.seen(device.thumbprint, seq) for seq in confirmed)


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    """Only the latest numbers and descriptors of a device stay."""
    device = FakeDevice("one")
    state = ReplayState(tmp_path / "state.db", window=10, descriptors=3)
    for number in range(30):
        raws = [device.descriptor(firmware=f"1.{number}"), device.status()]
        state.store(Stored(device.thumbprint, frame.parse(raw), False) for raw in raws)
    assert [seq for seq in range(1, 61) if state.seen(device.thumbprint, seq)] == list(range(51, 61))
    assert [frame.parse(raw).seq for raw in state.descriptors()] == [55, 57, 59]


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A registry is no replay state, whichever is opened as the other."""
    Registry(tmp_path / "r.db").close()
    text = tmp_path / "text"
    text.write_text("no database at all, but long enough to be read as one " * 50)
    with pytest.raises(UsageError):
        ReplayState(text)
    with pytest.raises(UsageError):
        ReplayState(tmp_path / "r.db")


@given(st.binary(max_size=200))
def test_no_bytes_stop_a_session(raw: bytes) -> None:
    """Whatever arrives is an outcome, never an exception."""
    outcomes = Session(Registry()).receive(raw, 0)
    assert [type(outcome) for outcome in outcomes] == [Refused]
