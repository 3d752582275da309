# Part of: jackfield.models.v1
from collections.abc import Mapping
from typing import Any
from jackfield.interfaces.model import ConfigReader
from jackfield.model_spec import Experts
from jackfield.model_spec import ModuleSource
def expert_modules(*, block: str='mlp', router: str='gate', choice_bias: str='gate.e_score_correction_bias', shared: str='shared_experts', gate: str='gate_proj', up: str='up_proj', down: str='down_proj') -> dict[str, ModuleSource]:
    ...
def read_grouped_experts(config: ConfigReader, defaults: Mapping[str, Any]) -> Experts:
    ...
