"""The command passes the kit of commands."""

from jackfield_testing.conformance.command import CommandKit


class TestNew(CommandKit):
    name = "new"
    good_calls = (("command", "acme"), ("hooks", "acme", "--folder", "elsewhere"))
    bad_calls = (("scheduler", "fcfs"), ("hooks", "8bit"), ("nothing", "acme"))
