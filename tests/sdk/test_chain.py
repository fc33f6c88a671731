"""The chain of one device against an oracle that sees everything: any order of arrival ends in the same knowledge."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vitalwire.session.chain import Chain, Declaration, Finding, Link, State
from vitalwire.session.outcomes import Burned, ChainBreak, Dropped, Gap, GapClosed, GapForgotten

DEVICE = bytes(32)


def digest(seq: int) -> bytes:
    """Return the digest of the frame of a number."""
    return hashlib.sha256(b"%d" % seq).digest()[:16]


@dataclass
class Story:
    """What a device did: frames with links, numbers it burned, frames it dropped and says so."""

    frames: dict[int, Link] = field(default_factory=dict)
    words: dict[int, list[Declaration]] = field(default_factory=dict)
    burned: dict[int, int] = field(default_factory=dict)  # number: the frame that declares it
    dropped: dict[int, int] = field(default_factory=dict)


def tell(steps: list[tuple[str, int]]) -> Story:
    """Return the story of steps: frames made, numbers burned by a reboot, the last frames dropped."""
    story = Story()
    seq, boot, prev = 0, 1, bytes(16)

    def frame(*words: Declaration) -> None:
        nonlocal seq, prev
        seq += 1
        story.frames[seq] = Link(seq, boot, prev, digest(seq))
        story.words[seq] = list(words)
        prev = digest(seq)

    for what, count in steps:
        if what == "frames":
            for _ in range(count):
                frame()
        elif what == "reboot":
            first = seq + 1
            boot += 1
            seq += count
            story.burned |= dict.fromkeys(range(first, seq + 1), seq + 1)
            frame(*([Declaration(first, seq, prev, prev, True)] if count else []))
        else:
            own = sorted(story.frames)[-count:]
            if own and own[-1] - own[0] == len(own) - 1 and not any(n in story.dropped for n in own):
                first, last = story.frames[own[0]], story.frames[own[-1]]
                frame(Declaration(first.seq, last.seq, first.prev, last.digest, False))
                story.dropped |= dict.fromkeys(own, seq)
    return story


def before(story: Story, number: int) -> int:
    """Return the number of the frame before a number."""
    return max((n for n in story.frames if n < number), default=0)


STORIES = st.lists(
    st.tuples(st.sampled_from(("frames", "frames", "reboot", "drop")), st.integers(0, 4)), min_size=1, max_size=10
).map(tell)


def numbers(findings: list[Finding], kind: type) -> set[int]:
    """Return the numbers in all findings of one kind."""
    return {n for each in findings if isinstance(each, kind) for n in range(each.first, each.last + 1)}


@settings(max_examples=400)
@given(STORIES, st.data())
def test_any_order_of_arrival_ends_in_the_same_knowledge(story: Story, data: st.DataObject) -> None:
    """Whatever arrives in whatever order: holes, gaps and explanations are exactly what is missing and why."""
    sent = [n for n in story.frames if n not in story.dropped or data.draw(st.booleans())]
    arrivals = data.draw(st.permutations([n for n in sent if data.draw(st.integers(0, 3))]))
    chain = Chain(DEVICE)
    findings: list[Finding] = []
    for seq in arrivals:
        assert chain.is_open(seq)
        findings += chain.add(story.frames[seq], story.words[seq])
        assert not chain.is_open(seq)
    if not arrivals:
        return
    assert not [each for each in findings if isinstance(each, ChainBreak | GapForgotten)]
    there = set(arrivals)
    head = max(there)
    absent = set(range(1, head + 1)) - there
    assert chain.head == head
    assert chain.digest == digest(head)
    by_state = {
        state: {n for h in chain.holes if h.state == state for n in range(h.first, h.last + 1)} for state in State
    }
    assert set().union(*by_state.values()) == absent
    assert {n for n in absent if story.burned.get(n) in there} <= by_state[State.BURNED] <= story.burned.keys()
    assert {n for n in absent if {story.burned.get(n), before(story, n)} <= there} <= by_state[State.BURNED]
    assert by_state[State.DROPPED] == {n for n in absent if story.dropped.get(n) in there}
    rest = absent - by_state[State.BURNED] - by_state[State.DROPPED]
    assert by_state[State.MISSING] == {n for n in rest if n > arrivals[0]}
    assert by_state[State.BEFORE] == {n for n in rest if n < arrivals[0]}
    told = numbers(findings, Gap) - there - numbers(findings, Burned) - numbers(findings, Dropped)
    assert told == by_state[State.MISSING]
    closed = numbers(findings, GapClosed)
    assert closed <= numbers(findings, Gap)
    assert not closed & by_state[State.MISSING]
    for gap in findings:
        if isinstance(gap, Gap):
            still = set(range(gap.first, gap.last + 1)) & by_state[State.MISSING]
            assert (GapClosed(DEVICE, gap.first, gap.last) in findings) == (not still)


@settings(max_examples=300)
@given(STORIES, st.data())
def test_a_wrong_link_is_found_in_any_order(story: Story, data: st.DataObject) -> None:
    """One frame with another PREV, or one whose bytes are not what its successor says, breaks the chain once."""
    victims = [n for n in story.frames if n - 1 in story.frames]
    assume(victims)
    victim = data.draw(st.sampled_from(victims))
    frames = dict(story.frames)
    if data.draw(st.booleans()):
        frames[victim] = frames[victim]._replace(prev=digest(-1))
    else:
        frames[victim - 1] = frames[victim - 1]._replace(digest=digest(-1))
    chain = Chain(DEVICE)
    findings: list[Finding] = []
    for seq in data.draw(st.permutations(sorted(frames))):
        findings += chain.add(frames[seq])
    assert ChainBreak(DEVICE, victim, "prev") in findings


@settings(max_examples=200)
@given(st.integers(2, 8), st.data())
def test_boots_never_go_down(count: int, data: st.DataObject) -> None:
    """A frame of an earlier boot above one of a later boot is a break, in any order of arrival."""
    story = tell([("frames", 1)] + [("reboot", 0)] * (count - 1))
    frames = dict(story.frames)
    victim = data.draw(st.integers(2, count))
    frames[victim] = frames[victim]._replace(boot=frames[victim].boot - 2 or 0)
    chain = Chain(DEVICE)
    findings: list[Finding] = []
    for seq in data.draw(st.permutations(sorted(frames))):
        findings += chain.add(frames[seq])
    assert any(isinstance(each, ChainBreak) and each.why == "boot" for each in findings)


def chain_of(story: Story, *seqs: int) -> tuple[Chain, list[Finding]]:
    """Return the chain after these arrivals."""
    chain = Chain(DEVICE)
    findings: list[Finding] = []
    for seq in seqs:
        findings += chain.add(story.frames[seq], story.words[seq])
    return chain, findings


def test_a_frame_with_a_burned_number_is_a_break() -> None:
    """A device that declares a number burned and then uses it contradicts itself."""
    story = tell([("frames", 2), ("reboot", 2)])
    chain, _ = chain_of(story, 1, 2, 5)
    assert ChainBreak(DEVICE, 3, "burned") in chain.add(Link(3, 1, digest(2), digest(3)))


def test_burning_a_number_already_used_is_a_break() -> None:
    """A boot event that names a number whose frame is here contradicts it, and explains nothing."""
    story = tell([("frames", 2), ("reboot", 2)])
    story.frames[3] = Link(3, 1, digest(2), digest(3))
    story.words[3] = []
    chain, findings = chain_of(story, 1, 2, 3, 5)
    assert ChainBreak(DEVICE, 3, "burned") in findings
    assert not numbers(findings, Burned)
    assert [(h.first, h.last, h.state) for h in chain.holes] == [(4, 4, State.MISSING)]


def test_a_drop_that_does_not_fit_explains_nothing() -> None:
    """A DROPPED whose PREV or DIGEST is not what the neighbours say leaves the gap open and is a break."""
    for word in (
        Declaration(3, 4, digest(9), digest(4), False),
        Declaration(3, 4, digest(2), digest(9), False),
    ):
        story = tell([("frames", 6)])
        story.words[6] = [word]
        chain, findings = chain_of(story, 1, 2, 5, 6)
        assert ChainBreak(DEVICE, 3, "dropped") in findings
        assert not numbers(findings, Dropped)
        assert [h.state for h in chain.holes] == [State.MISSING]


def test_a_dropped_frame_that_comes_after_all_must_fit() -> None:
    """A late frame in a dropped range takes its place if its digest is the declared one, else it is a break."""
    story = tell([("frames", 4), ("drop", 2)])
    chain, _ = chain_of(story, 1, 2, 5)
    assert chain.fixes(story.frames[4])
    assert chain.add(story.frames[4]) == []
    assert chain.fixes(story.frames[3])
    assert not chain.fixes(story.frames[3]._replace(digest=digest(-1)))
    wrong = chain.add(story.frames[3]._replace(digest=digest(-1)))
    assert wrong == [ChainBreak(DEVICE, 4, "prev")]


def test_holes_are_bounded() -> None:
    """Beyond the limit explained holes are forgotten first, then the oldest gap, and that is said."""
    chain = Chain(DEVICE, max_holes=3)
    findings = [f for seq in range(1, 21, 2) for f in chain.add(Link(seq, 1, digest(seq - 1), digest(seq)))]
    assert len(chain.holes) == 3
    forgotten = [each for each in findings if isinstance(each, GapForgotten)]
    assert [each.first for each in forgotten] == [2, 4, 6, 8, 10, 12]
    assert not chain.is_open(2)
    assert chain.is_open(18)


def test_explained_holes_are_forgotten_before_gaps() -> None:
    """A burned range makes room for a gap without a word."""
    story = tell([("frames", 1), ("reboot", 1), ("frames", 6)])
    chain = Chain(DEVICE, max_holes=2)
    findings = [f for seq in (1, 3, 5, 7) for f in chain.add(story.frames[seq], story.words[seq])]
    assert not [each for each in findings if isinstance(each, GapForgotten)]
    assert [hole.first for hole in chain.holes] == [4, 6]
