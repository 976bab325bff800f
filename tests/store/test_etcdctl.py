"""The genuine etcdctl: the same commands to ours and to a genuine etcd, and what it says compared."""
from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from genuine import etcd, tier_problems
from genuine.find import need
from tinykube.store import LocalStorage
from tinykube.store.wire.server import EtcdServer

PROBLEMS = tier_problems("genuine")
pytestmark = [pytest.mark.skipif(bool(PROBLEMS), reason="; ".join(map(str, PROBLEMS))), pytest.mark.xdist_group("etcd-wire")]
SWAP = 'mod("/k/a") > "1"\nvalue("/k/a") != "z"\nversion("/k/no") = "0"\ncreate("/k/a") < "99"\n\n' \
       "put /k/c 3\nget --prefix /k/\ndel /k/b\n\nget /k/a\n\n"
TALK: list[tuple[str, str]] = [
    ("put /k/a 1", ""), ("put /k/a 2 --prev-kv", ""), ("put /k/b", "from a pipe"), ("put /k/b x --ignore-value", ""),
    ("put /k/b --ignore-value", ""), ("put /k/no --ignore-value", ""), ("put", ""),
    ("get /k/a", ""), ("get /k/a -w json", ""), ("get /k/a -w fields", ""), ("get /k/a --print-value-only", ""),
    ("get /k/a --hex", ""), ("get --prefix /k/", ""), ("get --prefix /k/ --keys-only", ""), ("get --prefix /k/ --count-only", ""),
    ("get --prefix /k/ --count-only -w fields", ""), ("get --prefix /k/ --limit=1 -w json", ""), ("get --from-key /k/b", ""),
    ("get /k/a /k/z", ""), ("get /k/a --rev=2", ""), ("get /k/a --rev=99", ""), ("get --prefix '' --consistency=s", ""),
    *((f"get --prefix /k/ --sort-by={by} --order={order}", "") for by in ("KEY", "VALUE", "VERSION", "CREATE", "MODIFY")
      for order in ("ASCEND", "DESCEND")),
    ("get --prefix /k/ --min-mod-rev=4", ""), ("get --prefix /k/ --max-create-rev=2", ""),
    ("get --prefix /k/ --sort-by=nothing", ""),
    ("txn", SWAP), ("txn -w json", SWAP),
    ("txn", 'mod("/k/a") = "99"\n\nput /k/x 1\n\ndel /k/a --prev-kv\nput /k/y 2\n\n'),
    ("txn", "\nput /k/q 1\nput /k/q 2\n\n\n"), ("del /k/c --prev-kv", ""), ("del /k/no", ""), ("del --prefix /k/ -w json", ""),
    ("lease grant 100", ""), ("lease grant -5", ""), ("lease grant 10000000000", ""), ("lease list", ""),
    ("lease timetolive 7b", ""), ("lease revoke 7b", ""), ("lease keep-alive --once 7b", ""), ("put /l x --lease=7b", ""),
    ("compaction 5", ""), ("compaction 5", ""), ("compaction 99", ""), ("get /k/a --rev=3", ""), ("watch /k/a --rev=2", ""),
    ("endpoint health", ""), ("alarm list", ""), ("alarm disarm", ""), ("defrag", ""), ("get", ""), ("version", ""),
]


def blank(words: str) -> str:
    """The words without what differs between any two etcds, and without its log."""
    words = "\n".join(each for each in words.splitlines() if not each.startswith('{"level"'))
    words = re.sub(r"\b[0-9a-f]{15,16}\b|\b\d{9,20}\b|127\.0\.0\.1:\d+|\d+\.\d+(ms|s|µs)", "…", words)
    return re.sub(r"(?i)(raft_?term\"? ?: ?)\d+", r"\1…", words)


