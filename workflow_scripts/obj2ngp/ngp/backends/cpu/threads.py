"""Stages in parts, shared out among threads.

A part's arithmetic runs in one thread, so threads meet once a stage, not once an operation, and what a part works on
stays in its core's cache. Where the machine has other work too, nobody waits for a thread that does not run: the
others take its parts. Neither the parts nor the results depend on how many threads there are.
"""

import itertools
import queue
import threading

import torch

_waiting = queue.SimpleQueue()  # jobs, once for each thread that may help
_helpers = []


class _Job:
    def __init__(self, task, total, size):
        self.task, self.total, self.size = task, total, size
        self.parts = -(-total // size)
        self.next = itertools.count().__next__  # one step of the interpreter: no two threads get the same number
        self.left, self.counting, self.finished = self.parts, threading.Lock(), threading.Event()
        self.error = None

    def work(self):
        """Does parts until none is left to begin."""
        while True:
            begin = self.next() * self.size
            if begin >= self.total:
                return
            try:
                self.task(begin, min(begin + self.size, self.total))
            except BaseException as error:  # raised in the thread that waits
                self.error = error
            with self.counting:
                self.left -= 1
                if not self.left:
                    self.finished.set()


def _help():
    torch.set_num_threads(1)  # this thread's
    while True:
        _waiting.get().work()


def share_out(task, total, size):
    """Calls task(begin, end) for the parts of range(total), `size` long but for the last, and waits for all.

    As many threads as PyTorch uses take part, this one among them; in each of them PyTorch uses one. Within a part,
    further parts are done one after another.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        for begin in range(0, total, size):
            task(begin, min(begin + size, total))
        return
    job = _Job(task, total, size)
    if not job.parts:
        return
    wanted = min(threads, job.parts) - 1
    while len(_helpers) < wanted:
        _helpers.append(threading.Thread(target=_help, daemon=True))
        _helpers[-1].start()
    for _ in range(wanted):
        _waiting.put(job)
    torch.set_num_threads(1)
    try:
        job.work()
    finally:
        job.finished.wait()
        torch.set_num_threads(threads)
    if job.error is not None:
        raise job.error
