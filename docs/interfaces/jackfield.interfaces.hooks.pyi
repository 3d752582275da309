# Part of: jackfield.hooks.v1
from collections.abc import Mapping
import pluggy
from jackfield.activation import ActivationPlan
from jackfield.config import EngineConfig
from jackfield.request import RequestOutput
PROJECT = 'jackfield'
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
class Hooks:

    @hookspec
    def engine_started(self, config: EngineConfig, activation: ActivationPlan) -> None:
        ...

    @hookspec
    def step_finished(self, stats: Mapping[str, float]) -> None:
        ...

    @hookspec
    def request_finished(self, output: RequestOutput) -> None:
        ...

    @hookspec
    def engine_stopped(self, error: BaseException | None) -> None:
        ...
