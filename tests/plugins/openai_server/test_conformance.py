from jackfield_testing.conformance.command import CommandKit


class TestServeCommand(CommandKit):
    name = "serve"
    bad_calls = (
        ("no_such_model", "--port", "70000"),
        ("no_such_model", "--api-key", "secret"),
        ("./no_such_model", "--port", "0"),
        ("no_such_model", "--api-keys-file", "no_such_file"),
    )


class TestBenchServeCommand(CommandKit):
    name = "bench serve"
    bad_calls = (
        ("--url", "ftp://nowhere"),
        ("--url", "http://127.0.0.1:1"),
        ("--request-rate", "slow"),
        ("--goodput", "speed:3"),
        ("--picture", "sweep.gif"),
    )


class TestRunBatchCommand(CommandKit):
    name = "run-batch"
    bad_calls = (
        ("-i", "nothing", "-o", "out"),
        ("no_such_model", "-i", "nothing", "-o", "out"),
        ("no_such_model", "--url", "http://127.0.0.1:1", "-i", "nothing", "-o", "out"),
    )
