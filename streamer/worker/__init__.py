"""The recognizer in a process of its own, and whoever keeps that process alive.

Theory of operation. A recognizer can die (a driver that crashes, the kernel short of memory) or hang, and after most
CUDA errors its process is good for nothing. So the daemon keeps it in a child, which it may lose at any moment:

    engine ── transcribe(batch) ──▶ Supervisor ──▶ Child ═══ socket, shared memory ═══ Host ──▶ Recognizer
                                        │                                               │
                    starts another, after a pause that grows            Pulse: a beat every half second

A request holds its whole window, so nothing is lost with a child: whoever asked asks again, and the new child answers.

What crosses. Requests and answers go as msgpack messages over a socket pair. The samples of a batch do not: they lie in
one block of shared memory, which has no name, so that nothing of it is left behind whoever is killed. The child copies
them out before it begins; one batch at a time is on the way.

What is watched. The end of the socket is the end of the child, seen at once. A child whose beats stop is hung: it is
stopped, or in a call that holds Python's lock. A batch that takes far longer than its like is overdue: a call that
hangs without the lock; so is a load of the model that takes far longer than the one before. All of them are killed. A
child that knows that it cannot go on says why and ends by itself. One that the kernel cannot end, for it is in a call
of a driver, keeps its socket open: so that is closed from this side, a second after the kill, and another is started.

Whose fault it was nobody knows at first. The engine tries the rows of a lost batch one by one (`suspects.py` of
`streamer/recognition/`).
"""
