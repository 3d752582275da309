"""The server's log, as text or as one JSON object a line. It never contains texts of requests and answers."""

from __future__ import annotations

import json
import logging
import time

REQUESTS = "jackfield.requests"


def set_up(log_format: str, *, with_requests: bool) -> None:
    """Log to standard error: warnings, and, if asked for, a line for each request."""
    root = logging.getLogger()
    if log_format == "json":
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        root.handlers[:] = [handler]
    elif not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
    logging.raiseExceptions = False  # a full disk is no reason to write more
    if with_requests:
        logging.getLogger(REQUESTS).setLevel(logging.INFO)


class JsonFormatter(logging.Formatter):
    """time, level, logger and message; for a request also method, path, status, seconds and the key's name."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        found = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        return json.dumps(found, ensure_ascii=False, default=str)
