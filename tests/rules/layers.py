#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Includes go only where ARCHITECTURE.md's table of rooms allows: usage: layers.py ROOT

MPI has a rule of its own, since it is a library and not a room: see mpi_stays_in_its_rooms().
"""

import os
import re
import sys

import rulekit

TABLE_FILE = "ARCHITECTURE.md"
EVERYTHING = "all of the above"

# Under include/, scheduler/ and runtime/, only these may include mpi.h or name anything of MPI.
MPI_ROOM = "runtime/comm"
MPI_HEADER = "include/quern/context.h"
# {room: names}: these pass a communicator down, and call nothing.
MPI_TYPES = {"runtime/api": ("MPI_Comm", "MPI_COMM_NULL"), "runtime/fortran": ("MPI_Fint", "MPI_Comm_f2c")}


def read_rooms(root):
    """{room: set of the rooms it may use} in the order of the table, and the problems of the table itself."""
    text = rulekit.read(root, TABLE_FILE)
    rooms, problems = {}, []
    table = re.search(r"^\| room \| what it is \| may use \|\n\|[- |]+\|\n((?:\|.*\|\n?)+)", text, re.MULTILINE)
    if not table:
        return rooms, [f"{TABLE_FILE}:1: no table '| room | what it is | may use |'"]
    first_line = rulekit.line_of(text, table.start(1))
    for line, row in enumerate(table.group(1).splitlines(), first_line):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) != 3:
            problems.append(f"{TABLE_FILE}:{line}: a row has three cells")
            continue
        room, used = cells[0].strip("`"), cells[2].replace("`", "")
        names = set(rooms) if used == EVERYTHING else {name.strip() for name in used.split(",")} - {"–", ""}
        problems += [f"{TABLE_FILE}:{line}: {room} may not use {name}: it does not stand above"
                     for name in sorted(names - set(rooms))]
        rooms[room] = names
    return rooms, problems


def room_of(path, rooms):
    """The innermost room that path lies in, or None."""
    holding = [room for room in rooms if path.startswith(room + "/")]
    return max(holding, key=len, default=None)


def target_of(root, path, name, quoted):
    """The file of the tree that an #include means, or None if it means one outside."""
    if not quoted:
        return "include/" + name if name.startswith("quern/") else None
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name)).replace(os.sep, "/")
    return beside if "/" not in name and os.path.exists(os.path.join(root, beside)) else name


def table_is_sound(root):
    rooms, problems = read_rooms(root)
    files = rulekit.source_files(root, endings=("",))
    problems += [f"{TABLE_FILE}: the room {room} is empty" for room in rooms
                 if not any(room_of(path, rooms) == room for path in files)]
    return problems


def every_source_has_a_room(root):
    rooms, _ = read_rooms(root)
    return [f"{path}:1: in no room of {TABLE_FILE}" for path in rulekit.source_files(root)
            if room_of(path, rooms) is None]


def includes_follow_the_table(root):
    rooms, _ = read_rooms(root)
    problems = []
    for path in rulekit.source_files(root):
        room = room_of(path, rooms)
        for line, name, quoted in rulekit.includes(rulekit.read(root, path)):
            target = target_of(root, path, name, quoted)
            if target is None or room is None:
                continue
            target_room = room_of(target, rooms)
            if target_room is None:
                problems.append(f'{path}:{line}: "{name}" is in no room: write the path from the top of the tree')
            elif target_room != room and target_room not in rooms[room]:
                problems.append(f"{path}:{line}: {room} may not use {target_room} ({name})")
    return problems


def mpi_stays_in_its_rooms(root):
    problems = []
    for path in rulekit.source_files(root, folders=("include", "scheduler", "runtime")):
        if path == MPI_HEADER or path.startswith(MPI_ROOM + "/"):
            continue
        text = rulekit.read(root, path)
        problems += [f"{path}:{line}: includes {name}" for line, name, _ in rulekit.includes(text)
                     if name in ("mpi.h", "mpi-ext.h")]
        allowed = MPI_TYPES.get(os.path.dirname(path), ())
        problems += [f"{path}:{line}: names {word}"
                     for line, word in rulekit.words(rulekit.code_of(text), [r"P?MPIX?_\w+"]) if word not in allowed]
    return problems


RULES = {
    "the table of rooms is sound": table_is_sound,
    "every source has a room": every_source_has_a_room,
    "includes follow the table of rooms": includes_follow_the_table,
    "MPI stays in its rooms": mpi_stays_in_its_rooms,
}

if __name__ == "__main__":
    sys.exit(rulekit.run(sys.argv[1], RULES))
