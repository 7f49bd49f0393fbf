"""Uploaded files decoded in processes of their own: a file that crashes a codec costs its own request, and nobody else.

Theory of operation. A codec is a large program in C that is fed with whatever anybody sends. It may crash, never come
to an end, take all memory there is, or do what the sender wants. So it never runs in the daemon, nor twice in one
process:

    upload ──▶ Decoders ── a spare, or a new one ──▶ Decoder ═══ socket ═══ host ──▶ Recording ──▶ libsndfile
                                                        │
                    measure: how long it is, or why it is refused; then blocks of a second, as they are taken

A child serves one file and ends. It is given the descriptor of the file, and may take little: memory, time, no other
files, no processes (`confinement.py`). It measures the whole file first, so that limits hold on what comes out of it,
whatever a header claims; then it reads the file again and writes it to the socket, float32 at 16 kHz. What the parent
does not take waits in the socket's buffer, and so does the child.

Whose fault it was is known: a child says when it has received its file. What happens after that is laid to the file; a
spare that ends before is replaced, once. A child that hangs is killed at the time limit.

A Python with numpy takes some tenths of a second to start, so one spare is kept from the first upload on.
"""
