from jackfield_testing.conformance.command import CommandKit


class TestServeCommand(CommandKit):
    name = "serve"
    bad_calls = (
        ("no_such_model", "--port", "70000"),
        ("no_such_model", "--api-key", "secret"),
        ("./no_such_model", "--port", "0"),
        ("no_such_model", "--api-keys-file", "no_such_file"),
    )
