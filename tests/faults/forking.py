"""What a server does that forks its workers after it has opened the pool."""

import asyncio
import os
from signal import alarm
from socket import socketpair
from threading import Event, Thread

from langchain_budget import Account, calls
from tests.faults.books import pool_at
from tests.faults.crew import Post
from tests.faults.duties import areserved, reserved, tasks, threads

CHILDREN = 4
MANY = 16  # threads of each child, and as many tasks
LONGEST = 120  # seconds that a child lives, even one that waits for ever


def prefork(post: Post, url: str, limit: int) -> None:
    """Fork children that all use our pool; say how many they and we were admitted."""
    pool = pool_at(url, calls(limit))
    agent = pool.open("agent")
    ours = reserved(agent) + asyncio.run(areserved(agent))
    ended = Event()
    busy = Thread(target=_go_on, args=(agent, ended))
    busy.start()
    pipes = [_fork(agent) for _ in range(CHILDREN)]
    theirs = sum(_hear(pipe) for pipe in pipes)
    ended.set()
    busy.join()
    post.say(ours + theirs)
    pool.top_up(calls(2))
    post.say([reserved(agent), asyncio.run(areserved(agent)), reserved(agent)])


def leave_to_a_child(post: Post, url: str) -> None:
    """Let go of the store while a child goes on with the pool."""
    pool = pool_at(url, calls(3))
    reserved(pool)
    ours, theirs = socketpair()
    if os.fork() == 0:
        alarm(LONGEST)
        reserved(pool)
        theirs.send(b"I have begun")
        theirs.recv(100)
        reserved(pool)
        os._exit(0)
    ours.recv(100)
    pool.ledger.store.close()
    ours.send(b"I have ended")
    os.wait()
    post.say("done")


def _go_on(agent: Account, ended: Event) -> None:
    """Use the store all the while, so that a fork finds it in use."""
    while not ended.is_set():
        agent.balance("calls")


def _fork(agent: Account) -> int:
    """Begin a child; where it will say how many it was admitted."""
    ours, theirs = os.pipe()
    if os.fork() == 0:
        alarm(LONGEST)
        try:
            agent.ledger.store.close()  # it has nothing open as yet
            admitted = threads(agent, reserved, MANY) + tasks(agent, areserved, MANY)
            os.write(theirs, b"%d" % admitted)
        finally:
            os._exit(0)
    os.close(theirs)
    return ours


def _hear(pipe: int) -> int:
    with os.fdopen(pipe) as line:
        return int(line.read())
