"""Observers with one planted fault each."""

import logging
import threading
import time

from jackfield.interfaces.hooks import hookimpl
from jackfield_testing.sampler import Ranking


class Sound:
    @hookimpl
    def engine_started(self, config, activation):
        self.block_size = config.cache.block_size

    @hookimpl
    def step_finished(self, stats):
        self.usage = stats["cache_usage"]

    @hookimpl
    def request_finished(self, output):
        self.tokens = sum(len(one.token_ids) for one in output.outputs)

    @hookimpl
    def engine_stopped(self, error):
        self.last = repr(error)


class Misspelt:
    @hookimpl
    def step_finnished(self, stats): ...


class Asking:
    @hookimpl
    def step_finished(self, stats, scheduler): ...


class Certain:
    @hookimpl
    def request_finished(self, output):
        self.words = output.prompt.split()


class Hopeful:
    @hookimpl
    def engine_stopped(self, error):
        self.why = error.args


class Once:
    started = False

    @hookimpl
    def engine_started(self, config, activation):
        if self.started:
            raise RuntimeError("started already")
        self.started = True


class Censor:
    @hookimpl
    def request_finished(self, output):
        for one in output.outputs:
            object.__setattr__(one, "text", "***")


class Puppeteer:
    """Reaches behind what it is told."""

    @hookimpl
    def engine_started(self):
        self.token = Ranking.token
        Ranking.token = lambda ranking, rank: rank

    @hookimpl
    def engine_stopped(self):
        Ranking.token = self.token


class Slow:
    @hookimpl
    def step_finished(self, stats):
        time.sleep(0.03)


class Haunted:
    """Starts a thread with every engine."""

    @hookimpl
    def engine_started(self, config, activation):
        threading.Thread(target=threading.Event().wait, daemon=True).start()


class Silencing:
    """Turns logging off for all."""

    @hookimpl
    def engine_started(self, config, activation):
        logging.getLogger().setLevel(logging.CRITICAL)
