"""Practice for interviews: exercises that are judged by what the learner's code does.

    exercise.py  what an exercise is           sandbox.py  programs run, and cannot do harm
    probes.py    what its checks measure with  judge.py    one check, in a process of its own
    report.py    what the learner is told      store.py    what was done so far
    task.py      a task that is worked on      session.py  mock interviews
    faults.py    what ends a check early       clocks.py   every clock, in virtual time
    desk.py      the door, in a notebook       commands.py the same in a terminal

An exercise is a folder in ``exercises/``; CONTRIBUTING.md says how one is added.
"""