class Ctl:
    """etcdctl, pointed at one etcd."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(need("etcdctl")["etcdctl"], f"--endpoints={self.address}", *words,
                                                    stdin=pipe, stdout=pipe, stderr=pipe)

    async def say(self, *words: str, stdin: str = "") -> tuple[int | None, str, str]:
        """Exit code, output, errors."""
        process = await self.start(*words)
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 30)
        return process.returncode, out.decode(), err.decode()

    async def ok(self, *words: str) -> str:
        code, out, err = await self.say(*words)
        assert code == 0, err
        return out


@asynccontextmanager
async def ours(**options: Any) -> AsyncIterator[Ctl]:
    storage = LocalStorage()
    server = await EtcdServer(storage, **options).start()
    yield Ctl(server.address)
    await server.stop()
    await storage.aclose()


@pytest.fixture
async def both() -> AsyncIterator[tuple[Ctl, Ctl]]:
    """Our etcd and a genuine one, both empty."""
    async with ours() as tiny:
        with etcd(fsync=False) as member:
            yield tiny, Ctl(member.url.removeprefix("http://"))


async def test_the_same_commands(both: tuple[Ctl, Ctl]) -> None:
    different = []
    for command, stdin in TALK:
        words = [word.replace("''", "") for word in command.split()]
        mine, its = [(code, blank(out), blank(err)) for code, out, err in
                     await asyncio.gather(*(ctl.say(*words, stdin=stdin) for ctl in both))]
        if mine != its:
            different.append(f"etcdctl {command}\n  ours    {mine}\n  genuine {its}")
    assert not different, "\n".join(different)


async def heard(ctl: Ctl, process: asyncio.subprocess.Process, lines: int) -> list[str]:
    """The first lines that a watching etcdctl prints; then it is ended."""
    assert process.stdout
    async with asyncio.timeout(30):
        found = [(await process.stdout.readline()).decode().rstrip() for _ in range(lines)]
    process.terminate()
    await process.communicate()
    return found


@pytest.mark.parametrize("options", [[], ["--prev-kv"], ["--prefix"], ["-w", "json"]])
async def test_watching(both: tuple[Ctl, Ctl], options: list[str]) -> None:
    told = []
    for ctl in both:
        for words in (["put", "/k/a", "1"], ["put", "/k/a", "2"], ["del", "/k/a"], ["put", "/k/a", "3"]):
            await ctl.ok(*words)
        watching = await ctl.start("watch", "--rev=2", "/k/a", *options)
        told.append([blank(line) for line in await heard(ctl, watching, 1 if "-w" in options else 12)])
    assert told[0] == told[1]


async def test_two_with_the_same_past_have_the_same_hash(both: tuple[Ctl, Ctl]) -> None:
    """Also after a compaction, at a past revision, with keys that were deleted and some that changed in one step."""
    step = "\nput /k/1 a\nput /k/2 b\ndel /k/0\n\n\n"
    talk = [*(f"put /k/{n} {n}" for n in range(4)), "put /k/0 again", "lease grant 600", "del --prefix /k/", "put /k/0 back",
            step, "put /k/1 c", "ASK", "ASK --rev=4", "compaction 6", "ASK", "ASK --rev=4", "ASK --rev=7", "put /k/9 x",
            "ASK --rev=99", "compaction 8", "ASK", "del /k/9", "ASK"]
    told: list[list[Any]] = [[], []]
    for words in talk:
        for ctl, heard in zip(both, told, strict=True):
            if words.startswith("ASK"):
                code, out, err = await ctl.say("endpoint", "hashkv", "-w", "json", *words.split()[1:])
                answer = json.loads(out)[0]["HashKV"] if code == 0 else blank(err)
                heard.append((words, answer if code else {key: answer[key] for key in answer if key != "header"}))
            elif words == step:
                assert (await ctl.say("txn", stdin=words))[0] == 0
            else:
                await ctl.ok(*words.split())
    assert told[0] == told[1]
    assert len({each["hash"] for _, each in told[0] if isinstance(each, dict)}) >= 5


async def test_when_there_is_no_space_only_what_takes_none_is_done() -> None:
    """An alarm is raised by a write that does not fit, ends when somebody takes it back, and comes back if nothing went."""
    told: list[list[Any]] = []
    with etcd(fsync=False, flags=["--quota-backend-bytes=200000"]) as member:
        async with ours(quota=200_000) as tiny:
            for ctl in (tiny, Ctl(member.url.removeprefix("http://"))):
                await ctl.ok("put", "/small", "x")
                [lease] = re.findall("lease ([0-9a-f]+)", await ctl.ok("lease", "grant", "600"))
                names = [f"/big/{number}" for number in range(20)]
                codes = [(await ctl.say("put", name, "x" * 60_000))[0] for name in names]
                assert (codes[0], codes[-1]) == (0, 1)
                revision = int(re.findall(r'"revision":(\d+)', await ctl.ok("get", "/small", "-w", "json"))[0])
                talk = [("put /small y", ""), ("get /small", ""), ("alarm list", ""), ("endpoint health", ""),
                        ("lease grant 9", ""),
                        ("txn", "\nput /a 1\n\n\n"), ("txn", "\ndel /a\n\n\n"), (f"lease revoke {lease}", ""), ("alarm disarm", ""),
                        ("put /small " + "y" * 60_000, ""), ("alarm list", ""), ("del /small", ""), ("del --prefix /big/0", ""),
                        ("del --prefix /big/", ""), (f"compaction {revision + 3}", ""), ("defrag", ""), ("put /small y", ""),
                        ("alarm disarm", ""), ("alarm list", ""), ("put /small y", ""), ("endpoint health", "")]
                told.append([(words[:10], code, re.sub(r"deleted|^\d+$|revision \d+", "…", blank(out), flags=re.M), blank(err))
                             for words, (code, out, err) in [(words, await ctl.say(*words.split(), stdin=stdin))
                                                             for words, stdin in talk]])
    assert told[0] == told[1]


async def test_progress() -> None:
    async with ours(progress=0.1) as ctl:
        assert "progress notify: 1" in await heard(ctl, await ctl.start("watch", "/k", "--progress-notify"), 1)


async def test_a_lease_that_is_kept_alive_and_one_that_is_not(both: tuple[Ctl, Ctl]) -> None:
    for ctl in both:
        kept, left = [(await ctl.ok("lease", "grant", "2")).split()[1] for _ in range(2)]
        await ctl.ok("put", "/kept", "x", f"--lease={kept}")
        await ctl.ok("put", "/left", "x", f"--lease={left}")
        keeping = await ctl.start("lease", "keep-alive", kept)
        watching = await ctl.start("watch", "/left", "--rev=3")
        assert await heard(ctl, watching, 5) == ["PUT", "/left", "x", "DELETE", "/left"]
        assert await ctl.ok("get", "--prefix", "/") == "/kept\nx\n"
        life = await ctl.ok("lease", "timetolive", kept, "--keys")
        assert re.search(r"granted with TTL\(2s\), remaining\(\ds\), attached keys\(\[/kept\]\)", life), life
        assert (await ctl.ok("lease", "list")).split()[-1] == kept
        keeping.terminate()
        await keeping.communicate()
        assert "revoked" in await ctl.ok("lease", "revoke", kept)
        assert await ctl.ok("get", "--prefix", "/") == ""


async def test_what_an_operator_asks(both: tuple[Ctl, Ctl], tmp_path: Path) -> None:
    shapes = []
    for ctl in both:
        await ctl.ok("put", "/k", "x" * 2000)
        [status] = json.loads(await ctl.ok("endpoint", "status", "-w", "json"))
        table = await ctl.ok("endpoint", "status", "-w", "table")
        health = json.loads(await ctl.ok("endpoint", "health", "-w", "json"))
        [member] = json.loads(await ctl.ok("member", "list", "-w", "json"))["members"]
        assert status["Status"]["leader"] == status["Status"]["header"]["member_id"] == member["ID"]
        assert member["clientURLs"] == [f"http://{ctl.address}"]
        saved = tmp_path / f"{len(shapes)}.db"
        assert await ctl.ok("snapshot", "save", str(saved)) == f"Snapshot saved at {saved}\nServer version 3.7.0\n"
        assert saved.stat().st_size % 512 == 32
        shapes.append((status["Status"]["version"], status["Status"]["header"]["revision"], table.splitlines()[1].split(),
                       [(each["health"], "error" in each) for each in health], sorted(set(member) - {"peerURLs"})))
    assert shapes[0] == shapes[1]
