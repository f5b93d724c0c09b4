# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a running process try a system call, by ptrace: what somebody could who took it over.

The process is the real one in its real sandbox; nothing in the product helps. x86-64 only. Imported
by process_table.py.
"""

import ctypes
import errno
import os
import select
import signal
import time

PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_DETACH = 9, 12, 13, 17
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000

NUMBERS = {  # asm/unistd_64.h
    "open": 2, "mmap": 9, "socket": 41, "connect": 42, "bind": 49, "clone": 56, "fork": 57,
    "execve": 59, "kill": 62, "ptrace": 101, "setuid": 105, "mount": 165, "openat": 257,
    "unshare": 272, "process_vm_readv": 310, "process_vm_writev": 311, "memfd_create": 319,
    "bpf": 321, "io_uring_setup": 425, "pidfd_open": 434, "pidfd_getfd": 438, "getpid": 39,
}

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class Regs(ctypes.Structure):
    """struct user_regs_struct of x86-64."""
    _fields_ = [(name, ctypes.c_ulong) for name in (
        "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
        "fs_base gs_base ds es fs gs").split()]


def ptrace(request, pid, address=None, data=None):
    if libc.ptrace(request, pid, address, data) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace {request:#x} of {pid}: {os.strerror(error)}")


def wait_stop(pid):
    """None when it has stopped, else the signal that ended it."""
    _, status = os.waitpid(pid, WALL)
    if os.WIFSTOPPED(status):
        return None
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


class Frozen:
    """A process that is stopped in a system call of its own (they all wait in epoll_wait)."""

    def __init__(self, pid):
        self.pid, self.alive, self.before = pid, True, Regs()
        self.memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
        end = time.monotonic() + 20
        while not self._stop():
            ptrace(PTRACE_DETACH, pid)  # it was at work: soon it waits again
            if time.monotonic() > end:
                raise RuntimeError(f"{pid} never waits")
            select.select([], [], [], 0.01)

    def _stop(self):
        """True when it has stopped in a system call."""
        ptrace(PTRACE_SEIZE, self.pid)
        ptrace(PTRACE_INTERRUPT, self.pid)
        if wait_stop(self.pid) is not None:
            raise RuntimeError(f"{self.pid} ended by itself")
        ptrace(PTRACE_GETREGS, self.pid, None, ctypes.byref(self.before))
        return os.pread(self.memory, 2, self.before.rip - 2) == b"\x0f\x05"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.memory)
        if self.alive:
            ptrace(PTRACE_SETREGS, self.pid, None, ctypes.byref(self.before))
            ptrace(PTRACE_DETACH, self.pid)

    def call(self, name, *arguments):
        """What came of it: "SIGSYS" and the like when it was killed, "EACCES" and the like, or "done"."""
        regs = Regs.from_buffer_copy(self.before)
        # Bytes are put below the stack's red zone.
        at = (self.before.rsp - 4096) & ~15
        values = []
        for argument in arguments:
            if isinstance(argument, bytes):
                os.pwrite(self.memory, argument, at)
                argument, at = at, at + (len(argument) + 15 & ~15)
            values.append(argument & 0xffffffffffffffff)
        regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9 = values + [0] * (6 - len(values))
        # Not -1 alone: the kernel must not take it for the call that was interrupted.
        regs.rax, regs.orig_rax, regs.rip = NUMBERS[name], 0xffffffffffffffff, self.before.rip - 2
        ptrace(PTRACE_SETREGS, self.pid, None, ctypes.byref(regs))
        ptrace(PTRACE_SINGLESTEP, self.pid)
        ended = wait_stop(self.pid)
        if ended is not None:
            self.alive = False
            return signal.Signals(ended).name if ended else "exit"
        ptrace(PTRACE_GETREGS, self.pid, None, ctypes.byref(regs))
        result = ctypes.c_long(regs.rax).value
        return errno.errorcode[-result] if -4096 < result < 0 else "done"


def call(pid, name, *arguments):
    with Frozen(pid) as frozen:
        return frozen.call(name, *arguments)
