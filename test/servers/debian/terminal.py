"""Runs a program on a pseudo terminal: terminal.py COLUMNS ROWS PROGRAM ARG...

What the program prints comes to standard output as it is. Lines on standard input: `type TEXT` (with Python's escapes),
`resize COLUMNS ROWS`. Ends as the program does; 128 + n where a signal ended it. Where standard input ends, it goes on.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios


def resize(terminal, columns, rows):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))


def obey(terminal, line):
    word, _, rest = line.decode().partition(" ")
    if word == "type":
        os.write(terminal, rest.encode().decode("unicode_escape").encode())
    elif word == "resize":
        resize(terminal, *rest.split())


def main(columns, rows, *program):
    child, terminal = pty.fork()
    if child == 0:
        # The size is there before the program starts.
        resize(0, columns, rows)
        os.execvp(program[0], program)
    inputs, pending = [terminal, 0], b""
    while True:
        ready = select.select(inputs, [], [])[0]
        if terminal in ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                data = b""
            if not data:
                break
            os.write(1, data)
        if 0 in ready:
            data = os.read(0, 4096)
            if not data:
                inputs.remove(0)
            pending += data
            while b"\n" in pending:
                line, pending = pending.split(b"\n", 1)
                obey(terminal, line)
    status = os.waitpid(child, 0)[1]
    sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


main(*sys.argv[1:])
